"""Water used to save electricity: ways to cool the same machines, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounting.methods.cost import electricity_cost
from accounting.methods.facility import ItEnergy, facility_energy
from accounting.methods.operational import co2e_location_g
from accounting.methods.records import Figure
from accounting.methods.water import offsite_l, onsite_l


@dataclass(frozen=True, slots=True)
class Cooling:
    """A way to cool: facility energy / IT energy, and litres evaporated per kWh of IT energy."""

    name: str
    pue: Figure
    wue_l_per_kwh: Figure


@dataclass(frozen=True, slots=True)
class CoolingOutcome:
    """What the machines' energy comes to with one way to cool them."""

    name: str
    facility_energy_kwh: Figure
    water_onsite_l: Figure
    water_offsite_l: Figure
    water_l: Figure
    co2e_location_g: Figure
    cost: Figure | None  # None: no price is known


def compare_cooling(
    it: ItEnergy,
    choices: Sequence[Cooling],
    *,
    ewif_l_per_kwh: Figure,
    intensity_g_per_kwh: Figure,
    price_per_kwh: Figure | None,
) -> list[CoolingOutcome]:
    """Each choice for the same IT energy, in the order given: a tower that evaporates draws less and drinks more.

    Facility kWh = IT x PUE; on-site L = IT x WUE; off-site L = facility x EWIF; grams and cost by facility kWh.
    """
    return [
        _outcome(it, choice, ewif_l_per_kwh=ewif_l_per_kwh, intensity=intensity_g_per_kwh, price=price_per_kwh)
        for choice in choices
    ]


def _outcome(
    it: ItEnergy, choice: Cooling, *, ewif_l_per_kwh: Figure, intensity: Figure, price: Figure | None
) -> CoolingOutcome:
    facility = facility_energy(it, choice.pue)
    onsite, offsite = onsite_l(it, choice.wue_l_per_kwh), offsite_l(facility, ewif_l_per_kwh)
    return CoolingOutcome(
        name=choice.name,
        facility_energy_kwh=facility.kwh,
        water_onsite_l=onsite,
        water_offsite_l=offsite,
        water_l=onsite.plus(offsite),
        co2e_location_g=co2e_location_g(facility, intensity),
        cost=None if price is None else electricity_cost(facility, price),
    )
