"""Which site claims how much of which contract: worked out from the ledger's energy, after every hour of it is built.

A roll-up notes the days that it touched; once nothing else is dirty, `settle` works out their claims anew from what all
sites consumed, and marks the hours whose market-based intensity changed. Claims depend on the energy and the energy not
on the claims, so a second pass changes nothing. All of it runs under the lock of the roll-ups.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from django.db import transaction
from django.db.models import Max, Min, Q

from accounting.factorbook.contracts import (
    HOUR,
    Stand,
    annual_supplies,
    counting,
    hourly_supplies,
    profiles,
    stands_on,
)
from accounting.factorbook.terms import terms_of
from accounting.ledger import contract_changes
from accounting.ledger.rollups import one_at_a_time
from accounting.methods.market import allocate
from accounting.models import (
    DirtyHour,
    EnergyContract,
    InstrumentUse,
    LedgerHour,
    Matching,
    Restatement,
    Site,
    SiteTerms,
    StaleMatch,
    TeamDay,
    TeamHour,
)

DAY = timedelta(days=1)
_AT_ONCE = 500
_DAYS_AT_ONCE = 31
Terms = Mapping[int, Sequence[SiteTerms]]
Coverage = dict[tuple[int, str], tuple[float, float]]  # (contract id, rule) -> (share, g/kWh)


@dataclass(frozen=True, slots=True)
class Use:
    """What becomes an InstrumentUse."""

    contract_id: int
    site_id: int
    mode: str
    start: datetime
    end: datetime
    kwh: float
    share: float
    g_per_kwh: float


def note_hours(hours: Iterable[datetime]) -> None:
    """Note the days of these hours, in the transaction that changed their energy. One query where nothing is bought."""
    vintages = set(EnergyContract.objects.order_by().values_list("vintage", flat=True).distinct())
    if vintages:
        _note(day for hour in hours if (day := hour.astimezone(UTC).date()).year in vintages)


def note_year(year: int) -> None:
    """Note every day of a year that has energy: a contract of it was made, changed or removed."""
    rows = TeamDay.objects.filter(_in_year(year)).order_by()
    _note({*rows.values_list("day", flat=True).distinct(), date(year, 1, 1)})


def change(
    years: Collection[int], contracts: Sequence[EnergyContract], *, reason: str, actor: object, now: datetime
) -> Restatement:
    """Somebody made or changed contracts of these years: they are matched again, and what moves is restated."""
    for year in years:
        note_year(year)
    return contract_changes.wait_for(years, contracts, reason=reason, actor=actor, now=now)


def release(contract: EnergyContract, *, reason: str, actor: object, now: datetime) -> None:
    """Before a contract is removed: restate the hours that it covers, and whatever takes over from it."""
    restatement = change({contract.vintage}, [contract], reason=reason, actor=actor, now=now)
    spans = contract.uses.order_by().values_list("site").annotate(Min("start"), Max("end"))
    covered = {hour for span in spans for hour in _device_hours(*span)}
    DirtyHour.objects.mark(covered, now=now)
    contract_changes.keep([restatement], covered)


def settle(*, now: datetime) -> int:
    """Work out the claims of the noted days, and mark the device-hours whose intensity changed. Returns how many.

    A month of days is a transaction, so that a whole year holds nobody up; the claims within a year come with its last.
    """
    marked = 0
    while StaleMatch.objects.exists():
        marked += _settle_some(now=now)
    return marked


@transaction.atomic
def _settle_some(*, now: datetime) -> int:
    one_at_a_time()
    noted = dict(StaleMatch.objects.order_by("day").values_list("day", "pk"))
    chosen = [day for day in noted if day.year == min(noted).year][:_DAYS_AT_ONCE] if noted else []
    if not chosen:
        return 0  # another worker was faster
    year = chosen[0].year
    contracts, terms = counting({year}), terms_of(Site.objects.values_list("pk", flat=True))
    stale = _replace(_hourly_of(chosen), _hourly(chosen, contracts, terms))
    if not any(day.year == year for day in noted if day > chosen[-1]):
        stale |= _replace(_annual_of(year), _annual(year, contracts, terms, now=now))
    DirtyHour.objects.mark(stale, now=now)  # all of them first, in the order in which posters mark
    contract_changes.keep(contract_changes.waiting(year), stale)
    StaleMatch.objects.filter(pk__in=[noted[day] for day in chosen]).delete()
    for restatement in contract_changes.waiting(year):
        if not StaleMatch.objects.filter(day__range=_days_of(restatement)).exists():
            contract_changes.close(restatement)
    return len(stale)


def _days_of(restatement: Restatement) -> tuple[date | None, date | None]:
    """First and last UTC day of what it waits for."""
    return tuple(edge and edge.astimezone(UTC).date() for edge in (restatement.first_hour, restatement.last_hour))


def _note(days: Iterable[date]) -> None:
    StaleMatch.objects.bulk_create([StaleMatch(day=day) for day in sorted(set(days))], _AT_ONCE, ignore_conflicts=True)


def _hourly(days: Iterable[date], contracts: Sequence[EnergyContract], terms: Terms) -> list[Use]:
    """Claims within each hour and grid zone. What a contract generates beyond the hour's consumption is lost."""
    generated, g = profiles(contracts), {one.pk: one.g_per_kwh for one in contracts}
    uses: list[Use] = []
    for day in days if contracts else ():
        stands = {pk: stand for pk, stand in stands_on(terms, day).items() if stand.mode == Matching.HOURLY}
        for hour, consumed_kwh in _consumed_by_hour(day, stands):
            supplies = hourly_supplies(contracts, generated, hour, stands)
            for claim in allocate(consumed_kwh, supplies):
                share = claim.kwh / consumed_kwh[claim.consumer]
                stretch = (Matching.HOURLY, hour, hour + HOUR)
                uses.append(Use(claim.instrument, claim.consumer, *stretch, claim.kwh, share, g[claim.instrument]))
    return uses


def _annual(year: int, contracts: Sequence[EnergyContract], terms: Terms, *, now: datetime) -> list[Use]:
    """Claims of the days that are over, in proportion to their consumption; the running day takes of what is left.

    So the year is restated once a day at most, and nothing is claimed beyond a contract's volume.
    """
    claimed_kwh = _sum_by_contract(InstrumentUse.objects.filter(_hourly_in(year)).values_list("contract_id", "kwh"))
    g, today = {one.pk: one.g_per_kwh for one in contracts}, now.astimezone(UTC).date()
    first, last = date(year, 1, 1), date(year + 1, 1, 1)
    split = max(first, min(today, last))
    uses: list[Use] = []
    for start, end in ((first, split), (split, last)):
        if start == end or not contracts:
            continue
        stands = stands_on(terms, min(end - DAY, max(today, start)))
        consumed_kwh = _consumed_within_year(start, end, terms)
        claims = allocate(consumed_kwh, annual_supplies(contracts, stands, claimed_kwh))
        stretch = (Matching.ANNUAL, _at(start), _at(end))
        for claim in claims:
            share = claim.kwh / consumed_kwh[claim.consumer]
            uses.append(Use(claim.instrument, claim.consumer, *stretch, claim.kwh, share, g[claim.instrument]))
        for contract_id, kwh in _sum_by_contract((c.instrument, c.kwh) for c in claims).items():
            claimed_kwh[contract_id] = claimed_kwh.get(contract_id, 0.0) + kwh
    return uses


def _consumed_by_hour(day: date, stands: Mapping[int, Stand]) -> Iterator[tuple[datetime, dict[int, float]]]:
    """Facility energy of each hour of the day by site. One query."""
    rows = TeamHour.objects.filter(site__in=stands, hour__gte=_at(day), hour__lt=_at(day) + DAY)
    parts: dict[datetime, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for hour, site_id, kwh in rows.values_list("hour", "site_id", "facility_energy_kwh"):
        parts[hour][site_id].append(kwh)
    for hour in sorted(parts):
        yield hour, {site_id: math.fsum(kwh) for site_id, kwh in parts[hour].items()}


def _consumed_within_year(start: date, end: date, terms: Terms) -> dict[int, float]:
    """Facility energy by site over the days on which it is matched within the year. One query."""
    parts: dict[int, list[float]] = defaultdict(list)
    stands: dict[date, dict[int, Stand]] = {}
    rows = TeamDay.objects.filter(site__isnull=False, day__gte=start, day__lt=end)
    for day, site_id, kwh in rows.values_list("day", "site_id", "facility_energy_kwh"):
        if day not in stands:
            stands[day] = stands_on(terms, day)
        if stands[day][site_id].mode == Matching.ANNUAL:
            parts[site_id].append(kwh)
    return {site_id: math.fsum(kwh) for site_id, kwh in parts.items()}


def _replace(stored: Q, fresh: Collection[Use]) -> set[tuple[int, datetime]]:
    """Write the claims in place of the stored ones; returns the device-hours whose covered shares changed."""
    rows = InstrumentUse.objects.filter(stored)
    columns = ("contract_id", "site_id", "mode", "start", "end", "kwh", "share", "g_per_kwh")
    before = {Use(*row) for row in rows.values_list(*columns)}
    if before == set(fresh):
        return set()
    rows.delete()
    InstrumentUse.objects.bulk_create(
        [InstrumentUse(**{name: getattr(use, name) for name in columns}) for use in fresh], _AT_ONCE
    )
    stale: set[tuple[int, datetime]] = set()
    for site_id, start, end in _changed(before, fresh):
        stale |= _device_hours(site_id, start, end)
    return stale


def _device_hours(site_id: int, start: datetime, end: datetime) -> set[tuple[int, datetime]]:
    of_site = LedgerHour.objects.filter(site_id=site_id, hour__gte=start, hour__lt=end).order_by()
    return set(of_site.values_list("device_id", "hour").distinct())


def _changed(before: Iterable[Use], after: Iterable[Use]) -> Iterator[tuple[int, datetime, datetime]]:
    """(site id, start, end) of the stretches in which a site is not covered as it was."""
    by_site: dict[int, tuple[list[Use], list[Use]]] = defaultdict(lambda: ([], []))
    for which, uses in enumerate((before, after)):
        for use in uses:
            by_site[use.site_id][which].append(use)
    for site_id in sorted(by_site):
        edges = sorted({edge for uses in by_site[site_id] for use in uses for edge in (use.start, use.end)})
        old, new = (_coverage_from(uses) for uses in by_site[site_id])
        held: tuple[Coverage, Coverage] = ({}, {})
        for start, end in pairwise(edges):
            for cover, changes in zip(held, (old, new), strict=True):
                for key, holds in changes.get(start, ()):
                    if holds is None:
                        cover.pop(key, None)
                    else:
                        cover[key] = holds
            if held[0] != held[1]:
                yield site_id, start, end


def _coverage_from(uses: Iterable[Use]) -> dict[datetime, list[tuple[tuple[int, str], tuple[float, float] | None]]]:
    """At each edge what ends (None) and what begins (share, g/kWh) to hold of each contract and rule, ends first."""
    ends: dict[datetime, list[tuple[tuple[int, str], tuple[float, float] | None]]] = defaultdict(list)
    rising = sorted(uses, key=lambda use: (use.start, use.contract_id))
    for use in rising:
        ends[use.end].append(((use.contract_id, use.mode), None))
    for use in rising:
        ends[use.start].append(((use.contract_id, use.mode), (use.share, use.g_per_kwh)))
    return ends


def _sum_by_contract(parts: Iterable[tuple[int, float]]) -> dict[int, float]:
    by_contract: dict[int, list[float]] = defaultdict(list)
    for contract_id, kwh in parts:
        by_contract[contract_id].append(kwh)
    return {contract_id: math.fsum(kwh) for contract_id, kwh in by_contract.items()}


def _hourly_of(days: Collection[date]) -> Q:
    """Hourly claims of these days, which lie in one year."""
    found = Q(pk__in=())
    for first, last in _runs(days):
        found |= Q(mode=Matching.HOURLY, start__gte=_at(first), start__lt=_at(last) + DAY)
    return found


def _runs(days: Collection[date]) -> Iterator[tuple[date, date]]:
    """First and last day of each unbroken run."""
    rising = sorted(days)
    first = previous = rising[0]
    for day in rising[1:]:
        if day - previous > DAY:
            yield first, previous
            first = day
        previous = day
    yield first, previous


def _hourly_in(year: int) -> Q:
    return Q(mode=Matching.HOURLY, start__gte=_at(date(year, 1, 1)), start__lt=_at(date(year + 1, 1, 1)))


def _annual_of(year: int) -> Q:
    return Q(mode=Matching.ANNUAL, start__gte=_at(date(year, 1, 1)), start__lt=_at(date(year + 1, 1, 1)))


def _in_year(year: int) -> Q:
    return Q(day__gte=date(year, 1, 1), day__lt=date(year + 1, 1, 1))


def _at(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
