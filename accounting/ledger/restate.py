"""Restating: what stood is kept, the hours are marked in the same transaction, and what they came to is read after.

Whoever changes something that figures follow from takes `hold_book`, makes the change, and calls `restate`, in one
transaction. A rebuild does the rest; `settle` closes the restatement once every hour that it marked is made again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum

from accounting.ledger.book_lock import hold_book, share_book
from accounting.ledger.rollups import COLUMNS
from accounting.ledger.save import within
from accounting.models import DirtyHour, LedgerHour, RestatedDay, RestatedDevice, Restatement, Site, Team, TeamDay

__all__ = ["Cause", "hold_book", "mark", "restate", "restate_hours", "settle"]

_AT_ONCE = 5_000  # device-hours
_DEVICES_A_QUERY = 200
_KEY = ("day", "team_id", "project_id", "site_id")
DeviceHour = tuple[int, datetime]


@dataclass(frozen=True, slots=True)
class Cause:
    """What changed: the kind, the factors and methods behind it, and the site or team it is confined to."""

    kind: str  # of Restatement.Cause
    factor_ids: Sequence[str] = ()
    methods: tuple[str, str] = ("", "")  # before and after
    site: Site | None = None
    team: Team | None = None


def restate(
    rows: QuerySet[LedgerHour], *, reason: str, actor: object, cause: Cause, now: datetime
) -> Restatement | None:
    """Mark the hours of these ledger rows, and keep what stood on their days. No row: None, and nothing is written.

    In the caller's transaction, which holds the book and has made the change. One pass over the rows, and a handful of
    queries for each day with any.
    """
    found = rows.order_by("hour", "device_id").values_list("device_id", "hour").distinct()
    return restate_hours(found.iterator(chunk_size=_AT_ONCE), reason=reason, actor=actor, cause=cause, now=now)


def restate_hours(
    device_hours: Iterable[DeviceHour], *, reason: str, actor: object, cause: Cause, now: datetime
) -> Restatement | None:
    """The same for device-hours that have rows in the ledger, in the order of the hours and each once."""
    restatement = None
    for batch in batches(device_hours):
        restatement = restatement or begin(reason=reason, actor=actor, cause=cause, now=now)
        mark(restatement, batch)
    return restatement


def begin(
    *, reason: str, actor: object, cause: Cause, now: datetime, state: str = Restatement.State.PENDING
) -> Restatement:
    """A restatement without any hour yet."""
    return Restatement.objects.create(
        at=now,
        actor=str(actor)[:200],
        reason=reason.strip(),
        cause=cause.kind,
        factor_ids=list(cause.factor_ids),
        method_before=cause.methods[0],
        method_after=cause.methods[1],
        site=cause.site,
        team=cause.team,
        state=state,
    )


def mark(restatement: Restatement, device_hours: Collection[DeviceHour]) -> None:
    """Mark device-hours of one UTC day, and keep the rows of that day that they are part of."""
    day = _day(min(hour for _, hour in device_hours))
    some = [within(few) for few in _few_devices(device_hours)]
    keys = {key for q in some for key in LedgerHour.objects.filter(q).order_by().values_list(*_KEY[1:]).distinct()}
    kept = set(restatement.days.filter(day=day, after=False).values_list(*_KEY[1:]))
    standing = [row for row in TeamDay.objects.filter(day=day) if _key(row)[1:] in keys - kept]
    RestatedDay.objects.bulk_create([_kept(restatement, row, after=False) for row in standing], 500)
    _keep_devices(restatement, device_hours)
    _await(device_hours, restatement)
    hours = [hour for _, hour in device_hours]
    restatement.first_hour = min(filter(None, (restatement.first_hour, min(hours))))
    restatement.last_hour = max(filter(None, (restatement.last_hour, max(hours))))
    restatement.hours += len(device_hours)
    restatement.save(update_fields=["first_hour", "last_hour", "hours"])


def mark_more(restatement: Restatement, device_hours: Collection[DeviceHour]) -> None:
    """The same once more for device-hours of one UTC day, some of which may be marked by it already."""
    day = _day(min(hour for _, hour in device_hours))
    start = datetime.combine(day, time(), tzinfo=UTC)
    of_day = restatement.devices.filter(first_hour__gte=start, first_hour__lt=start + timedelta(days=1))
    spans: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for device_id, first, last in of_day.values_list("device_id", "first_hour", "last_hour"):
        spans[device_id].append((first, last))
    again = {(pk, hour) for pk, hour in device_hours if any(a <= hour <= b for a, b in spans[pk])}
    if fresh := sorted(set(device_hours) - again):
        mark(restatement, fresh)
    if again:
        _await(again, restatement)


def _await(device_hours: Collection[DeviceHour], restatement: Restatement) -> None:
    """Mark them so that `settle` waits for these marks, whoever came first."""
    DirtyHour.objects.mark(device_hours, now=restatement.at)
    for few in _few_devices(device_hours):
        DirtyHour.objects.filter(within(few), marked_at__gt=restatement.at).update(marked_at=restatement.at)


def settle(*, now: datetime) -> int:
    """Read what restated days came to, of every restatement whose hours are all made again. Returns how many."""
    done = 0
    for pk in Restatement.objects.filter(state=Restatement.State.PENDING).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            share_book()
            done += _settled(pk, now=now)
    return done


def _settled(pk: int, *, now: datetime) -> bool:
    locked = Restatement.objects.select_for_update().filter(pk=pk, state=Restatement.State.PENDING).first()
    if locked is None:
        return False
    marks = DirtyHour.objects.filter(
        device=OuterRef("device"),
        hour__range=(OuterRef("first_hour"), OuterRef("last_hour")),
    ).filter(
        Q(marked_at__lte=locked.at)  # a mark that came since is of another cause
        | Q(made__isnull=False)  # whose roll-ups are still to come
    )
    if locked.devices.filter(Exists(marks)).exists():
        return False
    before = list(locked.days.filter(after=False))
    now_standing = {_key(row): row for row in TeamDay.objects.filter(day__in={row.day for row in before})}
    after = [_kept(locked, now_standing.get(_key(row)) or _nothing(row), after=True) for row in before]
    RestatedDay.objects.bulk_create(after, 500)
    devices = list(locked.devices.all())
    sums = _co2e_g({(one.device_id, one.first_hour): one.last_hour for one in devices})
    for one in devices:
        one.co2e_after_g = sums.get((one.device_id, one.first_hour), 0.0)
    RestatedDevice.objects.bulk_update(devices, ["co2e_after_g"], 500)
    locked.state, locked.done_at = Restatement.State.DONE, now
    locked.save(update_fields=["state", "done_at"])
    return True


def batches(device_hours: Iterable[DeviceHour]) -> Iterable[list[DeviceHour]]:
    """Of one UTC day each, and not too long."""
    for _, of_day in groupby(device_hours, key=lambda one: _day(one[1])):
        hours = list(of_day)
        yield from (hours[k : k + _AT_ONCE] for k in range(0, len(hours), _AT_ONCE))


def _few_devices(device_hours: Iterable[DeviceHour]) -> Iterable[list[DeviceHour]]:
    """As many as one query can name."""
    by_device = [list(of) for _, of in groupby(sorted(device_hours), key=lambda one: one[0])]
    for k in range(0, len(by_device), _DEVICES_A_QUERY):
        yield [one for of_device in by_device[k : k + _DEVICES_A_QUERY] for one in of_device]


def _keep_devices(restatement: Restatement, device_hours: Iterable[DeviceHour]) -> None:
    hours: dict[int, list[datetime]] = defaultdict(list)
    for device_id, hour in device_hours:
        hours[device_id].append(hour)
    sums = _co2e_g({(device_id, min(of)): max(of) for device_id, of in hours.items()})
    RestatedDevice.objects.bulk_create(
        [
            RestatedDevice(
                restatement=restatement,
                device_id=device_id,
                first_hour=min(of),
                last_hour=max(of),
                hours=len(of),
                co2e_before_g=sums.get((device_id, min(of)), 0.0),
            )
            for device_id, of in sorted(hours.items())
        ],
        500,
    )


def _co2e_g(runs: dict[tuple[int, datetime], datetime]) -> dict[tuple[int, datetime], float]:
    """CO2e of each device from its first to its last hour. A query for 200 devices of one first hour and day."""
    sums: dict[tuple[int, datetime], float] = {}
    by_span: dict[tuple[datetime, datetime], list[int]] = defaultdict(list)
    for (device_id, first), last in runs.items():
        by_span[first, last].append(device_id)
    for (first, last), device_ids in by_span.items():
        for k in range(0, len(device_ids), _DEVICES_A_QUERY):
            some = Q(device__in=device_ids[k : k + _DEVICES_A_QUERY], hour__range=(first, last))
            rows = LedgerHour.objects.filter(some).order_by().values_list("device_id")
            for device_id, grams in rows.annotate(grams=Sum(F("co2e_location_g") + F("embodied_g"))):
                sums[device_id, first] = grams
    return sums


def _kept(restatement: Restatement, row: TeamDay, *, after: bool) -> RestatedDay:
    columns = {name: getattr(row, name) for name in (*_KEY, *COLUMNS, "status")}
    return RestatedDay(restatement=restatement, after=after, **columns)


def _nothing(row: RestatedDay) -> TeamDay:
    """The day's row is gone: its hours came to nothing, or to another team or site."""
    return TeamDay(**{name: getattr(row, name) for name in _KEY}, status=row.status)


def _key(row: TeamDay | RestatedDay) -> tuple[date | int | None, ...]:
    return tuple(getattr(row, name) for name in _KEY)


def _day(hour: datetime) -> date:
    return hour.astimezone(UTC).date()
