"""What holds at a site in an hour by its own terms, over the packaged catalogue."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from accounting.factorbook.grid_hours import HourlyFactor
from accounting.factorbook.prices import Priced
from accounting.factorbook.stated import stated_in_terms
from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.factors.places import CloudRegion, find_cloud_region
from accounting.methods.market import MarketIntensity
from accounting.methods.records import Figure, Range
from accounting.models import SiteTerms


@dataclass(frozen=True, slots=True)
class SiteFactors:
    """Everything that turns IT energy at one place and time into carbon, water and cost."""

    pue: Figure  # facility energy / IT energy
    wue_l_per_kwh: Figure  # on-site water per kWh of IT energy
    ewif_l_per_kwh: Figure  # off-site water per kWh of facility energy
    intensity_g_per_kwh: Figure  # location-based, per kWh of facility energy
    price_per_kwh: Figure | None  # per kWh of facility energy, in the ledger's currency; None: nobody knows it
    intensity_step: str = ""  # where the intensity was found: telemetry, or a lookup.Step
    carbon_price_per_t: Figure | None = None  # of operational CO2e; None: no price on carbon
    price_note: str = ""  # why a price is not known
    by_use: bool = False  # embodied carbon goes by time held and share of use
    market: MarketIntensity | None = None  # market-based, of the part of the facility energy for which it is known


def terms_of(site_ids: Iterable[int]) -> dict[int, list[SiteTerms]]:
    """Terms of each site, oldest first. One query."""
    by_site: dict[int, list[SiteTerms]] = {site_id: [] for site_id in site_ids}
    rows = SiteTerms.objects.filter(site_id__in=by_site).select_related("site").order_by("site_id", "valid_from")
    for terms in rows:
        by_site[terms.site_id].append(terms)
    return by_site


def terms_at(terms: Sequence[SiteTerms], hour: datetime) -> SiteTerms | None:
    """The terms in force when the hour began; an hour keeps the terms it began with. `terms` are oldest first."""
    return next((t for t in reversed(terms) if t.valid_from <= hour), None)


def region_of(terms: SiteTerms | None) -> CloudRegion | None:
    """The cloud region a site says it is; None too for one that the packaged table no longer has."""
    return find_cloud_region(terms.cloud_provider, terms.cloud_region) if terms and terms.cloud_region else None


def zone_of(terms: SiteTerms | None) -> str:
    """The grid a site draws from: as stated, else its cloud region's. Empty: nobody has said."""
    region = region_of(terms)
    return (terms.grid_zone if terms else "") or (region.zone if region else "")


def declared(
    catalog: Catalog,
    terms: SiteTerms | None,
    priced: Priced,
    *,
    hourly: HourlyFactor | None = None,
    year: int | None = None,
) -> SiteFactors:
    """What a site's terms say, each gap filled from the catalogue. No terms: the catalogue's defaults for the world.

    `hourly`: what a provider told of the site's zone in the hour, where one did. `year`: of the hour, whose own
    grid intensity it takes; the newest where it is not said.
    """
    zone, region = zone_of(terms), region_of(terms)
    pue = (lookup.cloud_pue(catalog, region) if region else lookup.pue(catalog)).figure
    wue = (lookup.cloud_wue(catalog, region) if region else lookup.wue(catalog)).figure
    if terms and terms.pue is not None:
        pue = at_least_one(stated_in_terms(catalog, terms, "pue", terms.pue, "1"))
    if terms and terms.wue_l_per_kwh is not None:
        wue = stated_in_terms(catalog, terms, "wue", terms.wue_l_per_kwh, "L/kWh")
    intensity, step = _intensity(catalog, terms, region, hourly, year)
    return SiteFactors(
        pue=pue,
        wue_l_per_kwh=wue,
        ewif_l_per_kwh=lookup.ewif(catalog, zone).figure,
        intensity_g_per_kwh=intensity,
        price_per_kwh=priced.per_kwh,
        intensity_step=step,
        carbon_price_per_t=priced.carbon_per_t,
        price_note=priced.note,
        by_use=terms is not None and terms.embodied_allocation == SiteTerms.Allocation.TIME_AND_USE,
    )


def _intensity(
    catalog: Catalog,
    terms: SiteTerms | None,
    region: CloudRegion | None,
    hourly: HourlyFactor | None,
    year: int | None,
) -> tuple[Figure, str]:
    """The figure and the step that found it."""
    found = lookup.intensity(
        catalog,
        zone=terms.grid_zone if terms else "",
        provider=region.provider if region else "",
        region=region.name if region else "",
        hourly=hourly.factor if hourly else None,
        year=year,
    )
    figure = found.factor.figure
    if hourly:
        figure = replace(figure, factor_ids=(hourly.factor.id, hourly.tolerance_id))
    return figure, found.step.value


def at_least_one(pue: Figure) -> Figure:
    """A building cannot draw less than its machines: a tolerance must not take PUE below 1."""
    r = pue.range
    return replace(pue, range=Range(max(r.low, 1.0), max(r.mid, 1.0), max(r.high, 1.0)))
