"""Water used to save electricity: the same machines, cooled in other ways."""

import pytest

from accounting.methods.cooling import Cooling, compare_cooling
from accounting.methods.facility import ItEnergy
from accounting.methods.records import Figure, Range, Status


def exactly(value: float, unit: str, source: str) -> Figure:
    return Figure(Range.exact(value), unit, Status.DEFAULT, (source,))


def cooling(name: str, pue: float, wue: float) -> Cooling:
    return Cooling(name, exactly(pue, "1", f"pue:{name}"), exactly(wue, "L/kWh", f"wue:{name}"))


def compared(price: float | None = 0.2):
    return compare_cooling(
        ItEnergy(exactly(1000.0, "kWh", "it")),
        [cooling("tower", 1.25, 1.8), cooling("dry", 1.38, 0.05)],
        ewif_l_per_kwh=exactly(3.0, "L/kWh", "ewif"),
        intensity_g_per_kwh=exactly(100.0, "g/kWh", "grid"),
        price_per_kwh=None if price is None else exactly(price, "EUR/kWh", "price"),
    )


class TestCompareCooling:
    def test_comes_to_the_sums_worked_by_hand(self) -> None:
        # tower: 1250 kWh; 1000 x 1.8 = 1800 L + 1250 x 3 = 3750 L; 125 000 g; 250 EUR
        # dry:   1380 kWh; 1000 x 0.05 = 50 L + 1380 x 3 = 4140 L; 138 000 g; 276 EUR
        got = [
            (
                one.facility_energy_kwh.range.mid, one.water_onsite_l.range.mid, one.water_offsite_l.range.mid,
                one.water_l.range.mid, one.co2e_location_g.range.mid, one.cost.range.mid,
            )
            for one in compared()
        ]  # fmt: skip
        assert got[0] == pytest.approx((1250, 1800, 3750, 5550, 125_000, 250))
        assert got[1] == pytest.approx((1380, 50, 4140, 4190, 138_000, 276))

    def test_says_nothing_of_a_cost_without_a_price(self) -> None:
        assert [one.cost for one in compared(price=None)] == [None, None]

    def test_names_what_each_choice_rests_on(self) -> None:
        tower, dry = compared()
        assert "pue:tower" in tower.water_l.factor_ids and "wue:dry" in dry.water_l.factor_ids
