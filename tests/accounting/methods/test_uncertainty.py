"""Ranges through a calculation: independent sources partly cancel, one source does not, and the widest is named."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.records import Range
from accounting.methods.uncertainty import Uncertain, product, spread, total, what_drives

positive = st.lists(st.floats(0.01, 1e6), min_size=3, max_size=3).map(lambda xs: Range(*sorted(xs)))


def of(low: float, mid: float, high: float, source: str) -> Uncertain:
    return Uncertain(Range(low, mid, high), source)


def ends(r: Range) -> tuple[float, float, float]:
    return r.low, r.mid, r.high


class TestProduct:
    def test_combines_independent_sources_in_quadrature_of_their_logarithms(self) -> None:
        # 10 within a factor e^0.3 and 2 within e^0.4: sqrt(0.09 + 0.16) = 0.5, so 20 within e^0.5
        a = of(10 * math.exp(-0.3), 10, 10 * math.exp(0.3), "a")
        b = of(2 * math.exp(-0.4), 2, 2 * math.exp(0.4), "b")
        got = product({"a": a, "b": b})
        assert ends(got.range) == pytest.approx((20 * math.exp(-0.5), 20, 20 * math.exp(0.5)))
        # 0.16 / 0.25 of the squared width is b's, 0.09 / 0.25 a's
        assert [s for s, _ in got.drivers] == ["b", "a"]
        assert [share for _, share in got.drivers] == pytest.approx([0.64, 0.36])

    def test_moves_inputs_of_one_source_together(self) -> None:
        # both half to double, both the same meter: 0.25 to 4 times, nothing cancels
        got = product({"a": of(1, 2, 4, "meter"), "b": of(5, 10, 20, "meter")})
        assert ends(got.range) == pytest.approx((5, 20, 80)) and got.drivers == (("meter", 1.0),)

    def test_of_exact_inputs_is_exact_and_has_no_driver(self) -> None:
        got = product({"a": of(3, 3, 3, "a"), "b": of(4, 4, 4, "b")})
        assert ends(got.range) == (12, 12, 12) and got.drivers == ()

    def test_reaches_down_to_nought_where_an_input_does(self) -> None:
        assert product({"a": of(0, 1, 2, "a"), "b": of(1, 2, 4, "b")}).range.low == 0

    def test_has_a_range_around_a_middle_of_nought(self) -> None:
        # 0 (at most 3) times 2 (at most 4): one moved at a time, 3 x 2 = 6
        assert ends(product({"a": of(0, 0, 3, "a"), "b": of(1, 2, 4, "b")}).range) == pytest.approx((0, 0, 6))

    @given(positive, positive)
    def test_is_never_wider_than_low_by_low_and_high_by_high(self, a: Range, b: Range) -> None:
        got, widest = product({"a": Uncertain(a, "a"), "b": Uncertain(b, "b")}).range, a.times(b)
        assert widest.low <= got.low * (1 + 1e-9) and got.high <= widest.high * (1 + 1e-9)
        together = product({"a": Uncertain(a, "one"), "b": Uncertain(b, "one")}).range
        assert ends(together) == pytest.approx(ends(widest))

    @given(st.lists(positive, min_size=1, max_size=5))
    def test_shares_of_the_drivers_add_up_to_one(self, parts: list[Range]) -> None:
        got = product({str(i): Uncertain(r, str(i)) for i, r in enumerate(parts)})
        assert not got.drivers or sum(share for _, share in got.drivers) == pytest.approx(1)
        assert got.range.low <= got.range.mid <= got.range.high

    def test_refuses_an_input_below_zero(self) -> None:
        with pytest.raises(ValueError, match=r"below zero.*'a': -1"):
            product({"a": of(-1, 1, 2, "a")})


class TestTotal:
    def test_of_one_source_adds_the_ends(self) -> None:
        assert ends(total({"a": of(1, 2, 3, "x"), "b": of(10, 20, 30, "x")}).range) == pytest.approx((11, 22, 33))

    def test_of_two_sources_moves_one_at_a_time(self) -> None:
        # 1 + 1, each up to 3: (3 + 1) / 2 = 2 times, twice: e^(ln 2 x sqrt 2) x 2 = 5.3306
        got = total({"a": of(1, 1, 3, "a"), "b": of(1, 1, 3, "b")}).range
        assert ends(got) == pytest.approx((2, 2, 2 * math.exp(math.log(2) * math.sqrt(2))))


class TestSpread:
    def test_lets_an_inverse_take_its_high_end_from_the_low_input(self) -> None:
        got = spread(lambda v: {"rate": 12 / v["life"]}, {"life": of(2, 3, 6, "life")})
        assert ends(got["rate"].range) == pytest.approx((2, 4, 6))  # 12/6, 12/3, 12/2

    def test_refuses_a_result_below_zero(self) -> None:
        with pytest.raises(ValueError, match="below zero"):
            spread(lambda v: {"x": v["a"] - 3}, {"a": of(1, 4, 5, "a")})


class TestWhatDrives:
    # ln 1.25 = 0.22314 for the sensor and for the overhead, ln 1.5 = 0.40547 for the grid; up and down alike.
    # Squared, twice the width: 0.19917, 0.19917, 0.65762; their sum 1.05597.
    # Shares: grid 0.65762 / 1.05597 = 0.62277, the other two 0.19917 / 1.05597 = 0.18861 each.
    def test_golden_gives_each_stage_what_it_adds_in_quadrature(self) -> None:
        once, twice = math.log(1.25), math.hypot(math.log(1.25), math.log(1.25))
        thrice = math.hypot(twice, math.log(1.5))
        stages = [
            ("sensor", around(10.0, once)),
            ("overhead", around(15.0, twice)),
            ("grid", around(6000.0, thrice)),
        ]
        shares = dict(what_drives([stages]))
        assert shares["grid"] == pytest.approx(0.62277, abs=1e-5)
        assert shares["sensor"] == shares["overhead"] == pytest.approx(0.18861, abs=1e-5)

    def test_weighs_each_product_by_what_it_comes_to(self) -> None:
        # 900 g that may be double or half through the grid, 100 g of making the same: 900^2 against 100^2 to first
        # order; moved to their highs 1900 and 1100 of 1000: ln 1.9 = 0.642, ln 1.1 = 0.095.
        ln2 = math.log(2)
        (first, large), (second, small) = what_drives([[("grid", around(900, ln2))], [("making", around(100, ln2))]])
        assert (first, second) == ("grid", "making") and large > 0.95 and large + small == pytest.approx(1.0)

    def test_one_source_in_several_products_is_one_driver(self) -> None:
        width = math.log(1.5)
        assert what_drives([[("grid", around(10, width))], [("grid", around(20, width))]]) == (("grid", 1.0),)

    def test_nothing_drives_what_is_exact_or_nought(self) -> None:
        assert what_drives([[("grid", Range.exact(5.0))], [("making", Range.exact(0.0))]]) == ()
        assert what_drives([]) == ()

    def test_a_stage_that_makes_it_narrower_drives_nothing(self) -> None:
        shares = dict(what_drives([[("sensor", around(10, 0.4)), ("cooling", around(15, 0.2))]]))
        assert shares == {"sensor": 1.0}

    def test_refuses_a_product_of_nothing(self) -> None:
        with pytest.raises(ValueError, match="at least one stage"):
            what_drives([[]])


def around(mid: float, log_width: float) -> Range:
    return Range(mid * math.exp(-log_width), mid, mid * math.exp(log_width))
