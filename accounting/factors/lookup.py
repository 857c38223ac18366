"""Which factor answers a question, and what stands in when there is none.

No fallback is silent: the factor's id names the step, its status is DEFAULT, and its range is wider.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from accounting.factors.accelerators import match_accelerator
from accounting.factors.catalog import Catalog
from accounting.factors.cpus import find_cpu
from accounting.factors.places import CloudRegion, continent_of, find_cloud_region, subregions_of
from accounting.methods.records import Factor, Range, Status
from accounting.methods.units import BYTES_PER_GIB

WORLD = "world"
_CARDS = re.compile(r"\b(?:a100|h100|b200)\b", re.IGNORECASE)


class Step(StrEnum):
    """How near to the place asked about the answer was found, nearest first."""

    HOURLY_ZONE = "hourly zone"
    YEARLY_ZONE = "yearly zone"
    CLOUD_REGION = "cloud region"
    SUBDIVISION = "subdivision"
    COUNTRY = "country"
    CONTINENT = "continent"
    WORLD = "world"


@dataclass(frozen=True, slots=True)
class Found:
    """A factor and the step that found it; the factor's id names the step too, so that it is stored with a figure."""

    factor: Factor
    step: Step


class UnknownCloudRegion(LookupError):
    """The provider has no region of that name, as far as the packaged table knows."""


def grid_intensity(catalog: Catalog, zone: str, year: int | None = None) -> Factor:
    """Yearly mean of a zone such as FR, US-CA or SE-SE3; else of its country, its continent, the world.

    The newest known; of a year where one is asked. For a year between or before the known ones the nearest stands in
    and says `@for-year:…` in the id; one after the newest takes the newest, whose own year stands in its id.
    """
    return _by_zone(catalog, "grid_intensity", zone, year).factor


def intensity(
    catalog: Catalog,
    *,
    zone: str = "",
    provider: str = "",
    region: str = "",
    hourly: Factor | None = None,
    year: int | None = None,
) -> Found:
    """The nearest known intensity: hourly, the zone's year, the cloud region's, then ever larger places around it.

    Args:
        zone: a grid zone, subdivision or country; it goes before the cloud region where it is known exactly.
        provider, region: a cloud region, for example `aws` and `us-east-1`.
        hourly: what a provider of hourly series told of the zone and hour, where one did.
        year: of the electricity; the newest known year where it is not asked.

    Raises:
        UnknownCloudRegion: a region is named that the table does not have, and no zone.
    """
    if hourly is not None:
        return Found(hourly, Step.HOURLY_ZONE)
    asked = _by_zone(catalog, "grid_intensity", zone, year) if zone.strip() else None
    if asked and (asked.step is Step.YEARLY_ZONE or not region):
        return asked
    if not region:
        return _by_zone(catalog, "grid_intensity", "", year)
    try:
        return _cloud_intensity(catalog, cloud_region(provider, region), year)
    except UnknownCloudRegion:
        if asked:
            return asked
        raise


def cloud_region(provider: str, region: str) -> CloudRegion:
    """Raises UnknownCloudRegion."""
    if (found := find_cloud_region(provider, region)) is None:
        raise UnknownCloudRegion(f"no cloud region {region!r} of {provider!r} is known: state the grid zone instead")
    return found


def cloud_pue(catalog: Catalog, region: CloudRegion) -> Factor:
    """As published for the region, else the provider's mean of the geography, else of the world."""
    return _of_cloud(catalog, "cloud_pue", region) or pue(catalog)


def cloud_wue(catalog: Catalog, region: CloudRegion) -> Factor:
    """By the same steps; litres on site per kWh of IT energy."""
    return _of_cloud(catalog, "cloud_wue", region) or wue(catalog)


def cloud_cfe(catalog: Catalog, region: CloudRegion, year: int | None = None) -> Factor | None:
    """Share of carbon-free energy matched by the hour, market-based; None where the provider publishes none."""
    return _find(catalog, "cloud_cfe", region.key, year)


def ewif(catalog: Catalog, zone: str, year: int | None = None) -> Factor:
    """Water that a zone's power plants consume per kWh, by the same steps."""
    return _by_zone(catalog, "ewif", zone, year).factor


def residual_mix(catalog: Catalog, zone: str, year: int | None = None) -> Factor | None:
    """Grams per kWh of what is left when all certificates are taken out: for power that no contract covers.

    The zone's own, for a US state that of its grid subregion, else the country's. None where nobody publishes one:
    the grid's mean never stands in for it.
    """
    zone = zone.strip().upper()
    subregions = subregions_of(zone)
    if not subregions:
        known = _around(catalog, "residual_mix", zone, year)
        return known.factor if known else None
    found = [factor for key in subregions if (factor := _find(catalog, "residual_mix", key, year))]
    main = found[0]
    if len(found) == 1:
        return replace(main, id=f"{main.id}@subregion-of:{zone}")
    value = Range(min(f.value.low for f in found), main.value.mid, max(f.value.high for f in found))
    return replace(main, id=f"{main.id}@unknown-subregion:{zone}", value=value, status=Status.DEFAULT)


def pue(catalog: Catalog) -> Factor:
    return catalog.get("pue", "default")


def wue(catalog: Catalog) -> Factor:
    return catalog.get("wue", "default")


def coolings(catalog: Catalog) -> list[tuple[str, Factor, Factor]]:
    """(name, PUE, WUE) of each typical way to cool a building of machines, in the order of the table."""
    keys = catalog.keys("cooling_pue")
    return [(key, catalog.get("cooling_pue", key), catalog.get("cooling_wue", key)) for key in keys]


def price(catalog: Catalog, currency: str) -> Factor | None:
    """A typical price in the currency; None where none is known, which is not nought."""
    return catalog.find("price", currency.upper())


def price_in(catalog: Catalog, zone: str, currency: str) -> Factor | None:
    """What the zone's or its country's larger consumers pay, where known in the currency; else as `price`."""
    known = _around(catalog, "price_zone", zone.strip().upper())
    in_currency = known is not None and known.factor.unit == f"{currency.upper()}/kWh"
    return known.factor if known and in_currency else price(catalog, currency)


def embodied(catalog: Catalog, *, kind: str, model: str, memory_bytes: int | None) -> Factor:
    """Kilograms of making one device: by model, else by capacity (memory), else by kind."""
    if kind == "memory":
        if not memory_bytes:
            return catalog.get("embodied", "other")
        per_gib = catalog.get("embodied", "memory_per_gib")
        return replace(per_gib, value=per_gib.value.scaled(memory_bytes / BYTES_PER_GIB), unit="kg")
    card = _CARDS.search(model) if kind == "gpu" else None
    known = catalog.find("embodied", f"{kind}/{card.group().lower()}") if card else None
    whole = catalog.find("embodied", kind) or catalog.find("embodied_component", kind)
    return known or whole or catalog.get("embodied", "other")


def accelerator_tdp(catalog: Catalog, model: str) -> Factor | None:
    """Watts that the maker designs one accelerator for; None where the name is not known.

    A name that leaves the variant open (`H100`) gets the commonest, as a default, with the range of all of them.
    """
    return _of_accelerator(catalog, "accelerator_tdp", model)


def accelerator_memory(catalog: Catalog, model: str) -> Factor | None:
    """GB of memory on one accelerator, by the same rule."""
    return _of_accelerator(catalog, "accelerator_memory", model)


def accelerator_bandwidth(catalog: Catalog, model: str) -> Factor | None:
    """GB/s between one accelerator and its memory, by the same rule."""
    return _of_accelerator(catalog, "accelerator_bandwidth", model)


def accelerator_fp16(catalog: Catalog, model: str) -> Factor | None:
    """Dense 16-bit TFLOPS of one accelerator, by the same rule."""
    return _of_accelerator(catalog, "accelerator_fp16", model)


def accelerator_die(catalog: Catalog, model: str) -> Factor | None:
    """Square millimetres of compute silicon on one accelerator, by the same rule; fewer are known."""
    return _of_accelerator(catalog, "die_mm2", model)


def cpu_tdp(model: str) -> Factor | None:
    """Watts of one CPU socket by its name; None where the name is not known."""
    row = find_cpu(model)
    return row.factor if row else None


def lifetime(catalog: Catalog) -> Factor:
    return catalog.get("lifetime", "default")


def reading_tolerance(catalog: Catalog, *, metered: bool, kind: str, measured: bool) -> Factor:
    """What a reading of a meter, of a device's own sensor, or of a model may be off by: a range around 1."""
    if metered and measured:
        return catalog.get("tolerance", "meter")
    how = "measured" if measured else "modelled"
    return catalog.find("tolerance", f"{kind}/{how}") or catalog.get("tolerance", f"other/{how}")


def tolerance(catalog: Catalog, key: str) -> Factor:
    """What a stated figure may be off by, as a range around 1, for example `pue/declared`."""
    return catalog.get("tolerance", key)


def _cloud_intensity(catalog: Catalog, region: CloudRegion, year: int | None) -> Found:
    if published := _find(catalog, "cloud_grid_intensity", region.key, year):
        return Found(published, Step.CLOUD_REGION)
    around = _by_zone(catalog, "grid_intensity", region.zone, year)
    exact = Step.SUBDIVISION if "-" in region.zone else Step.COUNTRY
    step = exact if around.step is Step.YEARLY_ZONE else around.step
    value = around.factor.value
    if step is Step.SUBDIVISION:  # a region's grid does not end at the border of its state or province
        value = around.factor.figure.times(catalog.get("tolerance", "region_in_state").figure, "").range
    return Found(replace(around.factor, id=f"{around.factor.id}@cloud:{region.key}", value=value), step)


def _of_cloud(catalog: Catalog, quantity: str, region: CloudRegion) -> Factor | None:
    if published := catalog.find(quantity, region.key):
        return published
    wider = catalog.find(quantity, f"{region.provider}:{region.geography}") or catalog.find(quantity, region.provider)
    return replace(wider, id=f"{wider.id}@cloud:{region.key}") if wider else None


def _of_accelerator(catalog: Catalog, quantity: str, model: str) -> Factor | None:
    match = match_accelerator(model)
    known = catalog.find(quantity, match.key) if match else None
    if match is None or known is None or not match.family:
        return known
    family = [factor.value for key in match.family if (factor := catalog.find(quantity, key))]
    value = Range(min(v.low for v in family), known.value.mid, max(v.high for v in family))
    return replace(known, id=f"{known.id}@unknown-variant:{match.alias}", value=value, status=Status.DEFAULT)


def _by_zone(catalog: Catalog, quantity: str, zone: str, year: int | None = None) -> Found:
    zone = zone.strip().upper()
    if known := _around(catalog, quantity, zone, year):
        return known
    continent = continent_of(zone)
    if continent and (mean := _find(catalog, f"continent_{quantity}", continent, year)):
        return Found(replace(mean, id=f"{mean.id}@unknown-part:{zone}"), Step.CONTINENT)
    return Found(_find(catalog, quantity, WORLD, year) or catalog.get(quantity, WORLD), Step.WORLD)


def _around(catalog: Catalog, quantity: str, zone: str, year: int | None = None) -> Found | None:
    """The zone itself, else the smallest place around it down to its country."""
    if known := _find(catalog, quantity, zone, year):
        return Found(known, Step.YEARLY_ZONE)
    parts = zone.split("-")
    for length in range(len(parts) - 1, 0, -1):
        if around := _find(catalog, quantity, "-".join(parts[:length]), year):
            step = Step.SUBDIVISION if length > 1 else Step.COUNTRY
            return Found(_of_unknown_part(catalog, around, zone), step)
    return None


def _find(catalog: Catalog, quantity: str, key: str, year: int | None) -> Factor | None:
    """Another year's factor says so, but for the newest, which is what there is; a later year's is a default."""
    factor = catalog.find(quantity, key, year)
    if factor is None or year is None or factor.year is None or factor.year == year:
        return factor
    if factor.year < year and factor == catalog.find(quantity, key):
        return factor
    status = Status.DEFAULT if factor.year > year else factor.status
    return replace(factor, id=f"{factor.id}@for-year:{year}", status=status)


def _of_unknown_part(catalog: Catalog, around: Factor, zone: str) -> Factor:
    """A mean stands in for an unknown part of its place: more widely, and as a default."""
    mid, spread = around.value.mid, catalog.get("tolerance", "zone_in_country").value
    wider = Range(min(around.value.low, mid * spread.low), mid, max(around.value.high, mid * spread.high))
    return replace(around, id=f"{around.id}@unknown-part:{zone}", value=wider, status=Status.DEFAULT)
