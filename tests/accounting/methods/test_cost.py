"""Money: electricity, rent, carbon, and the rate of the day."""

from datetime import date

import pytest

from accounting.methods.cost import (
    DatedRate,
    carbon_cost,
    converted,
    electricity_cost,
    rate_on,
    rental_cost,
    stated_price,
    total_cost,
)
from accounting.methods.facility import FacilityEnergy
from accounting.methods.records import Figure, Range, Status

ENERGY = FacilityEnergy(Figure(Range(27.0, 30.0, 33.0), "kWh", Status.MEASURED, ("meter",)))


def ends(figure: Figure) -> tuple[float, float, float]:
    return figure.range.low, figure.range.mid, figure.range.high


class TestElectricityCost:
    def test_is_what_the_building_draws_times_the_price(self) -> None:
        # 30 kWh x 0.25 EUR/kWh, the price exact
        cost = electricity_cost(ENERGY, stated_price(0.25, "EUR/kWh", ("site",)))
        assert ends(cost) == pytest.approx((6.75, 7.5, 8.25)) and cost.unit == "EUR"

    def test_a_price_below_nought_is_money_that_comes_in(self) -> None:
        # 30 kWh x -0.02: the more is drawn, the more comes in
        cost = electricity_cost(ENERGY, stated_price(-0.02, "EUR/kWh", ("spot",)))
        assert ends(cost) == pytest.approx((-0.66, -0.6, -0.54)) and cost.factor_ids == ("meter", "spot")

    def test_refuses_a_price_that_may_have_either_sign(self) -> None:
        with pytest.raises(ValueError, match="state one of a sign"):
            electricity_cost(ENERGY, Figure(Range(-0.1, 0.1, 0.2), "EUR/kWh", Status.MODELLED))


class TestOtherParts:
    def test_rent_is_due_by_the_hour_held(self) -> None:
        # 2.5 an hour for 90 minutes
        assert ends(rental_cost(stated_price(2.5, "EUR/h", ()), held_s=5400.0)) == pytest.approx((3.75,) * 3)

    def test_carbon_costs_by_the_tonne(self) -> None:
        # 1500 g = 0.0015 t x 80 EUR/t = 0.12 EUR
        grams = Figure(Range.exact(1500.0), "g", Status.MODELLED, ("intensity",))
        cost = carbon_cost(grams, stated_price(80.0, "EUR/t", ("policy",)))
        assert cost.range.mid == pytest.approx(0.12) and cost.unit == "EUR"

    def test_the_whole_is_the_sum_of_what_is_known_and_nothing_where_nothing_is(self) -> None:
        # 7.5 of electricity, 3.75 of rent, 0.12 of carbon
        parts = [Figure(Range.exact(x), "EUR", Status.MODELLED, (str(x),)) for x in (7.5, 3.75, 0.12)]
        total = total_cost(parts)
        assert total is not None and total.range.mid == pytest.approx(11.37)
        assert total_cost([]) is None

    def test_refuses_to_add_two_currencies(self) -> None:
        with pytest.raises(ValueError, match="cannot add EUR, USD"):
            total_cost([stated_price(1.0, "EUR", ()), stated_price(1.0, "USD", ())])


class TestRateOn:
    RATES = (DatedRate(date(2026, 2, 27), 0.92), DatedRate(date(2026, 3, 2), 0.90))

    @pytest.mark.parametrize(
        ("day", "rate", "age"),
        [
            (date(2026, 2, 27), 0.92, 0),
            (date(2026, 3, 1), 0.92, 2),  # a Sunday: Friday's
            (date(2026, 3, 2), 0.90, 0),
            (date(2026, 3, 9), 0.90, 7),
        ],
    )
    def test_takes_the_days_own_else_the_latest_before(self, day: date, rate: float, age: int) -> None:
        found = rate_on(self.RATES, day)
        assert found is not None and (found.rate, found.age_days) == (rate, age)

    @pytest.mark.parametrize("day", [date(2026, 2, 26), date(2026, 3, 10)])
    def test_knows_nothing_before_the_first_and_a_week_after_the_last(self, day: date) -> None:
        assert rate_on(self.RATES, day) is None

    def test_converts_a_price_of_either_sign(self) -> None:
        # 0.30 USD/kWh x 0.9 EUR/USD = 0.27 EUR/kWh; -0.01 x 0.9 = -0.009
        rate = stated_price(0.9, "EUR/USD", ("exchange:USD:2026-03-02",))
        dear = converted(stated_price(0.30, "USD/kWh", ("tariff",)), rate, "EUR/kWh")
        cheap = converted(stated_price(-0.01, "USD/kWh", ("spot",)), rate, "EUR/kWh")
        assert dear.range.mid == pytest.approx(0.27) and dear.unit == "EUR/kWh"
        assert dear.factor_ids == ("exchange:USD:2026-03-02", "tariff")
        assert ends(cheap) == pytest.approx((-0.009,) * 3)
