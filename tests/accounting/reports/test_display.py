"""Figures in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.reports.display import SCALES, duration, show, significant


class TestSignificant:
    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (0.0, "0"), (1.0, "1.00"), (38.44, "38.4"), (118.4, "118"), (0.012345, "0.0123"), (1234.5, "1,230"),
            (9.996, "10.0"), (99.96, "100"), (0.9999, "1.00"), (-2.105, "−2.10"),
        ],
    )  # fmt: skip
    def test_keeps_three_digits_without_an_exponent(self, value: float, words: str) -> None:
        assert significant(value) == words

    def test_refuses_what_is_no_figure(self) -> None:
        with pytest.raises(ValueError, match="nan"):
            significant(float("nan"))

    @given(st.floats(1e-6, 1e9))
    def test_is_never_off_by_more_than_half_a_per_cent(self, value: float) -> None:
        assert float(significant(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


class TestShow:
    def test_puts_low_and_high_in_the_unit_that_fits_mid(self) -> None:
        shown = show("carbon_g", 38_400.0, 900.0, 43_000_000.0)
        assert (shown.low, shown.mid, shown.high, shown.unit) == ("0.900", "38.4", "43,000", "kg")

    def test_does_not_write_1000_of_a_unit(self) -> None:
        assert (show("energy_kwh", 0.9999).mid, show("energy_kwh", 0.9999).unit) == ("1.00", "kWh")

    def test_shows_nothing_as_zero_of_the_base_unit(self) -> None:
        assert (show("energy_kwh", 0.0).mid, show("energy_kwh", 0.0).unit) == ("0", "kWh")

    def test_gives_money_its_currency(self) -> None:
        assert (show("cost", 214_000.0, currency="EUR").mid, show("cost", 214_000.0, currency="EUR").unit) == (
            "214",
            "k EUR",
        )

    @pytest.mark.parametrize(
        ("kwh", "words"),
        [(0.25, "250 Wh"), (0.000_25, "0.250 Wh"), (0.000_012, "0.0120 Wh"), (0.000_002, "7.20 J"), (1e-9, "3.60 mJ")],
    )  # 2e-6 kWh x 3.6e6 J/kWh = 7.2 J
    def test_never_says_mwh_for_a_thousandth_which_would_be_read_as_a_million(self, kwh: float, words: str) -> None:
        shown = show("energy_kwh", kwh)
        assert f"{shown.mid} {shown.unit}" == words

    @pytest.mark.parametrize(
        ("cost", "currency", "words"),
        [(0.2, "EUR", "0.200 EUR"), (0.0123, "EUR", "1.23 cent"), (0.0000757, "EUR", "0.0076 cent"),
         (0.0123, "GBP", "1.23 pence"), (0.0000757, "CHF", "0.000076 CHF"), (0.0, "EUR", "0 EUR")],
    )  # fmt: skip
    def test_counts_small_money_in_cents(self, cost: float, currency: str, words: str) -> None:
        shown = show("cost", cost, currency=currency)
        assert f"{shown.mid} {shown.unit}" == words

    @pytest.mark.parametrize("kind", SCALES)
    def test_knows_every_kind(self, kind: str) -> None:
        assert show(kind, 12.0).mid


class TestDuration:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(0, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min"), (3605, "1 h"),
         (86_400 * 4 + 3 * 3600 + 59, "4 d 3 h"), (-5, "0 s")],
    )  # fmt: skip
    def test_names_at_most_two_neighbouring_units(self, seconds: float, words: str) -> None:
        assert duration(seconds) == words
