"""A run -> every quantity of it. All arithmetic is accounting.methods'; here stands which input goes where."""

from dataclasses import dataclass

from accounting.estimates import place as places
from accounting.estimates.energy import Energies, energies_of
from accounting.estimates.making import embodied_of
from accounting.estimates.place import Sourced
from accounting.estimates.run import Run
from accounting.factors.catalog import Catalog
from accounting.methods.cost import electricity_cost
from accounting.methods.operational import Basis, Operational, co2e_location_g, co2e_market_g
from accounting.methods.records import Figure
from accounting.methods.sci import sci_g_per_unit
from accounting.methods.units import G_PER_KG
from accounting.methods.water import offsite_l, onsite_l


@dataclass(frozen=True, slots=True)
class Reckoned:
    """Every quantity by its name (None: not known), in the units of the answer, and what else must be said."""

    quantities: dict[str, Sourced | None]
    pue: float
    warnings: tuple[str, ...]


def reckon(catalog: Catalog, run: Run, *, currency: str) -> Reckoned:
    """Raises Refusal: nothing gives the energy, an unknown place or device, or a contradiction beyond repair."""
    warnings: list[str] = []
    place = places.place_of(catalog, run, warnings)
    pue = _pue(catalog, run, place, warnings)
    energies = energies_of(catalog, run, pue, warnings)
    quantities: dict[str, Sourced | None] = {
        "it_energy_kwh": Sourced(energies.it.kwh, energies.it_method),
        "facility_energy_kwh": Sourced(energies.facility.kwh, energies.facility_method),
        **_carbon(catalog, run, place, energies, warnings),
        **_water(catalog, run, place, energies, warnings),
        "cost": _cost(catalog, run, place, energies, currency, warnings),
    }
    it_kwh, facility_kwh = energies.it.kwh.range.mid, energies.facility.kwh.range.mid
    return Reckoned(quantities, facility_kwh / it_kwh if it_kwh > 0 else pue.figure.range.mid, tuple(warnings))


def _pue(catalog: Catalog, run: Run, place: places.Place, warnings: list[str]) -> Sourced:
    """A PUE that nothing will use is looked up without a word."""
    unused = run.it_energy_kwh is not None and run.facility_energy_kwh is not None
    return places.pue(catalog, run, place, [] if unused else warnings)


def _carbon(
    catalog: Catalog, run: Run, place: places.Place, energies: Energies, warnings: list[str]
) -> dict[str, Sourced | None]:
    intensity = places.intensity(catalog, run, place, warnings)
    location_g = co2e_location_g(energies.facility, intensity.figure)
    market = places.market_intensity(catalog, run, place)
    market_g = co2e_market_g(energies.facility, market.figure if market else None, None)
    embodied = embodied_of(catalog, run, energies.it, warnings)
    sci = None
    if run.functional_unit:
        score = sci_g_per_unit(Operational(location_g, Basis.LOCATION), embodied.figure, run.functional_unit)
        sci = Sourced(score, f"(co2e_location_kg + embodied_kg) x 1000 / {run.functional_unit.count:g}")
    return {
        "co2e_location_kg": Sourced(_kg(location_g), f"facility_energy_kwh x {intensity.method}"),
        "co2e_market_kg": Sourced(_kg(market_g), f"facility_energy_kwh x {market.method}")
        if market and market_g
        else None,
        "embodied_kg": Sourced(_kg(embodied.figure), embodied.method),
        "co2e_total_kg": Sourced(_kg(location_g.plus(embodied.figure)), "co2e_location_kg + embodied_kg"),
        "sci_g_per_unit": sci,
    }


def _water(
    catalog: Catalog, run: Run, place: places.Place, energies: Energies, warnings: list[str]
) -> dict[str, Sourced | None]:
    wue = places.wue(catalog, run, place, warnings)
    ewif = places.ewif(catalog, run, place, warnings)
    onsite, offsite = onsite_l(energies.it, wue.figure), offsite_l(energies.facility, ewif.figure)
    return {
        "water_onsite_l": Sourced(onsite, f"it_energy_kwh x {wue.method}"),
        "water_offsite_l": Sourced(offsite, f"facility_energy_kwh x {ewif.method}"),
        "water_l": Sourced(onsite.plus(offsite), "water_onsite_l + water_offsite_l"),
    }


def _cost(
    catalog: Catalog, run: Run, place: places.Place, energies: Energies, currency: str, warnings: list[str]
) -> Sourced | None:
    price = places.price(catalog, run, place, currency, warnings)
    if price is None:
        return None
    return Sourced(electricity_cost(energies.facility, price.figure), f"facility_energy_kwh x {price.method}")


def _kg(grams: Figure) -> Figure:
    return grams.scaled(1.0 / G_PER_KG, "kg")
