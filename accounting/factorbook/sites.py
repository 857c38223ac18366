"""The factors of sites in hours: facility telemetry first, then the site's terms, then the catalogue."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from accounting.factorbook import catalog
from accounting.factorbook.terms import SiteFactors, at_least_one, declared, terms_at, terms_of
from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.methods.facility import Held, time_mean
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import US_PER_HOUR, US_PER_S
from accounting.models import FacilitySample, Site

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Reading:
    """One facility sample, as far as the ledger uses it."""

    at_us: int
    pue: float | None
    wue_l_per_kwh: float | None
    intensity_g_per_kwh: float | None


def site_factors(site_hours: Iterable[tuple[int | None, datetime]]) -> dict[tuple[int | None, datetime], SiteFactors]:
    """Factors of each (site id, hour start). No site: the catalogue's defaults for the world.

    Within an hour telemetry and fallback are weighted by the time each held; so the mean is over time, not over
    energy. Two queries, and one more for each run of hours that are far apart.
    """
    wanted = set(site_hours)
    hours: dict[int, list[datetime]] = defaultdict(list)
    for site_id, hour in sorted((s, h) for s, h in wanted if s is not None):
        hours[site_id].append(hour)
    book, currency = catalog(), settings.GREENAI["currency"]
    terms, slugs = terms_of(hours), dict(Site.objects.filter(pk__in=hours).values_list("pk", "slug"))
    known: dict[tuple[int | None, datetime], SiteFactors] = {}
    for site_id, of_site in hours.items():
        readings = _readings(site_id, of_site)
        for hour in of_site:
            stated = declared(book, terms_at(terms[site_id], hour), currency=currency)
            known[site_id, hour] = over(book, stated, readings, slug=slugs[site_id], start_us=_us(hour))
    nowhere = declared(book, None, currency=currency)
    return known | {(None, hour): nowhere for site_id, hour in wanted if site_id is None}


def over(book: Catalog, stated: SiteFactors, readings: Sequence[Reading], *, slug: str, start_us: int) -> SiteFactors:
    """Lay an hour's telemetry over what is stated. `readings` of one site in rising time."""
    first = bisect_left(readings, start_us - _max_age_us(), key=lambda r: r.at_us)
    last = bisect_left(readings, start_us + US_PER_HOUR, key=lambda r: r.at_us)
    near = readings[first:last]
    pue = [(r.at_us, r.pue) for r in near if r.pue is not None]
    wue = [(r.at_us, r.wue_l_per_kwh) for r in near if r.wue_l_per_kwh is not None]
    intensity = [(r.at_us, r.intensity_g_per_kwh) for r in near if r.intensity_g_per_kwh is not None]
    return SiteFactors(
        pue=at_least_one(_told(book, f"{slug}:pue", pue, stated.pue, start_us)),
        wue_l_per_kwh=_told(book, f"{slug}:wue", wue, stated.wue_l_per_kwh, start_us),
        ewif_l_per_kwh=stated.ewif_l_per_kwh,
        intensity_g_per_kwh=_told(book, f"{slug}:grid_intensity", intensity, stated.intensity_g_per_kwh, start_us),
        price_per_kwh=stated.price_per_kwh,
    )


def _told(book: Catalog, name: str, values: list[tuple[int, float]], fallback: Figure, start_us: int) -> Figure:
    """The hour's mean of one quantity: as told where something was, the fallback for the rest of the time."""
    held_us, mean = _held_mean(values, start_us, start_us + US_PER_HOUR)
    if not held_us:
        return fallback
    tolerance = lookup.tolerance(book, f"{name.partition(':')[2]}/telemetry")
    ids = (f"telemetry:{name}", tolerance.id)
    told = Figure(Range.exact(mean).times(tolerance.value), fallback.unit, Status.MEASURED, ids)
    share = held_us / US_PER_HOUR
    rest = (Held(fallback, 1.0 - share),) if held_us < US_PER_HOUR else ()
    return time_mean((Held(told, share), *rest), fallback.unit)


def _held_mean(values: Sequence[tuple[int, float]], start_us: int, end_us: int) -> tuple[int, float]:
    """(held_us, mean) of values that each hold until the next one, at most `facility_max_age_s`."""
    max_age_us = _max_age_us()
    nexts = [at for at, _ in values[1:]] + [end_us]
    held_us, weighted = 0, 0.0
    for (at_us, value), next_us in zip(values, nexts, strict=False):
        held = min(next_us, at_us + max_age_us, end_us) - max(at_us, start_us)
        if held > 0:
            held_us += held
            weighted += value * held
    return held_us, weighted / held_us if held_us else 0.0


def _readings(site_id: int, hours: Sequence[datetime]) -> list[Reading]:
    """What could hold in any of the rising `hours`, in rising time."""
    found: dict[int, Reading] = {}
    for first, last in _runs(hours):
        rows = FacilitySample.objects.filter(
            site_id=site_id, measured_at_us__gte=_us(first) - _max_age_us(), measured_at_us__lt=_us(last) + US_PER_HOUR
        ).values_list("measured_at_us", "pue", "wue_l_per_kwh", "grid_intensity_g_per_kwh")
        found.update((row[0], Reading(*row)) for row in rows)
    return [found[at_us] for at_us in sorted(found)]


def _runs(hours: Sequence[datetime]) -> Iterable[tuple[datetime, datetime]]:
    """First and last hour of each unbroken run."""
    first = previous = hours[0]
    for hour in hours[1:]:
        if hour - previous > _HOUR:
            yield first, previous
            first = hour
        previous = hour
    yield first, previous


def _max_age_us() -> int:
    return int(settings.GREENAI["facility_max_age_s"] * US_PER_S)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
