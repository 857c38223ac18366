"""The kernel: hours out of a stream of readings, the same products as the scalar methods, whatever the chunks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.methods.cost import electricity_cost
from accounting.methods.energy import PowerSeries
from accounting.methods.facility import ItEnergy, facility_energy
from accounting.methods.hourly import HourlyFootprint, HourlyRates, hourly_footprints
from accounting.methods.operational import co2e_location_g
from accounting.methods.records import Figure, Range, Status
from accounting.methods.water import offsite_l, onsite_l

S, H = 1_000_000, 3_600_000_000
NAMES = list(HourlyFootprint.__slots__)


def readings(at_s: list[float], watts: list[float]) -> PowerSeries:
    at_us = np.array([round(s * S) for s in at_s], dtype=np.int64)
    n = at_us.size
    return PowerSeries(at_us, np.array(watts), np.full(n, np.nan), np.ones(n, dtype=np.int64), np.ones(n, dtype=bool))


def cut(series: PowerSeries, *places: int) -> list[PowerSeries]:
    columns = [np.split(getattr(series, name), places) for name in PowerSeries.__slots__]
    return [PowerSeries(*parts) for parts in zip(*columns, strict=True)]


def by_hour(hour_us: np.ndarray) -> HourlyRates:
    """Other rates in every hour."""
    n = (hour_us // H).astype(float)
    return HourlyRates(1.1 + n / 7, 50.0 + n * 3, 0.2 + n / 11, 1.3 + n / 13, 0.1 + n / 17)


def columns(chunks: list[PowerSeries]) -> dict[str, list[float]]:
    found = list(hourly_footprints(chunks, by_hour, max_gap_us=120 * S))
    return {name: np.concatenate([getattr(one, name) for one in found]).tolist() for name in NAMES}


class TestHourlyFootprints:
    def test_a_kilowatt_for_two_hours(self) -> None:
        # 1 kW: 1 kWh in each hour. Hour 0: PUE 1.1, so 1.1 kWh, 55 g, 0.2 L on site, 1.43 L off site, 0.11.
        got = columns([readings([60.0 * k for k in range(121)], [1000.0] * 121)])
        assert got["it_energy_kwh"][:2] == pytest.approx([1.0, 1.0])
        assert got["facility_energy_kwh"][0] == pytest.approx(1.1) and got["co2e_location_g"][0] == pytest.approx(55.0)
        assert (got["water_onsite_l"][0], got["water_offsite_l"][0]) == pytest.approx((0.2, 1.43))
        assert got["cost"][0] == pytest.approx(0.11) and got["missing_us"][:2] == [0, 0]

    @given(
        st.lists(st.integers(1, 3000), min_size=2, max_size=60),
        st.lists(st.integers(0, 60), max_size=4),
        st.integers(0, 99),
    )
    @settings(deadline=None)
    def test_come_out_the_same_however_the_stream_is_cut(self, steps: list[int], places: list[int], seed: int) -> None:
        watts = np.random.default_rng(seed).uniform(0, 700, len(steps)).tolist()
        series = readings(np.cumsum(steps).tolist(), watts)
        assert columns(cut(series, *sorted(places))) == columns([series])

    @given(st.lists(st.floats(0, 1e4), min_size=100, max_size=100))
    @settings(deadline=None)
    def test_are_the_scalar_methods_to_the_last_bit(self, watts: list[float]) -> None:
        got = columns([readings([60.0 * k for k in range(100)], watts)])
        for k, hour_us in enumerate(got["hour_us"]):
            rates = by_hour(np.array([hour_us]))
            pue, intensity, wue, ewif, price = (
                Figure(Range.exact(float(getattr(rates, name)[0])), "1", Status.MEASURED)
                for name in HourlyRates.__slots__
            )
            it = ItEnergy(Figure(Range.exact(got["it_energy_kwh"][k]), "kWh", Status.MEASURED))
            facility = facility_energy(it, pue)
            assert got["facility_energy_kwh"][k] == facility.kwh.range.mid
            assert got["co2e_location_g"][k] == co2e_location_g(facility, intensity).range.mid
            assert got["water_onsite_l"][k] == onsite_l(it, wue).range.mid
            assert got["water_offsite_l"][k] == offsite_l(facility, ewif).range.mid
            assert got["cost"][k] == electricity_cost(facility, price).range.mid

    def test_of_nothing_are_nothing(self) -> None:
        assert list(hourly_footprints([], by_hour, max_gap_us=S)) == []

    def test_refuse_readings_out_of_order(self) -> None:
        with pytest.raises(ValueError, match="does not come after"):
            columns([readings([0.0, 20.0], [1.0, 1.0]), readings([10.0, 8000.0], [1.0, 1.0])])
