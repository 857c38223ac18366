"""The factors of sites in hours: facility telemetry first, then the site's terms, then the catalogue."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import TypeVar

from django.conf import settings
from django.db.models import Q

from accounting.factorbook.books import Books, books
from accounting.factorbook.grid_hours import hourly_factors
from accounting.factorbook.market import market_intensities
from accounting.factorbook.prices import load_prices, price_of
from accounting.factorbook.terms import SiteFactors, at_least_one, declared, terms_at, terms_of, zone_of
from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.methods.facility import Held, pue_of_cooling, time_mean
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import US_PER_HOUR, US_PER_S
from accounting.methods.water import wue_of_litres
from accounting.models import FacilitySample, Site, SiteTerms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
TELEMETRY = "telemetry"
MOST_PUE = 10.0  # as telemetry may state it
LEAST_SHARE = 1e-9  # of an hour; less is a rounding
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Reading:
    """One facility sample, as far as the ledger uses it."""

    at_us: int
    pue: float | None
    wue_l_per_kwh: float | None
    intensity_g_per_kwh: float | None
    cooling_power_w: float | None = None
    water_l: float | None = None  # since the water reading before


def site_factors(
    site_hours: Iterable[tuple[int | None, datetime]],
    *,
    it_power_w: Mapping[tuple[int, datetime], Figure] | None = None,
    stale_for: timedelta | None = None,
    priced: bool = True,
    market: bool = True,
    team_id: int | None = None,
    of: Books | None = None,
) -> dict[tuple[int | None, datetime], SiteFactors]:
    """Factors of each (site id, hour start). No site: the catalogue's defaults for the world.

    `it_power_w` turns cooling power into PUE and litres into WUE, in the hours that it has. Without `market` nothing is
    asked about contracts, and the market-based intensity is left out. With a team, its own factors count too; `of`
    spares the query for the books.

    Within an hour telemetry and fallback are weighted by the time each held; so the mean is over time, not over
    energy. Five queries, two more at most for prices, and one for each run of hours that are far apart. Without
    `priced` nobody asks what it costs, which spares two.

    `stale_for` is for live figures only, never for the ledger: where the zone's hour is not known yet, its newest value
    of at most so long before stands in, as DEFAULT and under an id that ends in `@stale`.
    """
    wanted = set(site_hours)
    hours: dict[int, list[datetime]] = defaultdict(list)
    for site_id, hour in sorted((s, h) for s, h in wanted if s is not None):
        hours[site_id].append(hour)
    own, terms = of or books(), terms_of(hours)
    slugs = dict(Site.objects.filter(pk__in=hours).values_list("pk", "slug"))
    stated_at = {(site_id, hour): terms_at(terms[site_id], hour) for site_id in hours for hour in hours[site_id]}
    zones = {place: (zone_of(of), emission_basis(of)) for place, of in stated_at.items()}
    hourly = hourly_factors(own.packaged, {(*zones[place], place[1]) for place in zones}, stale_for=stale_for)
    prices = load_prices(hours if priced else {}, terms)
    known: dict[tuple[int | None, datetime], SiteFactors] = {}
    for site_id, of_site in hours.items():
        readings = _readings(site_id, of_site)
        for hour in of_site:
            current, (zone, basis) = stated_at[site_id, hour], zones[site_id, hour]
            book = own.at(hour, site_id=site_id, team_id=team_id)
            price = price_of(prices, book, current, hour, zone=zone)
            told = hourly.get((zone, basis, hour))
            stated = declared(book, current, price, hourly=told, year=hour.year)
            known[site_id, hour] = over(
                book,
                stated,
                readings,
                slug=slugs[site_id],
                start_us=_us(hour),
                it_power_w=(it_power_w or {}).get((site_id, hour)),
            )
    if market:
        book_at = partial(own.at, team_id=team_id)
        bought = market_intensities(book_at, [(s, h) for s, h in wanted if s is not None], terms)
        known |= {place: replace(known[place], market=intensity) for place, intensity in bought.items()}
    for hour in (hour for site_id, hour in wanted if site_id is None):
        book = own.at(hour, team_id=team_id)
        known[None, hour] = declared(book, None, price_of(prices, book, None, hour), year=hour.year)
    return known


def over(
    book: Catalog,
    stated: SiteFactors,
    readings: Sequence[Reading],
    *,
    slug: str,
    start_us: int,
    it_power_w: Figure | None = None,
) -> SiteFactors:
    """Lay an hour's telemetry over what is stated. `readings` of one site in rising time."""
    first = bisect_left(readings, start_us - _max_age_us(), key=lambda r: r.at_us)
    last = bisect_left(readings, start_us + US_PER_HOUR, key=lambda r: r.at_us)
    near = readings[first:last]
    wue = [(r.at_us, r.wue_l_per_kwh) for r in near if r.wue_l_per_kwh is not None]
    intensity = [(r.at_us, r.intensity_g_per_kwh) for r in near if r.intensity_g_per_kwh is not None]
    metered_wue = _metered_wue(book, slug, readings, stated.wue_l_per_kwh, start_us, it_power_w)
    return replace(
        stated,
        pue=at_least_one(_pue(book, slug, near, stated.pue, start_us, it_power_w)),
        wue_l_per_kwh=_told(book, f"{slug}:wue", wue, metered_wue, start_us),
        intensity_g_per_kwh=_told(book, f"{slug}:grid_intensity", intensity, stated.intensity_g_per_kwh, start_us),
        intensity_step=_step(intensity, stated.intensity_step, start_us),
    )


def emission_basis(terms: SiteTerms | None) -> str:
    """Which hourly intensities count at a site: as it says itself, else as the settings say."""
    return (terms.emission_basis if terms else "") or str(settings.GREENAI["emission_basis"])


def _step(intensity: list[tuple[int, float]], fallback: str, start_us: int) -> str:
    """Telemetry, the step of what stands in for it, or both where it held for a part of the hour."""
    held_us, _ = _held_mean(intensity, start_us, start_us + US_PER_HOUR)
    if not held_us:
        return fallback
    return TELEMETRY if held_us >= US_PER_HOUR else f"{TELEMETRY} + {fallback}"


def _pue(
    book: Catalog, slug: str, near: Sequence[Reading], fallback: Figure, start_us: int, it_power_w: Figure | None
) -> Figure:
    """The hour's mean PUE: as told; else, reading by reading, from cooling power and the hour's mean IT power."""
    told = lookup.tolerance(book, "pue/telemetry")
    readings: list[tuple[int, Figure]] = []
    for r in near:
        if r.pue is not None:
            ids = (f"telemetry:{slug}:pue", told.id)
            readings.append((r.at_us, Figure(Range.exact(r.pue).times(told.value), "1", Status.MEASURED, ids)))
        elif r.cooling_power_w is not None and it_power_w is not None:
            cooled = _pue_of_cooling(book, slug, r.cooling_power_w, it_power_w, fallback)
            readings.append((r.at_us, cooled))
    held = _held(readings, start_us, start_us + US_PER_HOUR)
    return _with_rest([Held(figure, us / US_PER_HOUR) for figure, us in held], fallback)


def _pue_of_cooling(book: Catalog, slug: str, cooling_power_w: float, it_power_w: Figure, fallback: Figure) -> Figure:
    """Beyond what a building can have, most of what it cools is not measured here: the fallback, and it shows."""
    tolerance = lookup.tolerance(book, "meter")
    ids = (f"telemetry:{slug}:cooling_power", tolerance.id)
    cooling = Figure(Range.exact(cooling_power_w).times(tolerance.value), "W", Status.MEASURED, ids)
    pue = pue_of_cooling(cooling, it_power_w)
    if pue is not None and pue.range.mid <= MOST_PUE:
        return pue
    beyond = (*fallback.factor_ids, f"telemetry:{slug}:cooling_power@beyond-pue-{MOST_PUE:g}")
    return Figure(fallback.range, fallback.unit, Status.DEFAULT, tuple(sorted(beyond)))


def _metered_wue(
    book: Catalog, slug: str, readings: Sequence[Reading], fallback: Figure, start_us: int, it_power_w: Figure | None
) -> Figure:
    """The hour's WUE from a water meter: each reading's litres, spread evenly since the reading before."""
    metered = [(r.at_us, r.water_l) for r in readings if r.water_l is not None]
    told_us, litres = 0, 0.0
    for (since_us, _), (at_us, water_l) in pairwise(metered):
        held_us = min(at_us, start_us + US_PER_HOUR) - max(since_us, start_us)
        if held_us > 0 and at_us - since_us <= FacilitySample.WATER_REACH_US:
            told_us += held_us
            litres += water_l * held_us / (at_us - since_us)
    if not told_us or it_power_w is None:
        return fallback
    tolerance = lookup.tolerance(book, "wue/telemetry")
    l_per_h = Range.exact(litres * US_PER_HOUR / told_us).times(tolerance.value)
    ids = (f"telemetry:{slug}:water", tolerance.id)
    wue = wue_of_litres(Figure(l_per_h, "L/h", Status.MEASURED, ids), it_power_w)
    return _with_rest([Held(wue, told_us / US_PER_HOUR)], fallback) if wue else fallback


def _with_rest(parts: Sequence[Held], fallback: Figure) -> Figure:
    """The mean of what held for parts of the hour, and of the fallback for the rest of it."""
    rest = 1.0 - sum(part.share for part in parts)
    filled = [*parts, Held(fallback, rest)] if rest > LEAST_SHARE else parts
    return time_mean(filled, fallback.unit)


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
    """(held_us, mean) of values while they hold."""
    held = _held(values, start_us, end_us)
    held_us = sum(us for _, us in held)
    return held_us, sum(value * us for value, us in held) / held_us if held_us else 0.0


def _held(values: Sequence[tuple[int, Value]], start_us: int, end_us: int) -> list[tuple[Value, int]]:
    """(value, microseconds) of values that each hold until the next one, at most `facility_max_age_s`."""
    max_age_us = _max_age_us()
    nexts = [*(at for at, _ in values[1:]), end_us]
    held = [
        (value, min(next_us, at_us + max_age_us, end_us) - max(at_us, start_us))
        for (at_us, value), next_us in zip(values, nexts, strict=False)
    ]
    return [(value, us) for value, us in held if us > 0]


def _readings(site_id: int, hours: Sequence[datetime]) -> list[Reading]:
    """What could hold in any of the rising `hours`, in rising time."""
    found: dict[int, Reading] = {}
    for first, last in _runs(hours):
        start_us, end_us, reach_us = _us(first), _us(last) + US_PER_HOUR, FacilitySample.WATER_REACH_US
        holding = Q(measured_at_us__gte=start_us - _max_age_us(), measured_at_us__lt=end_us)
        water = Q(measured_at_us__gte=start_us - reach_us, measured_at_us__lt=end_us + reach_us, water_l__isnull=False)
        rows = FacilitySample.objects.filter(holding | water, site_id=site_id).values_list(
            "measured_at_us", "pue", "wue_l_per_kwh", "grid_intensity_g_per_kwh", "cooling_power_w", "water_l"
        )
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
