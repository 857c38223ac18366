"""Hourly grid intensity from providers and files into the ledger: fetched where due, stored, touched hours marked.

A value replaces another of its series where it is better: an actual one an estimated one, and of the same kind the
later one. A provider that is down leaves hours without a row; the ledger then falls to the zone's year, and says so.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from accounting.factorbook import catalog
from accounting.factorbook.sites import emission_basis
from accounting.factorbook.terms import terms_at, terms_of, zone_of
from accounting.factors.providers.base import Ask, EmissionBasis, HourValue, NoKey, Provider, ProviderError
from accounting.factors.providers.client import Client, Refused, Transport, TryLater, Unreachable, over_https
from accounting.factors.providers.registry import providers
from accounting.ledger.instants import HOUR, hour_of
from accounting.ledger.marking import in_ledger, mark_site_hours
from accounting.ledger.restate import Cause, hold_book, restate_hours
from accounting.models import GridFeed, GridHour, Restatement, Site

_ROWS_AT_ONCE = 1_000
LOOK_BACK = timedelta(days=3)  # hours that a provider may still publish or correct
EVERY = timedelta(minutes=30)
CLAIMED_FOR = timedelta(minutes=10)
FIRST_WAIT_S, LONGEST_WAIT_S = 600.0, 21_600.0  # after failures, doubled each time
_KEYS = ("zone", "hour", "signal", "emission_basis", "flow", "provider")


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of values: rows made, replaced, and left as they were; device-hours marked for restating."""

    added: int
    replaced: int
    kept: int
    marked: int


def key_of(variable: str) -> str:
    """What the environment variable holds, or the file that `<variable>_FILE` names; empty where neither is set."""
    if not variable:
        return ""
    if found := os.environ.get(variable, ""):
        return found.strip()
    file = os.environ.get(f"{variable}_FILE", "")
    try:
        return Path(file).read_text().strip() if file else ""
    except OSError:
        return ""


def may_hold_key(provider: Provider, variable: str) -> bool:
    """A provider is sent variables of its own name only: nothing else of the environment can be made to leave."""
    own = provider.key_variable
    return variable == own or bool(own and re.fullmatch(rf"{own}_[A-Z0-9_]{{1,40}}", variable))


def clients(
    *, clock: Callable[[], float], today: Callable[[], datetime], transport: Transport = over_https
) -> dict[str, Client]:
    """One client a provider, for as long as the process lives: its rate is kept there."""
    return {name: Client(transport, clock, today) for name in providers(catalog())}


def due(*, now: datetime) -> list[GridFeed]:
    """Feeds to ask now, longest waiting first."""
    ready = GridFeed.objects.filter(Q(next_try_at=None) | Q(next_try_at__lte=now), enabled=True)
    return list(ready.order_by(F("next_try_at").asc(nulls_first=True), "pk"))


def fetch_feed(
    feed: GridFeed, *, now: datetime, clients: Mapping[str, Client], keys: Callable[[str], str] = key_of
) -> Stored | None:
    """Ask for the hours that are lacking and store them. None: another process has the feed, or it failed.

    What went wrong is on the feed's row, with when it is tried again. No transaction is open while a provider is asked.
    """
    if not _claim(feed, now=now):
        return None
    provider = providers(catalog()).get(feed.provider)
    try:
        if provider is None:
            raise ProviderError(f"no provider is named {feed.provider!r}")
        ask = lacking(feed, provider, now=now)
        values = provider.fetch(ask, key=_key(feed, provider, keys), client=clients[provider.name]) if ask else []
    except TryLater as later:
        _failed(feed, str(later), wait_s=later.wait_s, now=now)
    except (ProviderError, Refused, Unreachable) as error:
        _failed(feed, str(error), wait_s=min(FIRST_WAIT_S * 2.0**feed.failures, LONGEST_WAIT_S), now=now)
    else:
        stored = store_hours(feed.provider, ((feed.zone, value) for value in values), now=now)
        state = {"last_success_at": now, "last_error": "", "failures": 0, "next_try_at": now + EVERY}
        GridFeed.objects.filter(pk=feed.pk).update(**state)
        return stored
    return None


def lacking(feed: GridFeed, provider: Provider, *, now: datetime) -> Ask | None:
    """The span from the first to the last hour before this one that is not stored, or only estimated. None: nothing.

    What is stored is not asked for again. A new feed reaches back `grid_backfill_days`, later ones three days.
    """
    end = hour_of(now)
    reach = LOOK_BACK if feed.last_success_at else timedelta(days=settings.GREENAI["grid_backfill_days"])
    start = end - min(reach, provider.longest)
    basis = provider.only_basis or EmissionBasis(feed.emission_basis)
    rows = GridHour.objects.filter(provider=feed.provider, zone=feed.zone, hour__gte=start, is_estimated=False)
    known = set(rows.filter(emission_basis=basis).values_list("hour", flat=True))
    missing = [hour for k in range((end - start) // HOUR) if (hour := start + k * HOUR) not in known]
    if not missing:
        return None
    return Ask(feed.area, missing[0], missing[-1] + HOUR, basis)


@dataclass(frozen=True, slots=True)
class Because:
    """Why somebody brings hours: what they move is restated, and says so. A feed's own hours only mark."""

    reason: str
    actor: object


def store_hours(
    provider: str, values: Iterable[tuple[str, HourValue]], *, now: datetime, because: Because | None = None
) -> Stored:
    """Store what is new or better of (zone, value) pairs, and mark the site-hours it moves, in one transaction."""
    offered = {_identity(zone, provider, value): value for zone, value in values}
    with transaction.atomic():
        if because:
            hold_book()
        known = _known(provider, offered)
        rows, added = [], 0
        for identity, value in offered.items():
            row = known.get(identity)
            if row is not None and not _better(value, row):
                continue
            added += row is None
            rows.append(_row(identity, value, revision=0 if row is None else row.revision + 1, now=now))
        written = ["value_g_per_kwh", "is_estimated", "estimation_method", "fetched_at", "revision"]
        GridHour.objects.bulk_create(
            rows, _ROWS_AT_ONCE, update_conflicts=True, update_fields=written, unique_fields=list(_KEYS)
        )
        marked = _restate(rows, because, now=now) if because else _mark(rows, now=now)
    return Stored(added, len(rows) - added, len(offered) - len(rows), marked)


def _identity(zone: str, provider: str, value: HourValue) -> tuple[object, ...]:
    s = value.series
    return (zone, value.hour, s.signal.value, s.basis.value, s.flow.value, provider)


def _known(provider: str, offered: Mapping[tuple[object, ...], HourValue]) -> dict[tuple[object, ...], GridHour]:
    if not offered:
        return {}
    hours, zones = [value.hour for value in offered.values()], {identity[0] for identity in offered}
    rows = GridHour.objects.filter(provider=provider, zone__in=zones, hour__range=(min(hours), max(hours)))
    return {tuple(getattr(row, name) for name in _KEYS): row for row in rows}


def _better(value: HourValue, row: GridHour) -> bool:
    if value.is_estimated != row.is_estimated:
        return row.is_estimated
    return value.g_per_kwh != row.value_g_per_kwh


def _row(identity: tuple[object, ...], value: HourValue, *, revision: int, now: datetime) -> GridHour:
    return GridHour(
        **dict(zip(_KEYS, identity, strict=True)),
        value_g_per_kwh=value.g_per_kwh,
        is_estimated=value.is_estimated,
        estimation_method=value.estimation_method,
        fetched_at=now,
        revision=revision,
    )


def _mark(rows: Iterable[GridHour], *, now: datetime) -> int:
    return sum(mark_site_hours(site, hours, now=now) for site, hours in _moved(rows))


def _restate(rows: Iterable[GridHour], because: Because, *, now: datetime) -> int:
    """The same, keeping what stood."""
    pairs = {pair for site, hours in _moved(rows) for pair in in_ledger(site, hours)}
    rising = sorted(pairs, key=lambda one: (one[1], one[0]))
    cause = Cause(Restatement.Cause.GRID_HOURS)
    restate_hours(rising, reason=because.reason, actor=because.actor, cause=cause, now=now)
    return len(rising)


def _moved(rows: Iterable[GridHour]) -> Iterator[tuple[Site, set[datetime]]]:
    """The hours of every site that stood in the zone, and counts this basis, then. Marginal hours move nothing."""
    hours: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for row in rows:
        if row.signal == GridHour.Signal.AVERAGE:
            hours[row.zone, row.emission_basis].append(row.hour)
    if not hours:
        return
    sites = Site.objects.in_bulk()
    for site_id, terms in terms_of(sites).items():
        touched = {
            hour
            for (zone, basis), of_series in hours.items()
            for hour in of_series
            if (of := terms_at(terms, hour)) and (zone_of(of), emission_basis(of)) == (zone, basis)
        }
        if touched:
            yield sites[site_id], touched


def _claim(feed: GridFeed, *, now: datetime) -> bool:
    """Whoever moves the next try forward has the feed; it is free again after ten minutes, should they die."""
    same = GridFeed.objects.filter(pk=feed.pk, next_try_at=feed.next_try_at, enabled=True)
    return same.update(next_try_at=now + CLAIMED_FOR) == 1


def _key(feed: GridFeed, provider: Provider, keys: Callable[[str], str]) -> str:
    if not provider.key_variable:
        return ""
    if not may_hold_key(provider, feed.key_variable):
        raise NoKey(f"{feed.key_variable or 'no variable'} cannot hold its key: name {provider.key_variable}")
    return keys(feed.key_variable)


def _failed(feed: GridFeed, error: str, *, wait_s: float, now: datetime) -> None:
    GridFeed.objects.filter(pk=feed.pk).update(
        last_error=error[:300], failures=F("failures") + 1, next_try_at=now + timedelta(seconds=wait_s)
    )
