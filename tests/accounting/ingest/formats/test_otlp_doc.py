"""docs/opentelemetry.md against the code: metrics, units, kinds of part and limits."""

import re
from pathlib import Path

from accounting.api.otlp import MOST_BYTES, MOST_DECODED_BYTES, MOST_POINTS
from accounting.ingest.formats.otlp import ADDED_AT_ONCE_S, MOST_PART_W, MOST_W
from accounting.ingest.formats.otlp_metrics import KINDS, METRICS, PASSED_ON, UNITS, factor
from accounting.ingest.formats.otlp_wire import Kind

DOC = (Path(__file__).resolve().parents[4] / "docs/opentelemetry.md").read_text()
QUANTITIES = {"energy": "energy_j", "power": "power_w", "use": "utilization", "memory": "memory_used_bytes"}


def rows(title: str) -> dict[str, list[str]]:
    """The cells of the table whose first heading this is, by the first."""
    table = DOC.split(f"| {title} |", 1)[1].split("\n\n", 1)[0]
    lines = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    return {first.strip().strip("`"): [cell.strip() for cell in rest] for first, *rest in lines}


class TestTables:
    def test_name_every_metric_with_its_shape(self) -> None:
        shapes = {(Kind.COUNTER, Kind.DELTA): "Sum that only rises, cumulative or delta", (Kind.GAUGE,): "Gauge"}
        assert {name: cells[0] for name, cells in rows("metric").items()} == {
            name: shapes[meaning.kinds] for name, meaning in METRICS.items()
        }

    def test_name_every_unit(self) -> None:
        told = {QUANTITIES[name]: re.findall(r"`(.*?)`", cells[0]) for name, cells in rows("quantity").items()}
        assert told == {reading: list(units) for reading, units in UNITS.items()}

    def test_name_every_kind_of_part(self) -> None:
        told = re.search(r"`hw.type` is (.*?)\. Of (.*?) nothing", DOC, re.DOTALL)
        assert told is not None
        assert re.findall(r"`(.*?)`", told[1]) == list(KINDS)
        assert re.findall(r"`(.*?)`", told[2]) == list(PASSED_ON)

    def test_state_the_limits_that_hold(self) -> None:
        assert (MOST_BYTES, MOST_DECODED_BYTES, MOST_POINTS) == (4 << 20, 8 << 20, 50_000)
        assert (MOST_PART_W, MOST_W, ADDED_AT_ONCE_S) == (2e3, {"node": 200e3}, 60.0)
        for words in ("4 MiB", "8 MiB", "50 000 points", "2 kW", "200 kW", "a minute"):
            assert words in DOC


class TestUnits:
    def test_of_energy_agree_with_each_other(self) -> None:
        """One kilowatt-hour, written in each: 3.6 MJ."""
        amounts = {"J": 3.6e6, "mJ": 3.6e9, "uJ": 3.6e12, "kJ": 3600, "MJ": 3.6, "W.s": 3.6e6, "W.h": 1000, "Wh": 1000}
        amounts |= {"kW.h": 1, "kWh": 1, "MW.h": 0.001, "MWh": 0.001}
        assert amounts.keys() == UNITS["energy_j"].keys()
        for unit, amount in amounts.items():
            scale = factor("energy_j", unit)
            assert scale is not None
            assert amount * scale[0] / scale[1] == 3.6e6
