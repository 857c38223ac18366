"""What holds of every combination of ranges (JCGM 100:2008, 5.1.2, 5.1.6 and 5.2.2), and that dice agree."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accounting.methods.records import Range
from accounting.methods.uncertainty import Spread, Uncertain, product, spread, total

mids = st.floats(1e-3, 1e6)
widths = st.just(0.0) | st.floats(1e-6, 3.0)  # of the logarithm: exact, or up to twenty times; less is a rounding


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    mid = draw(mids)
    return Range(mid * math.exp(-draw(widths)), mid, mid * math.exp(draw(widths)))


Combine = Callable[[Mapping[str, Uncertain]], Spread]
several = st.lists(ranges(), min_size=2, max_size=5)
ways = pytest.mark.parametrize("combine", [product, total])


def independent(parts: list[Range]) -> dict[str, Uncertain]:
    return {f"x{i}": Uncertain(r, f"source {i}") for i, r in enumerate(parts)}


def of_one_source(parts: list[Range]) -> dict[str, Uncertain]:
    return {f"x{i}": Uncertain(r, "meter") for i, r in enumerate(parts)}


def down(r: Range) -> float:
    return math.log(r.mid / r.low)


def up(r: Range) -> float:
    return math.log(r.high / r.mid)


def shares(spread: Spread) -> dict[str, float]:
    return dict(spread.drivers)


class TestIndependentSources:
    @given(several)
    def test_of_a_product_combine_in_quadrature_of_their_logarithms(self, parts: list[Range]) -> None:
        got = product(independent(parts)).range
        assert down(got) == pytest.approx(math.hypot(*map(down, parts)), abs=1e-9)
        assert up(got) == pytest.approx(math.hypot(*map(up, parts)), abs=1e-9)

    @given(st.lists(st.tuples(mids, st.floats(1e-5, 1e-4)), min_size=2, max_size=5))
    def test_of_a_sum_combine_as_equation_10_has_it_if_narrow(self, parts: list[tuple[float, float]]) -> None:
        # u(y)^2 = sum of u(x)^2: every sensitivity coefficient of a sum is 1
        got = total(independent([Range(m * (1 - w), m, m * (1 + w)) for m, w in parts])).range
        expected = math.hypot(*(m * w for m, w in parts))
        assert got.high - got.mid == pytest.approx(expected, rel=1e-3)
        assert got.mid - got.low == pytest.approx(expected, rel=1e-3)

    @given(st.integers(1, 30), st.floats(1e-4, 1e-3))
    def test_alike_and_added_up_are_narrower_by_the_root_of_their_number(self, n: int, width: float) -> None:
        got = total(independent([Range(1 - width, 1, 1 + width)] * n)).range
        assert got.high / got.mid - 1 == pytest.approx(width / math.sqrt(n), rel=1e-2)

    @ways
    @given(parts=several)
    def test_are_never_wider_than_one_source(self, combine: Combine, parts: list[Range]) -> None:
        apart, together = combine(independent(parts)).range, combine(of_one_source(parts)).range
        assert together.low <= apart.low * (1 + 1e-9) and apart.high <= together.high * (1 + 1e-9)

    def test_that_are_wide_never_add_up_to_more_than_all_their_highs(self) -> None:
        # 1 (at most 21) twice: (22 / 2) each, e^(ln 11 x sqrt 2) x 2 = 59, but 21 + 21 is the most there can be
        wide = Range(1, 1, 21)
        assert total(independent([wide, wide])).range.high == pytest.approx(42.0)

    @ways
    @given(parts=several)
    def test_reach_at_least_as_far_as_any_of_them_alone(self, combine: Combine, parts: list[Range]) -> None:
        got = combine(independent(parts)).range
        for i in range(len(parts)):
            fixed = [r if i == k else Range.exact(r.mid) for k, r in enumerate(parts)]
            alone = combine(independent(fixed)).range
            assert got.low <= alone.low * (1 + 1e-9) and alone.high <= got.high * (1 + 1e-9)


class TestOneSource:
    @given(several)
    def test_of_a_product_adds_the_logarithms(self, parts: list[Range]) -> None:
        got = product(of_one_source(parts)).range
        assert down(got) == pytest.approx(sum(map(down, parts)), abs=1e-9)
        assert up(got) == pytest.approx(sum(map(up, parts)), abs=1e-9)

    @given(several)
    def test_of_a_sum_adds_the_ends(self, parts: list[Range]) -> None:
        got = total(of_one_source(parts)).range
        assert (got.low, got.high) == pytest.approx((sum(r.low for r in parts), sum(r.high for r in parts)))

    @given(ranges())
    def test_cancels_where_it_stands_above_and_below_the_line(self, r: Range) -> None:
        # 5.2.2, note 1: coefficients of opposite sign subtract; a meter's error leaves the ratio of its readings alone
        inputs = {"a": Uncertain(r, "meter"), "b": Uncertain(r.scaled(2.0), "meter")}
        got = spread(lambda v: {"ratio": v["a"] / v["b"]}, inputs)["ratio"]
        assert (got.range.low, got.range.high) == pytest.approx((0.5, 0.5))

    @given(ranges(), st.sampled_from([0.5, 2.0, 3.0]))
    def test_counts_by_the_power_it_stands_in(self, r: Range, power: float) -> None:
        # 5.1.6: the relative width of x^p is p times that of x
        got = spread(lambda v: {"y": v["x"] ** power}, {"x": Uncertain(r, "x")})["y"].range
        assert (down(got), up(got)) == pytest.approx((power * down(r), power * up(r)), abs=1e-9)


class TestEveryCombination:
    @ways
    @given(parts=several, factor=st.floats(1.0, 10.0))
    def test_is_no_narrower_when_an_input_is_wider(self, combine: Combine, parts: list[Range], factor: float) -> None:
        first = Range(parts[0].low / factor, parts[0].mid, parts[0].high * factor)
        before, after = combine(independent(parts)), combine(independent([first, *parts[1:]]))
        assert after.range.low <= before.range.low * (1 + 1e-9)
        assert before.range.high <= after.range.high * (1 + 1e-9)

    @ways
    @given(parts=several, factor=st.floats(1.0, 10.0))
    def test_blames_an_input_no_less_if_wider(self, combine: Combine, parts: list[Range], factor: float) -> None:
        first = Range(parts[0].low / factor, parts[0].mid, parts[0].high * factor)
        before, after = combine(independent(parts)), combine(independent([first, *parts[1:]]))
        assert shares(before).get("source 0", 0.0) <= shares(after).get("source 0", 0.0) + 1e-9

    @ways
    @given(parts=several, unit=st.floats(1e-6, 1e6))
    def test_does_not_depend_on_the_unit(self, combine: Combine, parts: list[Range], unit: float) -> None:
        scaled = [r.scaled(unit) if combine is total or i == 0 else r for i, r in enumerate(parts)]
        one, other = combine(independent(parts)), combine(independent(scaled))
        wanted = one.range.scaled(unit)
        got = other.range
        assert (got.low, got.mid, got.high) == pytest.approx((wanted.low, wanted.mid, wanted.high), rel=1e-9)
        assert shares(other) == pytest.approx(shares(one), abs=1e-6)

    @ways
    @given(parts=several)
    def test_does_not_depend_on_the_order(self, combine: Combine, parts: list[Range]) -> None:
        inputs = independent(parts)
        one, other = combine(inputs), combine(dict(reversed(inputs.items())))
        assert (one.range.low, one.range.high) == pytest.approx((other.range.low, other.range.high), rel=1e-12)

    @ways
    @given(parts=several)
    def test_has_drivers_whose_shares_add_up_to_one_largest_first(self, combine: Combine, parts: list[Range]) -> None:
        drivers = combine(independent(parts)).drivers
        assume(drivers)
        told = [share for _, share in drivers]
        assert sum(told) == pytest.approx(1.0) and told == sorted(told, reverse=True) and min(told) > 0

    @ways
    @given(parts=several, known=mids)
    def test_is_as_wide_with_an_exact_input_more(self, combine: Combine, parts: list[Range], known: float) -> None:
        one, more = combine(independent(parts)), combine(independent([*parts, Range.exact(known)]))
        assert f"source {len(parts)}" not in shares(more)
        if combine is product:
            assert (down(more.range), up(more.range)) == pytest.approx((down(one.range), up(one.range)), abs=1e-9)
            assert shares(more) == pytest.approx(shares(one), abs=1e-6)

    @ways
    @given(parts=several)
    def test_keeps_the_middle_as_it_is_computed(self, combine: Combine, parts: list[Range]) -> None:
        middle = [r.mid for r in parts]
        expected = math.prod(middle) if combine is product else math.fsum(middle)
        assert combine(independent(parts)).range.mid == pytest.approx(expected, rel=1e-12)


class TestNought:
    def test_makes_its_source_the_first_of_the_drivers(self) -> None:
        # down to nothing counts for no less than down to a tenth
        got = product(independent([Range(0, 1, 1.01), Range(0.1, 1, 1.0)]))
        assert got.range.low == 0 and got.drivers[0][0] == "source 0"


class TestAgainstDice:
    def test_energy_times_pue_times_intensity_has_the_quantiles_of_log_normal_draws(self) -> None:
        # JCGM 101: 90 % ranges are 1.645 standard deviations of the logarithm; 400,000 draws of each of the three
        parts = [Range(9, 10, 100 / 9), Range(1.2, 1.5, 1.875), Range(300 / 1.6, 300, 480)]
        dice = np.random.default_rng(20260302)
        draws = math.prod(r.mid * np.exp(dice.normal(0, up(r) / 1.6448536, 400_000)) for r in parts)
        got = product(independent(parts)).range
        low, high = np.quantile(np.asarray(draws), [0.05, 0.95])
        assert (got.low, got.high) == pytest.approx((low, high), rel=5e-3)

    def test_a_sum_of_ten_machines_is_within_five_per_cent_of_the_draws(self) -> None:
        parts = [Range(100 / 1.5, 100, 150)] * 10
        dice = np.random.default_rng(7)
        draws = (100 * np.exp(dice.normal(0, math.log(1.5) / 1.6448536, (200_000, 10)))).sum(axis=1)
        got = total(independent(parts)).range
        low, high = np.quantile(draws, [0.05, 0.95])
        assert (got.low, got.high) == pytest.approx((low, high), rel=0.05)
