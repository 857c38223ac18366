"""Prometheus itself scrapes the running product by the documented configuration and answers the dashboard's queries."""

import json
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.greenai.test_metrics_docs import RULES, SCRAPES, dashboard_queries
from tests.servers import free_port
from tests.stack import Stack

PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed: apt-get install prometheus"),
]
ISSUE = "from accounting.access import issue_token; print(issue_token(name='prometheus', scopes=['read'])[1])"
MONTH = (
    "from django.db.models import Sum; from django.utils import timezone; from accounting.models import TeamDay; "
    "rows = TeamDay.objects.filter(day__gte=timezone.now().date().replace(day=1)); "
    "print(rows.aggregate(s=Sum('it_energy_kwh'))['s'] or 0.0)"
)
LIMIT_S = 60.0


@contextmanager
def prometheus_of(stack: Stack, folder: Path) -> Iterator[str]:
    """The documented configuration with this product's address and a faster scrape; its own address."""
    config = SCRAPES.read_text().replace("greenai.example.org:8000", urlsplit(stack.url).netloc)
    (folder / "prometheus.yml").write_text(config.replace("_interval: 30s", "_interval: 1s"))
    (folder / "greenai.token").write_text(stack.manage("shell", "-v", "0", "-c", ISSUE).strip().splitlines()[-1])
    shutil.copy(RULES, folder)
    port = free_port()
    arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(PROMETHEUS), *arguments], cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def ask(prometheus: str, path: str, **parameters: str) -> Any:
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)["data"]


def it_energy_j(stack: Stack) -> float:
    """The running month in the ledger's own roll-up."""
    return float(stack.manage("shell", "-v", "0", "-c", MONTH).strip().splitlines()[-1]) * 3.6e6


def number(prometheus: str, query: str) -> float:
    found = ask(prometheus, "query", query=query)["result"]
    return float(found[0]["value"][1]) if found else 0.0


def until_scraped(prometheus: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            found = ask(prometheus, "query", query='count_over_time(up{job="greenai"}[1m])')["result"]
        except OSError:
            found = []
        if found and int(found[0]["value"][1]) >= 3:
            return
        assert time.monotonic() < deadline, ask(prometheus, "targets")
        time.sleep(0.3)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.5)


class TestPrometheus:
    def test_scrapes_the_running_product_and_answers_every_panel(self, stack: Stack, tmp_path: Path) -> None:
        with prometheus_of(stack, tmp_path) as prometheus:
            until_scraped(prometheus)
            (target,) = ask(prometheus, "targets")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
            for query in dashboard_queries():
                assert ask(prometheus, "query", query=query)["resultType"] == "vector", query
            said = {
                name: ask(prometheus, "query", query=name)["result"]
                for name in ("greenai_build_info", "greenai_ledger_lag_seconds", "greenai_experiments")
            }
            assert all(said.values())
            (group,) = ask(prometheus, "rules")["groups"]
            assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
            types = {name: entries[0]["type"] for name, entries in ask(prometheus, "metadata").items()}
            assert types["greenai_ledger_lag_seconds"] == "gauge"

    def test_holds_what_the_ledger_holds_and_counts_what_comes_in(self, stack: Stack, tmp_path: Path) -> None:
        """This machine's own agent posts all the while: the figure lies between the ledger's before and after."""
        with prometheus_of(stack, tmp_path) as prometheus:
            until(lambda: it_energy_j(stack) > 0)
            before = it_energy_j(stack)
            until_scraped(prometheus)
            until(lambda: number(prometheus, "sum(greenai_month_it_energy_joules)") >= before * (1 - 1e-9))
            scraped = number(prometheus, "sum(greenai_month_it_energy_joules)")
            assert before * (1 - 1e-9) <= scraped <= it_energy_j(stack) * (1 + 1e-9)
            accepted = 'greenai_intake_samples_total{protocol="telemetry",result="accepted"}'
            until(lambda: number(prometheus, f"increase({accepted}[1m])") > 0)
