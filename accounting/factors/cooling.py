"""Ways to cool a building: what each adds to the energy, and what it evaporates on site."""

from collections.abc import Iterator
from dataclasses import dataclass

from accounting.factors.catalog import Catalog
from accounting.methods.records import Factor

NAMES = {
    "cooling_tower": "Chillers with cooling towers",
    "adiabatic": "Outside air with adiabatic cooling",
    "air_cooled_chiller": "Air-cooled chillers",
    "free_air": "Outside air without water",
    "dry_cooler": "Liquid cooling with dry coolers",
}


@dataclass(frozen=True, slots=True)
class Cooling:
    """One way of cooling: typical figures of a year, never those of a building that is known."""

    kind: str
    name: str
    pue: Factor  # facility energy / IT energy
    wue_l_per_kwh: Factor  # litres on site per kWh of IT energy


def cooling_choices(catalog: Catalog) -> Iterator[Cooling]:
    """Every way of cooling with figures, the wettest first: for the same IT load, side by side.

    Facility energy is IT energy x `pue`; water is IT energy x `wue_l_per_kwh` on site and facility energy x EWIF at
    the power plants, so that water spent to save electricity, and saved with it, stand in one row.
    """
    for kind in catalog.keys("cooling_pue"):
        pue, wue = catalog.get("cooling_pue", kind), catalog.get("cooling_wue", kind)
        yield Cooling(kind, NAMES.get(kind, kind.replace("_", " ")), pue, wue)
