"""The market-based intensity of sites in hours: what contracts cover there, and by what the rest is reckoned."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from django.db.models import Q

from accounting.factorbook.contracts import Stand, stands_on
from accounting.factorbook.stated import stated_exactly
from accounting.factorbook.terms import terms_at, zone_of
from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.methods.market import Covered, MarketIntensity, market_intensity
from accounting.methods.records import Figure, Range, Status
from accounting.models import InstrumentUse, Matching, SiteTerms

G_PER_KWH = "g/kWh"


class BookAt(Protocol):
    """The catalogue of an hour and a site."""

    def __call__(self, hour: datetime, *, site_id: int) -> Catalog: ...


def market_intensities(
    book_at: BookAt, site_hours: Collection[tuple[int, datetime]], terms: Mapping[int, Sequence[SiteTerms]]
) -> dict[tuple[int, datetime], MarketIntensity]:
    """For each (site id, hour start) of which anything is known. One query."""
    uses = _uses(site_hours)
    days = {hour.astimezone(UTC).date() for _, hour in site_hours}
    stands = {day: stands_on(terms, day) for day in days}
    found = {}
    for site_id, hour in site_hours:
        stand = stands[hour.astimezone(UTC).date()][site_id]
        holding = [u for u in uses[site_id] if u.mode == stand.mode and u.start <= hour < u.end]
        covered = [Covered(use.share, _of_contract(use)) for use in holding]
        book = book_at(hour, site_id=site_id)
        rest = _rest(book, terms_at(terms[site_id], hour), stand, year=hour.year)
        if market := market_intensity(covered, rest):
            found[site_id, hour] = market
    return found


def _uses(site_hours: Iterable[tuple[int, datetime]]) -> dict[int, list[InstrumentUse]]:
    """The claims that hold in any of these hours, in a fixed order, by site. One query."""
    wanted = set(site_hours)
    hours = {hour for _, hour in wanted}
    by_site: dict[int, list[InstrumentUse]] = defaultdict(list)
    if not hours:
        return by_site
    rows = InstrumentUse.objects.filter(
        Q(mode=Matching.HOURLY, start__in=hours) | Q(mode=Matching.ANNUAL, start__lte=max(hours), end__gt=min(hours)),
        site__in={site_id for site_id, _ in wanted},
    ).order_by("contract_id", "start")
    for use in rows:
        by_site[use.site_id].append(use)
    return by_site


def _of_contract(use: InstrumentUse) -> Figure:
    """As the contract states it, without a range of its own: it is a claim, not a measurement."""
    ids = (f"contract:{use.contract_id}@{use.mode}",)
    return Figure(Range.exact(use.g_per_kwh), G_PER_KWH, Status.MODELLED, ids)


def _rest(book: Catalog, terms: SiteTerms | None, stand: Stand, *, year: int) -> Figure | None:
    """What is not covered: the supplier's factor (within the year only), a stated residual mix, the catalogue's."""
    if terms and terms.supplier_g_per_kwh is not None and stand.mode == Matching.ANNUAL:
        return stated_exactly(terms, "supplier", terms.supplier_g_per_kwh, G_PER_KWH)
    if terms and terms.residual_g_per_kwh is not None:
        return stated_exactly(terms, "residual_mix", terms.residual_g_per_kwh, G_PER_KWH)
    mix = lookup.residual_mix(book, zone_of(terms), year)
    return replace(mix.figure, unit=G_PER_KWH) if mix else None
