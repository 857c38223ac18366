"""Where a run was: the grid zone, the cloud region, and the factors that hold there."""

from dataclasses import dataclass

from accounting.estimates.run import Refusal, Run, near, shown
from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.factors.countries import country_code, country_codes
from accounting.factors.places import (
    CloudRegion,
    cloud_regions,
    continent_of,
    find_cloud_region,
    provider_key,
)
from accounting.methods.records import Factor, Figure, Range, Status


@dataclass(frozen=True, slots=True)
class Sourced:
    """A figure and the words for how it came about."""

    figure: Figure
    method: str


@dataclass(frozen=True, slots=True)
class Place:
    """`zone` is a grid zone, subdivision or country; empty where only a cloud region, or nothing, is known."""

    zone: str = ""
    region: CloudRegion | None = None

    @property
    def grid_zone(self) -> str:
        return self.zone or (self.region.zone if self.region else "")


def place_of(catalog: Catalog, run: Run, warnings: list[str]) -> Place:
    """Raises Refusal: a zone, cloud region or country that is none."""
    region = _region(run)
    country = _country(run.country) if run.country else ""
    zone = _zone(catalog, run.zone) if run.zone else ""
    if zone and country and zone.partition("-")[0] != country:
        warnings.append(f"country: {run.country} and zone {run.zone} are different places: the zone is used")
    if region and zone and zone.partition("-")[0] != region.zone.partition("-")[0]:
        warnings.append(
            f"zone: {run.zone} is not where {region.key} lies: the zone is used, and the cloud's own pue and wue"
        )
    if region and country and not zone and region.zone.partition("-")[0] != country:
        warnings.append(f"country: {run.country} is not where {region.key} lies: the cloud region is used")
    return Place(zone or ("" if region else country), region)


def given(value: float, unit: str, field: str, *, status: Status = Status.MODELLED) -> Sourced:
    """What the caller states is used exactly. Its own meter reading is MEASURED, any other statement MODELLED."""
    return Sourced(Figure(Range.exact(value), unit, status), f"{field} given")


def from_catalogue(factor: Factor, field: str, warnings: list[str]) -> Sourced:
    """What the catalogue has in place of what was not given; where it merely stands in, a warning says so."""
    if factor.status is Status.DEFAULT:
        v = factor.value
        span = f"{v.mid:g} ({v.low:g} to {v.high:g}) {factor.unit}".removesuffix(" 1")
        warnings.append(f"{field}: not given, and not known any closer: {span} of {factor.id} stands in")
    return Sourced(factor.figure, f"{field} of the catalogue")


def pue(catalog: Catalog, run: Run, place: Place, warnings: list[str]) -> Sourced:
    if run.pue is not None:
        return given(run.pue, "1", "pue")
    factor = lookup.cloud_pue(catalog, place.region) if place.region else lookup.pue(catalog)
    return from_catalogue(factor, "pue", warnings)


def wue(catalog: Catalog, run: Run, place: Place, warnings: list[str]) -> Sourced:
    if run.wue_l_per_kwh is not None:
        return given(run.wue_l_per_kwh, "L/kWh", "wue_l_per_kwh")
    factor = lookup.cloud_wue(catalog, place.region) if place.region else lookup.wue(catalog)
    return from_catalogue(factor, "wue_l_per_kwh", warnings)


def ewif(catalog: Catalog, run: Run, place: Place, warnings: list[str]) -> Sourced:
    if run.ewif_l_per_kwh is not None:
        return given(run.ewif_l_per_kwh, "L/kWh", "ewif_l_per_kwh")
    return from_catalogue(lookup.ewif(catalog, place.grid_zone), "ewif_l_per_kwh", warnings)


def intensity(catalog: Catalog, run: Run, place: Place, warnings: list[str]) -> Sourced:
    if run.intensity_g_per_kwh is not None:
        return given(run.intensity_g_per_kwh, "g/kWh", "intensity_g_per_kwh")
    region = place.region
    provider, name = (region.provider, region.name) if region else ("", "")
    found = lookup.intensity(catalog, zone=place.zone, provider=provider, region=name, year=run.year)
    if run.year is not None and found.factor.year != run.year:
        warnings.append(
            f"year: no intensity of {run.year} is known for this place: that of {found.factor.year} is used"
        )
    sourced = from_catalogue(found.factor, "intensity_g_per_kwh", warnings)
    return Sourced(sourced.figure, f"{sourced.method} ({found.step}, {found.factor.year})")


def market_intensity(catalog: Catalog, run: Run, place: Place) -> Sourced | None:
    """The supplier's, else the residual mix of the place or its country. Never the grid's mean."""
    if run.market_intensity_g_per_kwh is not None:
        return given(run.market_intensity_g_per_kwh, "g/kWh", "market_intensity_g_per_kwh")
    mix = lookup.residual_mix(catalog, place.grid_zone, run.year)
    if mix is None:
        return None
    return Sourced(mix.figure, f"residual mix{f' of {mix.year}' if mix.year else ''} of the catalogue")


def price(catalog: Catalog, run: Run, place: Place, currency: str, warnings: list[str]) -> Sourced | None:
    """None where no price is known in the currency."""
    if run.price_per_kwh is not None:
        return given(run.price_per_kwh, f"{currency}/kWh", "price_per_kwh")
    factor = lookup.price_in(catalog, place.grid_zone, currency)
    if factor is None:
        warnings.append(f"price_per_kwh: not given, and no price in {currency} is known: cost is null")
        return None
    return from_catalogue(factor, "price_per_kwh", warnings)


def _region(run: Run) -> CloudRegion | None:
    if run.cloud_region is None and run.cloud_provider is None:
        return None
    if run.cloud_region is None or run.cloud_provider is None:
        field = "cloud_region" if run.cloud_region is None else "cloud_provider"
        raise Refusal(
            "missing", field, f"{field} is missing: a cloud region needs its provider, and a provider a region"
        )
    if found := find_cloud_region(run.cloud_provider, run.cloud_region):
        return found
    provider = provider_key(run.cloud_provider)
    names = [name for of, name in cloud_regions() if of == provider]
    if not names:
        known = ", ".join(sorted({of for of, _ in cloud_regions()}))
        detail = f"cloud_provider: {shown(run.cloud_provider)} is not known: {known}; or state the zone instead"
        raise Refusal("unknown_place", "cloud_provider", detail)
    detail = f"cloud_region: {shown(run.cloud_region)} of {provider} is not known"
    raise Refusal("unknown_place", "cloud_region", f"{detail}{near(run.cloud_region, names)} Or state the zone instead")


def _country(name: str) -> str:
    if code := country_code(name):
        return code
    detail = f"country: {shown(name)} is not known{near(name.casefold(), list(country_codes()))}"
    raise Refusal("unknown_place", "country", f"{detail} Write a name or an ISO 3166 code such as FR")


def _zone(catalog: Catalog, name: str) -> str:
    """A zone of the catalogue, a part of a known country (which then stands in), or a country's own name."""
    zone = name.upper()
    known = catalog.keys("grid_intensity")
    if zone in known or zone == lookup.WORLD.upper() or continent_of(zone):
        return zone
    if code := country_code(name):
        return code
    raise Refusal(
        "unknown_place", "zone", f"zone: {shown(name)} is not known{near(zone, known)} Write one such as FR or US-CA"
    )
