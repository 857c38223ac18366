"""ISO/IEC 21031: the score, its unit, and what it refuses."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.operational import Basis, Operational
from accounting.methods.records import Figure, Range, Status
from accounting.methods.sci import FunctionalUnit, MarketInstrumentRefused, sci_g_per_unit

MADE = Figure(Range(20, 28, 40), "g", Status.DEFAULT, ("embodied:node",))
RUN = Figure(Range(1300, 1500, 1700), "g", Status.MEASURED, ("intensity:IE",))


class TestSci:
    def test_divides_running_and_making_by_the_functional_units(self) -> None:
        # (30 kWh x 50 g/kWh + 28 g) / 1000 tokens = 1.528 g a token. Running alone moves the 1528 g by 200, making by 8
        # and 12: down hypot(ln(1528/1328), ln(1528/1520)) = 0.14037, up hypot(ln(1728/1528), ln(1540/1528)) = 0.12326
        got = sci_g_per_unit(Operational(RUN, Basis.LOCATION), MADE, FunctionalUnit("token", 1000))
        assert (got.range.low, got.range.mid, got.range.high) == pytest.approx((1.327870, 1.528, 1.728429), rel=1e-6)
        assert (got.unit, got.status, got.factor_ids) == ("g/token", Status.DEFAULT, ("embodied:node", "intensity:IE"))

    @given(st.floats(1e-3, 1e12), st.floats(1.01, 1e3))
    def test_halves_when_twice_as_much_is_served(self, count: float, times: float) -> None:
        once, more = (
            sci_g_per_unit(Operational(RUN, Basis.LOCATION), MADE, FunctionalUnit("user", n)).range.mid
            for n in (count, count * times)
        )
        assert once == pytest.approx(more * times)

    def test_refuses_market_based_carbon(self) -> None:
        with pytest.raises(MarketInstrumentRefused, match=r"market-based.*location-based"):
            sci_g_per_unit(Operational(RUN, Basis.MARKET), MADE, FunctionalUnit("token", 1))

    @pytest.mark.parametrize("count", [0, -1, math.nan, math.inf])
    def test_refuses_a_count_that_divides_by_nothing(self, count: float) -> None:
        with pytest.raises(ValueError, match="number above zero"):
            FunctionalUnit("token", count)

    def test_refuses_a_unit_without_a_name(self) -> None:
        with pytest.raises(ValueError, match="name what is counted"):
            FunctionalUnit(" ", 1)
