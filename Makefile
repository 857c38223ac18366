# GreenAI. `make` alone lists what there is.
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
SUDO_HINT := as root, or with sudo

.DEFAULT_GOAL := help
.PHONY: help run test test-full lint format bench clean screenshots

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/product ## Install, then run GreenAI on this machine (Ctrl-C stops it, the data stays)
	@exec $(PY) manage.py up

test: $(VENV)/dev ## Install what the tests need and run the whole suite
	@$(PY) tests/run.py

test-full: $(VENV)/dev ## The same with every repetition of the slow tests
	@GREENAI_TEST_FULL=1 $(PY) tests/run.py

lint: $(VENV)/dev ## Style, types, migrations
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) manage.py makemigrations --check --dry-run -v 1
	$(PY) manage.py check

format: $(VENV)/dev ## Format the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(VENV)/dev ## Measure every claim side by side (BENCH_SHORT=1 for the short form)
	@for claim in benchmarks/*.py; do echo "== $$claim"; $(PY) $$claim || exit 1; done

screenshots: $(VENV)/dev ## Take the README's screenshots from a running product
	@$(PY) docs/take_screenshots.py

clean: ## Remove everything that can be made again (not the data in var/)
	rm -rf $(VENV) staticfiles screenshots build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "GreenAI needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 run"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; \
	  else \
	    echo "Python's venv module is missing. $(SUDO_HINT): apt-get install python3-venv"; exit 1; \
	  fi; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# torch goes first, so that no later package can choose another build of it
$(VENV)/product: requirements.txt | $(VENV)/bin/python
	@echo "Installing GreenAI's requirements into $(VENV) (once; a few minutes) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/product
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
