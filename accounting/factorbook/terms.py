"""What holds at a site in an hour by its own terms, over the packaged catalogue."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.methods.market import MarketIntensity
from accounting.methods.records import Figure, Range, Status
from accounting.models import SiteTerms


@dataclass(frozen=True, slots=True)
class SiteFactors:
    """Everything that turns IT energy at one place and time into carbon, water and cost."""

    pue: Figure  # facility energy / IT energy
    wue_l_per_kwh: Figure  # on-site water per kWh of IT energy
    ewif_l_per_kwh: Figure  # off-site water per kWh of facility energy
    intensity_g_per_kwh: Figure  # location-based, per kWh of facility energy
    price_per_kwh: Figure  # per kWh of facility energy
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


def declared(catalog: Catalog, terms: SiteTerms | None, *, currency: str) -> SiteFactors:
    """What a site's terms say, each gap filled from the catalogue. No terms: the catalogue's defaults for the world."""
    zone = terms.grid_zone if terms else ""
    pue, wue, price = lookup.pue(catalog).figure, lookup.wue(catalog).figure, lookup.price(catalog, currency).figure
    if terms and terms.pue is not None:
        pue = at_least_one(_stated(catalog, terms, "pue", terms.pue, "1"))
    if terms and terms.wue_l_per_kwh is not None:
        wue = _stated(catalog, terms, "wue", terms.wue_l_per_kwh, "L/kWh")
    if terms and terms.electricity_price_per_kwh is not None:
        price = _stated(catalog, terms, "price", terms.electricity_price_per_kwh, f"{currency}/kWh")
    ewif, intensity = lookup.ewif(catalog, zone).figure, lookup.grid_intensity(catalog, zone).figure
    return SiteFactors(pue, wue, ewif, intensity, price)


def at_least_one(pue: Figure) -> Figure:
    """A building cannot draw less than its machines: a tolerance must not take PUE below 1."""
    r = pue.range
    return replace(pue, range=Range(max(r.low, 1.0), max(r.mid, 1.0), max(r.high, 1.0)))


def stated_exactly(terms: SiteTerms, quantity: str, value: float, unit: str) -> Figure:
    """What the terms say, taken at its word: a figure of a contract has no range of its own."""
    return Figure(Range.exact(value), unit, Status.MODELLED, (_source(terms, quantity),))


def _stated(catalog: Catalog, terms: SiteTerms, quantity: str, value: float, unit: str) -> Figure:
    tolerance = lookup.tolerance(catalog, f"{quantity}/declared")
    ids = (_source(terms, quantity), tolerance.id)
    return Figure(Range.exact(value).times(tolerance.value), unit, Status.MODELLED, ids)


def _source(terms: SiteTerms, quantity: str) -> str:
    since = terms.valid_from.astimezone(UTC)
    at_midnight = (since.hour, since.minute, since.second) == (0, 0, 0)
    day = f"{since:%Y-%m-%d}" if at_midnight else f"{since:%Y-%m-%dT%H:%M:%SZ}"
    return f"site:{terms.site.slug}:{quantity}@{day}"
