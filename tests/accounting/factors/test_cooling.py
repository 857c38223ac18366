"""Water spent on site to save electricity, beside the water that the electricity costs elsewhere."""

import pytest

from accounting.factors import lookup
from accounting.factors.catalog import load_packaged
from accounting.factors.cooling import NAMES, cooling_choices
from accounting.methods.facility import ItEnergy, facility_energy
from accounting.methods.records import Figure, Range, Status
from accounting.methods.water import offsite_l, onsite_l

CATALOG = load_packaged()
CHOICES = {choice.kind: choice for choice in cooling_choices(CATALOG)}
LOAD = ItEnergy(Figure(Range.exact(1000.0), "kWh", Status.MEASURED))


def use(kind: str, zone: str) -> tuple[float, float, float]:
    """(facility kWh, litres on site, litres at the power plants) of 1000 kWh of IT energy."""
    choice = CHOICES[kind]
    facility = facility_energy(LOAD, choice.pue.figure)
    plants = offsite_l(facility, lookup.ewif(CATALOG, zone).figure)
    return facility.kwh.range.mid, onsite_l(LOAD, choice.wue_l_per_kwh.figure).range.mid, plants.range.mid


class TestCoolingChoices:
    def test_are_those_with_a_name_the_wettest_first(self) -> None:
        assert list(CHOICES) == list(NAMES) and CHOICES["free_air"].name == "Outside air without water"

    def test_compare_by_energy_and_both_waters_for_the_same_load(self) -> None:
        # Ireland, EWIF 1.476 L/kWh. Towers: 1000 x 1.25 = 1250 kWh; 1000 x 1.8 = 1800 L; 1250 x 1.476 = 1845 L.
        # Air-cooled chillers: 1000 x 1.38 = 1380 kWh; 1000 x 0.05 = 50 L; 1380 x 1.476 = 2036.88 L.
        assert use("cooling_tower", "IE") == pytest.approx((1250, 1800, 1845))
        assert use("air_cooled_chiller", "IE") == pytest.approx((1380, 50, 2036.88))

    def test_save_less_water_on_site_where_the_power_plants_need_more(self) -> None:
        def saved_l(zone: str) -> float:
            wet, dry = use("cooling_tower", zone), use("air_cooled_chiller", zone)
            return wet[1] + wet[2] - dry[1] - dry[2]

        # 1750 L less on site, and 130 kWh more to generate: 1.476 L each in Ireland, 9.501 in Washington
        assert saved_l("IE") == pytest.approx(1750 - 130 * 1.476)
        assert saved_l("US-WA") == pytest.approx(1750 - 130 * 9.501)
