"""Lines of what drives a range: inputs that read alike are told once, and no share is lost."""

import pytest

from accounting.methods.records import Status
from accounting.reports.drivers import Driver, _told_once

SENSOR, GRID = "The machine’s own power sensor", "Grid intensity of FR"


class TestToldOnce:
    def test_adds_up_the_shares_of_lines_that_read_alike_and_keeps_their_factors(self) -> None:
        # Two sensors at 2 % and 3 % of the squared width are one line of 5 %, which then goes before the grid's 4 %.
        found = [
            Driver(GRID, 0.04, Status.MEASURED, ("grid:FR",)),
            Driver(SENSOR, 0.03, Status.MODELLED, ("tolerance:rapl", "a")),
            Driver(SENSOR, 0.02, Status.MODELLED, ("tolerance:nvml", "a")),
        ]
        first, second = _told_once(found)
        assert first.words == SENSOR and first.share == pytest.approx(0.05)
        assert first.factor_ids == ("tolerance:rapl", "a", "tolerance:nvml") and second.words == GRID

    def test_keeps_apart_what_is_known_otherwise(self) -> None:
        found = [Driver(SENSOR, 0.5, Status.MEASURED, ("a",)), Driver(SENSOR, 0.5, Status.DEFAULT, ("b",))]
        assert len(_told_once(found)) == 2
