"""Figures: how ranges combine, who made them wide, and what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.records import Figure, Range, Status


def figure(low: float, mid: float, high: float, unit: str, *ids: str) -> Figure:
    return Figure(Range(low, mid, high), unit, Status.MODELLED, ids)


def exact(value: float, unit: str = "1") -> Figure:
    return Figure(Range.exact(value), unit, Status.MEASURED)


above_zero = st.floats(1e-6, 1e6)
wide = st.lists(above_zero, min_size=3, max_size=3).map(lambda xs: Range(*sorted(xs)))
ranges = st.lists(st.floats(0, 1e6), min_size=3, max_size=3).map(lambda xs: Range(*sorted(xs)))


class TestTimes:
    def test_independent_sources_combine_in_quadrature(self) -> None:
        # 2 x 3 = 6; each may be twice as much: exp(sqrt(2) x ln 2) = 2.6651 times, not 4 times
        got = figure(1, 2, 4, "kWh", "a").times(figure(1.5, 3, 6, "1", "b"), "kWh").range
        assert (got.low, got.mid, got.high) == pytest.approx((6 / 2.665144, 6.0, 6 * 2.665144), rel=1e-6)

    def test_one_source_twice_errs_in_the_same_direction(self) -> None:
        # the same tolerance on both: low by low, high by high
        got = figure(1, 2, 4, "kWh", "a").times(figure(1.5, 3, 6, "1", "a"), "kWh").range
        assert (got.low, got.mid, got.high) == pytest.approx((1.5, 6.0, 24.0))

    def test_an_exact_factor_leaves_the_ends_exact(self) -> None:
        assert figure(9, 10, 11, "kWh", "a").times(exact(3.0), "kWh").range == Range(27.0, 30.0, 33.0)

    def test_nought_stays_nought_and_a_low_of_nought_reaches_nought(self) -> None:
        assert exact(0.0, "kWh").times(figure(1, 2, 3, "1", "a"), "kWh").range == Range(0.0, 0.0, 0.0)
        assert figure(0, 2, 3, "1", "a").times(figure(1, 2, 3, "1", "b"), "1").range.low == 0.0

    @given(ranges, ranges)
    def test_lies_within_low_by_low_and_high_by_high(self, one: Range, other: Range) -> None:
        ends = one.times(other)
        got = Figure(one, "a", Status.MEASURED, ("a",)).times(Figure(other, "b", Status.MEASURED, ("b",)), "c").range
        assert ends.low <= got.low <= got.mid == ends.mid <= got.high <= ends.high

    def test_refuses_what_lies_below_zero(self) -> None:
        with pytest.raises(ValueError, match="below zero"):
            figure(-1, 0, 1, "kWh").times(exact(1.0), "kWh")


class TestOver:
    def test_the_same_source_above_and_below_cancels(self) -> None:
        ratio = figure(9, 10, 11, "kWh", "meter").over(figure(18, 20, 22, "kWh", "meter"), "1").range
        assert (ratio.low, ratio.mid, ratio.high) == pytest.approx((0.5, 0.5, 0.5))

    def test_refuses_a_divisor_that_may_be_nought(self) -> None:
        with pytest.raises(ValueError, match="may be nought"):
            exact(1.0).over(figure(0, 1, 2, "h", "a"), "1/h")


class TestPlus:
    def test_independent_parts_partly_cancel(self) -> None:
        # 10 + 10, each 8 to 12: 18 and 22 from either; low 20 x exp(-sqrt(2) x ln(20/18)) = 17.23
        got = figure(8, 10, 12, "g", "a").plus(figure(8, 10, 12, "g", "b")).range
        low, high = 20 * math.exp(-math.sqrt(2) * math.log(20 / 18)), 20 * math.exp(math.sqrt(2) * math.log(22 / 20))
        assert (got.low, got.mid, got.high) == pytest.approx((low, 20.0, high))

    def test_parts_of_one_source_move_together(self) -> None:
        assert figure(8, 10, 12, "g", "a").plus(figure(4, 5, 6, "g", "a")).range == Range(12.0, 15.0, 18.0)

    @given(ranges, ranges)
    def test_lies_within_the_sum_of_the_ends(self, one: Range, other: Range) -> None:
        got = Figure(one, "g", Status.MEASURED, ("a",)).plus(Figure(other, "g", Status.MEASURED, ("b",))).range
        assert one.low + other.low <= got.low <= got.mid <= got.high <= one.high + other.high

    def test_refuses_to_add_litres_to_grams(self) -> None:
        with pytest.raises(ValueError, match="cannot add g, L"):
            exact(1.0, "g").plus(exact(1.0, "L"))


class TestDrivers:
    def test_name_the_source_that_makes_a_figure_wide(self) -> None:
        # widths of ln 4 and ln 2 (both ends): 16 ln(2)^2 against 4 ln(2)^2: four fifths and one fifth
        got = figure(1, 4, 16, "g", "grid").times(figure(1, 2, 4, "1", "pue"), "g").drivers
        assert got == (("grid", pytest.approx(0.8)), ("pue", pytest.approx(0.2)))

    def test_are_none_where_nothing_is_uncertain(self) -> None:
        assert exact(3.0).times(exact(2.0), "1").drivers == ()

    @given(wide, wide, wide)
    def test_shares_add_up_to_one(self, a: Range, b: Range, c: Range) -> None:
        of = [Figure(r, "1", Status.MEASURED, (name,)) for r, name in ((a, "a"), (b, "b"), (c, "c"))]
        shares = of[0].times(of[1], "1").plus(of[2]).drivers
        assert not shares or math.fsum(share for _, share in shares) == pytest.approx(1.0)
