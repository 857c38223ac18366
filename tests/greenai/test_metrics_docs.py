"""docs/metrics.md, the alert rules, the dashboard and the scrape configuration speak of metrics that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from accounting.reports.metric_families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "docs/prometheus/greenai-rules.yml"
SCRAPES = ROOT / "docs/prometheus/prometheus.yml"
DASHBOARD = json.loads((ROOT / "docs/grafana/greenai.json").read_text())
LABELS = {family.name: set(family.labels) for family in FAMILIES}
EVERY_LABEL = set().union(*LABELS.values())
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt-get install prometheus")


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def dashboard_queries() -> list[str]:
    """As Prometheus is asked: Grafana's variables filled in."""
    filled = {"$__rate_interval": "5m", "$team": ".*", "$site": ".*"}
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    for variable, text in filled.items():
        queries = [query.replace(variable, text) for query in queries]
    return queries


def rule_queries() -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str, text: str = "") -> None:
    done = subprocess.run([str(PROMTOOL), *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class TestMetricsDoc:
    def test_has_every_metric_with_its_type_labels_and_meaning_and_no_other(self) -> None:
        text = (ROOT / "docs/metrics.md").read_text()
        told = re.findall(r"^\| `(greenai_\w+)` \| (\w+) \| (.+?) \| (.+) \|$", text, re.MULTILINE)
        labels = {f.name: ", ".join(f"`{label}`" for label in f.labels) or "none" for f in FAMILIES}
        assert sorted(told) == sorted((f.name, f.kind.value, labels[f.name], f.help) for f in FAMILIES)

    def test_speaks_of_no_metric_that_there_is_not(self) -> None:
        named = set(re.findall(r"greenai_[a-z0-9_]+[a-z0-9]", (ROOT / "docs/metrics.md").read_text()))
        assert named - LABELS.keys() - {"greenai_month"} == set()


class TestNames:
    def test_end_in_total_where_and_only_where_they_count(self) -> None:
        assert {f.name for f in FAMILIES if f.name.endswith("_total")} == {
            f.name for f in FAMILIES if f.kind == "counter"
        }

    def test_are_used_once(self) -> None:
        assert len({family.name for family in FAMILIES}) == len(FAMILIES)


class TestQueries:
    @pytest.mark.parametrize("query", sorted({*dashboard_queries(), *rule_queries()}))
    def test_name_metrics_and_labels_that_there_are(self, query: str) -> None:
        names = re.findall(r"greenai_\w+", query)
        assert names and set(names) <= LABELS.keys()
        for name, matchers in re.findall(r"(greenai_\w+)\{(.*?)\}", query):
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)) <= LABELS[name]
        grouped = {label.strip() for by in re.findall(r"by \((.*?)\)", query) for label in by.split(",")}
        assert grouped <= set().union(*(LABELS[name] for name in names))

    @needs_promtool
    def test_of_the_dashboard_are_read_by_promtool(self, tmp_path: Path) -> None:
        rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(dashboard_queries())]
        file = tmp_path / "rules.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
        promtool("check", "rules", str(file))


class TestAlertRules:
    @needs_promtool
    def test_are_read_by_promtool(self) -> None:
        promtool("check", "rules", str(RULES))

    @needs_promtool
    def test_fire_on_what_they_are_for_and_on_nothing_else(self) -> None:
        promtool("test", "rules", str(ROOT / "tests/greenai/greenai-rules-test.yml"))


class TestScrapeConfiguration:
    @needs_promtool
    def test_is_read_by_promtool(self, tmp_path: Path) -> None:
        for file in (RULES, SCRAPES):
            shutil.copy(file, tmp_path)
        (tmp_path / "greenai.token").write_text("gai_…")
        promtool("check", "config", str(tmp_path / "prometheus.yml"))


class TestDashboard:
    def test_takes_its_data_source_from_a_variable_and_brings_no_identity(self) -> None:
        sources = re.findall(r'"uid": "(.*?)"', json.dumps(DASHBOARD))
        assert len(sources) > 40 and set(sources) == {"${datasource}"}
        assert (DASHBOARD["uid"], DASHBOARD["id"]) == (None, None)
        variables = {one["name"]: one["type"] for one in DASHBOARD["templating"]["list"]}
        assert variables == {"datasource": "datasource", "team": "query", "site": "query"}

    def test_has_a_schema_version_and_panels_that_do_not_overlap(self) -> None:
        assert DASHBOARD["schemaVersion"] >= 39
        assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
            taken |= cells

    @pytest.mark.parametrize(
        "words",
        ["energy", "CO₂e by team", "intensity by site", "cost", "coverage", "ledger lag", "silent agents", "coming in"],
    )
    def test_shows(self, words: str) -> None:
        assert any(words.lower() in panel["title"].lower() for panel in panels())
