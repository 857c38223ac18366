"""Facility energy, carbon, water, cost and roll-ups: the arithmetic, the order of a range, the refusals."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.cost import electricity_cost
from accounting.methods.embodied import embodied_g, embodied_rate_g_per_h
from accounting.methods.facility import (
    FacilityEnergy,
    Held,
    ItEnergy,
    facility_energy,
    it_power_w,
    pue_of_cooling,
    time_mean,
)
from accounting.methods.operational import co2e_location_g
from accounting.methods.records import Figure, Range, Status
from accounting.methods.rollup import Part, add_up
from accounting.methods.water import offsite_l, onsite_l, wue_of_litres

amounts = st.floats(0, 1e9)
ranges = st.lists(amounts, min_size=3, max_size=3).map(lambda xs: Range(*sorted(xs)))


def figure(low: float, mid: float, high: float, unit: str, status=Status.MEASURED, *ids: str) -> Figure:
    return Figure(Range(low, mid, high), unit, status, ids)


IT = ItEnergy(figure(9.5, 10, 10.5, "kWh", Status.MEASURED, "tolerance:gpu/measured"))
PUE = figure(1.2, 1.5, 2.0, "1", Status.MODELLED, "pue:x")


class TestFacilityEnergy:
    def test_combines_the_two_independent_ranges_in_quadrature(self) -> None:
        # 10 x 1.5 = 15; down sqrt(ln(10/9.5)^2 + ln(1.5/1.2)^2) = 0.22898, up sqrt(ln(1.05)^2 + ln(2/1.5)^2) = 0.29179
        got = facility_energy(IT, PUE).kwh
        assert (got.range.low, got.range.mid, got.range.high) == pytest.approx((11.93037, 15, 20.08233))
        assert got.status is Status.MODELLED and got.factor_ids == ("pue:x", "tolerance:gpu/measured")

    @given(ranges, ranges, ranges)
    def test_a_chain_of_products_stays_in_order(self, kwh, pue, intensity) -> None:
        facility = facility_energy(ItEnergy(Figure(kwh, "kWh", Status.MEASURED)), Figure(pue, "1", Status.MEASURED))
        grams = co2e_location_g(facility, Figure(intensity, "g/kWh", Status.MEASURED)).range
        assert grams.low <= grams.mid <= grams.high

    def test_refuses_a_range_below_zero(self) -> None:
        with pytest.raises(ValueError, match="below zero"):
            facility_energy(ItEnergy(figure(-1, 0, 1, "kWh")), PUE)


class TestPueOfCooling:
    def test_is_one_and_the_cooling_over_the_machines(self) -> None:
        # 1 + 20/10 = 3. With the cooling at its ends: 2.96 and 3.04; with the machines at theirs: 2.8182 and 3.2222.
        # low 3 x exp(-hypot(ln(3/2.96), ln(3/2.8182))) = 2.8143, high 3 x exp(hypot(ln(3.04/3), ln(3.2222/3))) = 3.2261
        watts = figure(9e3, 10e3, 11e3, "W", Status.MODELLED, "a")
        got = pue_of_cooling(figure(19.6e3, 20e3, 20.4e3, "W", Status.MEASURED, "b"), watts)
        assert got is not None and (got.status, got.factor_ids) == (Status.MODELLED, ("a", "b"))
        assert (got.range.low, got.range.mid, got.range.high) == pytest.approx((2.814336, 3.0, 3.226147))

    def test_is_unknown_where_nothing_draws_power(self) -> None:
        assert pue_of_cooling(figure(1, 1, 1, "W"), figure(0, 5, 9, "W")) is None


class TestItPower:
    def test_is_the_energy_of_all_over_the_time(self) -> None:
        # (10 + 20) kWh over half an hour: 60 kW
        one, other = (ItEnergy(figure(k, k, k, "kWh")) for k in (10.0, 20.0))
        assert it_power_w([one, other], over_s=1800.0).range.mid == pytest.approx(60_000.0)

    def test_refuses_no_time(self) -> None:
        with pytest.raises(ValueError, match=r"over 0\.0 s"):
            it_power_w([IT], over_s=0.0)


class TestWueOfLitres:
    def test_is_litres_an_hour_over_kilowatts(self) -> None:
        # 40 L/h over 10 kW = 4 L/kWh; down sqrt(ln(40/38)^2 + ln(11/10)^2) = 0.10823, up sqrt(ln(1.05)^2 + ln(10/9)^2)
        got = wue_of_litres(figure(38, 40, 42, "L/h"), figure(9e3, 10e3, 11e3, "W"))
        assert got is not None
        assert (got.range.low, got.range.mid, got.range.high) == pytest.approx((3.589663, 4.0, 4.492473))

    def test_is_unknown_where_nothing_draws_power(self) -> None:
        assert wue_of_litres(figure(1, 1, 1, "L/h"), figure(0, 0, 0, "W")) is None


class TestTimeMean:
    def test_weights_each_part_by_the_time_it_held(self) -> None:
        # 3.0 for a quarter, 1.6 for the rest: 0.75 + 1.2 = 1.95
        parts = [
            Held(figure(3, 3, 3, "1", Status.MEASURED, "a"), 0.25),
            Held(figure(1, 1.6, 2, "1", Status.DEFAULT, "b"), 0.75),
        ]
        got = time_mean(parts, "1")
        assert (got.range.low, got.range.mid, got.range.high) == pytest.approx((1.5, 1.95, 2.25))
        assert got.status is Status.DEFAULT and got.factor_ids == ("a", "b")

    def test_refuses_shares_that_leave_time_out(self) -> None:
        with pytest.raises(ValueError, match="do not add up to 1"):
            time_mean([Held(PUE, 0.5)], "1")


class TestWaterAndCost:
    FACILITY = FacilityEnergy(figure(15, 15, 15, "kWh"))

    def test_on_site_water_goes_by_it_energy_without_pue(self) -> None:
        got = onsite_l(ItEnergy(figure(10, 10, 10, "kWh")), figure(0.2, 0.5, 1.8, "L/kWh"))
        assert got.range == Range(2.0, 5.0, 18.0)  # 10 kWh x 0.2, 0.5, 1.8 L/kWh

    def test_off_site_water_goes_by_facility_energy(self) -> None:
        assert offsite_l(self.FACILITY, figure(2, 3, 4, "L/kWh")).range == Range(30, 45, 60)  # 15 kWh x 2, 3, 4

    def test_cost_goes_by_facility_energy_in_the_currency_of_the_price(self) -> None:
        got = electricity_cost(self.FACILITY, figure(0.1, 0.2, 0.3, "EUR/kWh"))
        assert got.unit == "EUR" and got.range.mid == pytest.approx(3.0)  # 15 kWh x 0.20 EUR


class TestEmbodied:
    def test_spreads_the_footprint_over_the_lifetime(self) -> None:
        # The SCI specification's example: 1000 kg, 4 years, one hour: 1e6 g / 35040 h = 28.54 g
        rate = embodied_rate_g_per_h(figure(1000, 1000, 1000, "kg"), figure(35040, 35040, 35040, "h"))
        assert embodied_g(rate, held_s=3600).range.mid == pytest.approx(28.5388, abs=1e-4)

    def test_a_long_life_makes_the_rate_small(self) -> None:
        # 200 kg over 40 000 h = 5 g/h; down sqrt(ln(2)^2 + ln(5/4)^2) = 0.72814, up sqrt(ln(1.5)^2 + ln(2)^2) = 0.80303
        rate = embodied_rate_g_per_h(figure(100, 200, 300, "kg"), figure(20_000, 40_000, 50_000, "h")).range
        assert (rate.low, rate.mid, rate.high) == pytest.approx((2.413934, 5.0, 11.161457))

    def test_refuses_a_lifetime_of_nothing(self) -> None:
        with pytest.raises(ValueError, match=r"lifetime of 0\.0 h"):
            embodied_rate_g_per_h(figure(1, 1, 1, "kg"), figure(0.0, 1, 1, "h"))


class TestAddUp:
    def test_adds_per_key_and_keeps_the_worst_status(self) -> None:
        parts = [Part("a", (1.0, 2.0), Status.MEASURED), Part("b", (5.0, 5.0), Status.MEASURED)]
        got = add_up([*parts, Part("a", (0.5, 0.5), Status.DEFAULT)])
        assert [(t.key, t.columns, t.status) for t in got] == [
            ("a", (1.5, 2.5), Status.DEFAULT),
            ("b", (5.0, 5.0), Status.MEASURED),
        ]

    @given(st.lists(st.floats(0, 1e12), min_size=1, max_size=50), st.randoms(use_true_random=False))
    def test_the_order_of_the_parts_does_not_show_in_the_last_bit(self, values, shuffler: random.Random) -> None:
        shuffled = list(values)
        shuffler.shuffle(shuffled)
        one, other = (add_up(Part("k", (v,), Status.MEASURED) for v in vs) for vs in (values, shuffled))
        assert one == other
