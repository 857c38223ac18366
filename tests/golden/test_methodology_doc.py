"""docs/methodology.md shows the numbers that the golden test proves, and names files that exist."""

import re
from pathlib import Path

import pytest

from tests.golden.test_market_based import WORKED as MARKET
from tests.golden.test_ten_kilowatts import WORKED

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "methodology.md").read_text()


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


class TestCode:
    def test_every_file_named_exists(self) -> None:
        named = re.findall(r"`((?:accounting|tests)/[\w/.*]+)`", TEXT)
        assert len(named) > 5
        assert [name for name in named if not list(ROOT.glob(name))] == []
