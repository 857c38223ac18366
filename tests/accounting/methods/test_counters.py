"""Raw counters into rising joules: units, wraps and resets, each worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.counters import CounterUnit, joules, rising_energy

S = 1_000_000
NAN = float("nan")


def micro(*readings: int, **how: object):
    return rising_energy(np.array(readings, dtype=np.int64), unit=CounterUnit.MICROJOULE, **how)


class TestUnits:
    @pytest.mark.parametrize(
        ("amount", "unit", "in_joules"),
        [(7_200_000.0, "mJ", 7200.0), (7200.0, "J", 7200.0), (7.2e9, "uJ", 7200.0), (0.002, "kWh", 7200.0)],
    )
    def test_two_watt_hours_are_7200_joules_in_every_unit(self, amount: float, unit: str, in_joules: float) -> None:
        assert joules(amount, CounterUnit(unit)) == in_joules
        got = rising_energy(np.array([0.0, amount]), unit=CounterUnit(unit))
        assert got.energy_j.tolist() == [0.0, in_joules]


class TestWrap:
    def test_adds_the_way_to_the_limit_and_the_way_from_nought(self) -> None:
        # RAPL at 100 uJ, then at 10, limit 105: 10 + 105 - 100 = 15 uJ
        got = micro(100, 10, wraps_at=105)
        assert got.energy_j.tolist() == pytest.approx([0.0, 15e-6]) and got.epoch.tolist() == [0, 0]

    def test_follows_a_real_package_counter_exactly_over_many_wraps(self) -> None:
        # 262143328850 uJ is a package's usual limit; 100 steps of 99999999999 uJ in whole numbers
        limit, step = 262_143_328_850, 99_999_999_999
        got = micro(*((step * k) % limit for k in range(101)), wraps_at=limit)
        assert got.energy_j[-1] == step * 100 / 1e6

    def test_takes_a_fall_that_no_device_could_have_drawn_for_a_reset(self) -> None:
        # Within 10 s the counter goes 100 MJ -> 1 MJ; a wrap at 262 MJ would be 163 MJ = 16 MW. So it was reset.
        at_us = np.array([0, 10 * S, 20 * S])
        raw = np.array([100_000_000.0, 1_000_000.0, 1_002_000.0])
        got = rising_energy(raw, unit=CounterUnit.JOULE, wraps_at=262e6, at_us=at_us, most_w=1000.0)
        assert got.epoch.tolist() == [0, 1, 1] and got.energy_j.tolist() == [0.0, 0.0, 2000.0]


class TestReset:
    def test_compares_nothing_across_it_and_counts_on_from_there(self) -> None:
        # 5, 9 | 2, 8 kWh: 4 kWh = 14.4 MJ, then 6 kWh = 21.6 MJ
        got = rising_energy(np.array([5.0, 9.0, 2.0, 8.0]), unit=CounterUnit.KILOWATT_HOUR)
        assert got.energy_j.tolist() == [0.0, 14.4e6, 0.0, 21.6e6] and got.epoch.tolist() == [0, 0, 1, 1]

    def test_a_reading_that_is_not_there_stays_so_and_breaks_nothing(self) -> None:
        got = rising_energy(np.array([1000.0, NAN, 4000.0]), unit=CounterUnit.MILLIJOULE)
        assert np.isnan(got.energy_j[1]) and got.energy_j[2] == 3.0 and got.epoch.tolist() == [0, 0, 0]

    @pytest.mark.parametrize("raw", [[], [5.0], [NAN, NAN]])
    def test_makes_nothing_of_fewer_than_two_readings(self, raw: list[float]) -> None:
        got = rising_energy(np.array(raw), unit=CounterUnit.JOULE)
        assert np.nansum(got.energy_j) == 0.0 and got.energy_j.size == len(raw)


class TestConservation:
    @given(st.lists(st.integers(0, 999_999), min_size=1, max_size=50), st.integers(0, 999_999))
    def test_what_wraps_is_what_was_added(self, rises: list[int], start: int) -> None:
        total = start + np.concatenate(([0], np.cumsum(rises)))
        got = micro(*(total % 1_000_000).tolist(), wraps_at=1_000_000)
        assert got.energy_j.tolist() == ((total - start) / 1e6).tolist()

    @given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50))
    def test_only_rises_within_an_epoch(self, raw: list[float]) -> None:
        got = rising_energy(np.array(raw), unit=CounterUnit.JOULE)
        same = np.diff(got.epoch) == 0
        assert (np.diff(got.energy_j)[same] >= 0).all()


class TestRefusals:
    def test_a_reading_beyond_the_limit(self) -> None:
        with pytest.raises(ValueError, match="shows 106 uJ, beyond its limit of 105: give the true limit"):
            micro(100, 106, wraps_at=105)

    def test_a_reading_below_nought(self) -> None:
        with pytest.raises(ValueError, match="cannot show -1 uJ"):
            micro(-1, 5)

    def test_times_without_a_highest_draw(self) -> None:
        with pytest.raises(ValueError, match="both at_us and most_w"):
            micro(1, 2, at_us=np.array([0, 1]))
