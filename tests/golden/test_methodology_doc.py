"""docs/methodology.md shows the numbers that the code and its golden tests come to, and names files that exist."""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from accounting.factors.catalog import Catalog, Row, load_packaged
from accounting.factors.cpus import cpu_rows
from accounting.factors.places import cloud_regions
from tests.flows.test_hourly_grid import FRANCE_2025
from tests.golden.test_market_based import WORKED as MARKET
from tests.golden.test_ten_kilowatts import WORKED
from tests.golden.worked_energy import ENERGY, Example
from tests.golden.worked_making import MAKING, cooling_row

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "methodology.md").read_text()
HEADINGS = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)


@cache
def catalog() -> Catalog:
    return load_packaged()


def section(heading: str) -> str:
    """Its text on one line, up to the next heading."""
    return " ".join(re.split(r"^## ", TEXT, flags=re.MULTILINE)[1 + HEADINGS.index(heading)].split())


def second_hand(rows: Iterable[Row]) -> int:
    return sum("second-hand" in row.note for row in rows)


class TestContents:
    def test_lead_to_every_section_and_nowhere_else(self) -> None:
        linked = re.findall(r"\[([^\]]+)\]\(#([\w-]+)\)", TEXT)
        assert {anchor for _, anchor in linked} == {heading.lower().replace(" ", "-") for heading in HEADINGS}
        assert {words for words, _ in linked} == set(HEADINGS)


class TestWorkedExample:
    @pytest.mark.parametrize("quantity", WORKED)
    def test_shows_what_the_golden_test_proves(self, quantity: str) -> None:
        row = re.search(rf"^\| {quantity} \| (\S+) \| (\S+) \| (\S+) \|", TEXT, re.MULTILINE)
        assert row and tuple(map(float, row.groups())) == WORKED[quantity]


class TestMarketBasedExample:
    @pytest.mark.parametrize(("rule", "kwh_per_hour"), MARKET)
    def test_shows_what_the_golden_test_proves(self, rule: str, kwh_per_hour: float) -> None:
        row = re.search(rf"^\| {rule} \| {kwh_per_hour:g} \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", TEXT, re.MULTILINE)
        assert row and tuple(map(float, row.groups())) == MARKET[rule, kwh_per_hour]


class TestExamplesInTheText:
    @pytest.mark.parametrize(("heading", "example"), [*ENERGY, *MAKING])
    def test_show_what_the_code_comes_to_today(self, heading: str, example: Example) -> None:
        text = section(heading)
        assert [words for words in example(catalog()) if words not in text] == []

    def test_of_hourly_grids_fall_back_to_the_yearly_mean_that_the_flow_test_does(self) -> None:
        assert f"takes France's {FRANCE_2025} of 2025" in section("Hour by hour")

    def test_of_metered_runs_are_the_counts_that_the_golden_test_asserts(self) -> None:
        asserted = (ROOT / "tests/golden/test_mlperf_estimates.py").read_text()
        assert "approx(143 / 153)" in asserted and "assert good == 140" in asserted
        text = section("Without a meter")
        assert "153 runs: 143 (93.5 %) within 15 %" in text and "it is 140 of 153 (91.5 %)" in text


class TestCooling:
    @pytest.mark.parametrize("way", load_packaged().keys("cooling_pue"))
    def test_table_is_what_the_catalogue_and_the_methods_come_to(self, way: str) -> None:
        assert cooling_row(catalog(), way) in TEXT


class TestFacts:
    @pytest.mark.parametrize("quantity", sorted({row.quantity for row in load_packaged()}))
    def test_are_counted_as_the_catalogue_holds_them(self, quantity: str) -> None:
        rows = [row for row in catalog() if row.quantity == quantity]
        years = [row.valid_from.year for row in rows]
        span = f"{min(years)}" if min(years) == max(years) else f"{min(years)} to {max(years)}"
        of = len({row.key for row in rows})
        assert f"| `{quantity}` | {of} | {len(rows)} | {second_hand(rows)} | {span} |" in TEXT

    def test_name_no_quantity_that_is_not_there(self) -> None:
        named = re.findall(r"^\| `(\w+)` \| \d+ \| \d+ \| \d+ \|", TEXT, re.MULTILINE)
        assert sorted(named) == sorted({row.quantity for row in catalog()})

    def test_sum_up_rows_sources_places_and_cpus(self) -> None:
        text, rows = section("Facts"), list(catalog())
        sources = tomllib.loads((ROOT / "accounting/factors/data/sources.toml").read_text())
        assert f"{len(sources)} sources" in text
        assert f"{len(rows)} rows, {second_hand(rows)} of which are second-hand" in text
        zones = catalog().keys("grid_intensity")
        assert f"{sum(len(zone) == 2 for zone in zones)} countries" in text
        for prefix, words in (
            ("US-", "US states"), ("CA-", "Canadian provinces"), ("CN-", "Chinese provinces"), ("NO-", "Norwegian and"),
            ("SE-", "Swedish zones"),
        ):  # fmt: skip
            assert f"{sum(zone.startswith(prefix) for zone in zones)} {words}" in text
        of = [region.provider for region in cloud_regions().values()]
        by_provider = f"{of.count('azure')} of Azure, {of.count('gcp')} of Google, {of.count('aws')} of AWS"
        assert f"{len(of)} cloud regions ({by_provider})" in text
        assert f"TDP of {len(cpu_rows())} CPUs" in text


class TestCode:
    def test_every_file_named_exists(self) -> None:
        named = re.findall(r"`((?:accounting|tests)/[\w/.*]+)`", TEXT)
        assert len(named) > 40
        assert [name for name in named if not list(ROOT.glob(name))] == []
