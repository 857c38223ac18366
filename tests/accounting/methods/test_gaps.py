"""An estimate of what the holes may hide: worked by hand, and never below idle or above what was seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.gaps import METHOD, Hole, estimate_gaps

watts = st.floats(0, 1e4)


class TestEstimateGaps:
    def test_is_the_mean_power_around_a_hole_over_its_length(self) -> None:
        # Half an hour at a mean of 400 W: 0.2 kWh; at an idle 100 W 0.05 kWh, at the highest 700 W 0.35 kWh
        got = estimate_gaps([Hole(1800.0, mean_w=400.0, highest_w=700.0, idle_w=100.0)])
        assert got is not None and got.method == METHOD and got.missing_s == 1800.0
        low, mid, high = got.gap_estimate_kwh.low, got.gap_estimate_kwh.mid, got.gap_estimate_kwh.high
        assert (low, mid, high) == pytest.approx((0.05, 0.2, 0.35))

    def test_holes_add_up_low_with_low_and_high_with_high(self) -> None:
        # 3600 s x (0, 100, 100) W and 1800 s x (100, 400, 700) W: 0.05, 0.3 and 0.45 kWh
        got = estimate_gaps([Hole(3600.0, 100.0, 100.0), Hole(1800.0, 400.0, 700.0, 100.0)])
        assert got is not None and got.missing_s == 5400.0
        low, mid, high = got.gap_estimate_kwh.low, got.gap_estimate_kwh.mid, got.gap_estimate_kwh.high
        assert (low, mid, high) == pytest.approx((0.05, 0.3, 0.45))

    def test_says_nothing_where_nothing_is_missing(self) -> None:
        assert estimate_gaps([Hole(0.0, 100.0, 100.0)]) is None and estimate_gaps([]) is None

    def test_refuses_a_highest_draw_below_the_mean(self) -> None:
        with pytest.raises(ValueError, match="not a hole"):
            estimate_gaps([Hole(60.0, mean_w=200.0, highest_w=100.0)])

    @given(st.floats(0.1, 1e6), watts, watts, watts)
    def test_lies_between_idle_and_the_highest_draw(self, missing_s: float, mean: float, more: float, idle: float):
        got = estimate_gaps([Hole(missing_s, mean, mean + more, idle)])
        assert got is not None
        kwh = got.gap_estimate_kwh
        assert kwh.low <= idle * missing_s / 3.6e6 * (1 + 1e-12)
        assert kwh.high == pytest.approx((mean + more) * missing_s / 3.6e6)
