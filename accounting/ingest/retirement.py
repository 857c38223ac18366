"""How long raw samples are kept. What went is told by one row: no sample from before it is taken again.

In this order, so that it may be cut off anywhere and go on later: `advance` refuses what is old from now on, the ledger
seals the hours that rest on it, `drop` takes it away. Samples younger than YOUNG never come near any of this.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.models import F

from accounting.agent.wire import ItemError
from accounting.ingest import partitions
from accounting.ingest.admit import Admitted
from accounting.ingest.columns import EPOCH, microsecond
from accounting.ingest.fleet import Fleet
from accounting.ingest.shapes import CheckedBatch, Fault
from accounting.models import Device, DeviceSample, DeviceUse, EnergyHour, RawRetention

YOUNG = timedelta(hours=47)  # an hour less than sealing leaves alone, for batches that take their time
ROWS_AT_ONCE = 5_000
_DEVICES_AT_ONCE = 500
_LISTS = ("device_samples", "device_uses", "energy_spans")

Ready = Callable[[datetime, datetime], bool]  # whether all from the first instant to before the second can be sealed


def without_old(admitted: Admitted, fleet: Fleet, *, now: datetime) -> Admitted:
    """Take out what the ledger can no longer count, with why. No query where everything is young, one where nothing was
    ever retired, else two.

    Samples from before what is kept, and whatever touches a sealed hour. Spans of energy are kept for ever, so they may
    be as old as they like where nothing is sealed. Until commit nothing is sealed beside this batch, so that what is
    stored here will be counted.
    """
    young, first = now - YOUNG, _first(admitted.batch)
    if first is None or first >= young:
        return admitted
    since = _since(lock="SHARE").kept_since
    if since == EPOCH:
        return admitted
    old = {name: [i for i in getattr(admitted.batch, name) if _begins(i) < young] for name in _LISTS}
    sealed = _sealed(fleet, [i for items in old.values() for i in items])
    if not sealed and first >= since:
        return admitted
    errors, kept, positions = list(admitted.errors), {}, dict(admitted.positions)
    for name in _LISTS:
        items, places = getattr(admitted.batch, name), admitted.positions[name]
        begins = since if name != "energy_spans" else EPOCH
        late = [_begins(i) < young and (_begins(i) < begins or _touches(i, sealed, fleet)) for i in items]
        errors += [_too_old(name, at, i, begins) for i, at, gone in zip(items, places, late, strict=True) if gone]
        kept[name] = [i for i, gone in zip(items, late, strict=True) if not gone]
        positions[name] = [at for at, gone in zip(places, late, strict=True) if not gone]
    return Admitted(msgspec.structs.replace(admitted.batch, **kept), errors, positions, admitted.team_ids)


def advance(*, now: datetime, keep_days: int, ready: Ready) -> bool:
    """Refuse from now on what is older than `keep_days` whole days, if there is any and the ledger has built it all."""
    cut = datetime.combine(now.astimezone(UTC).date(), datetime.min.time(), UTC) - timedelta(days=keep_days)
    with transaction.atomic():
        row = hold()
        if row.sealed_before < row.kept_since or cut <= row.kept_since or not _any_before(cut, row.kept_since):
            return False
        if not ready(row.kept_since, cut):
            return False
        RawRetention.objects.update(kept_since=cut)
    return True


def sealing() -> tuple[datetime, datetime] | None:
    """From when to when what rests on samples has yet to be sealed."""
    row = RawRetention.objects.filter(sealed_before__lt=F("kept_since")).first()
    return row and (row.sealed_before, row.kept_since)


def hold() -> RawRetention:
    """What is kept; until commit no old sample comes in beside it."""
    return _since(lock="UPDATE")


def settle() -> None:
    """All that is refused has been sealed: it may go."""
    with transaction.atomic():
        RawRetention.objects.update(sealed_before=hold().kept_since)


def drop(*, going_on: Callable[[], bool]) -> int:
    """Take away what was retired, a bounded piece at a time while `going_on`; how many days or rows went."""
    row = RawRetention.objects.first()
    if row is None:
        return 0
    gone, cut_us = 0, microsecond(row.sealed_before)
    for day in sorted(partitions.made()):
        if (day + 1) * partitions.US_PER_DAY <= cut_us and going_on():
            gone += partitions.drop(day)
    tables = (DeviceUse,) if connection.vendor == "postgresql" else (DeviceUse, DeviceSample)
    for table in tables:
        for some in _devices():
            while going_on() and (count := _delete_some(table._meta.db_table, some, cut_us)):
                gone += count
    return gone


def _since(*, lock: str) -> RawRetention:
    of_row = RawRetention.objects.all()
    if connection.vendor == "postgresql":
        sql = f"SELECT * FROM {RawRetention._meta.db_table} WHERE id = 1 FOR {lock}"
        rows = list(RawRetention.objects.raw(sql))
    else:
        rows = list(of_row)  # one writer at a time
    if rows:
        return rows[0]
    RawRetention.objects.bulk_create([RawRetention(kept_since=EPOCH, sealed_before=EPOCH)], ignore_conflicts=True)
    return _since(lock=lock)


def _first(batch: CheckedBatch) -> datetime | None:
    """The earliest moment that any of its items speaks of."""
    told = [s.measured_at for s in batch.device_samples]
    told += [use.measured_at for use in batch.device_uses]
    told += [span.started_at for span in batch.energy_spans]
    return min(told, default=None)


def _begins(item: Any) -> datetime:
    return item.started_at if hasattr(item, "started_at") else item.measured_at


def _hours(item: Any) -> tuple[datetime, datetime]:
    """The first and the last hour that it touches; a span's end is not part of it."""
    first = _begins(item)
    last = max(first, item.ended_at - timedelta(microseconds=1)) if hasattr(item, "ended_at") else first
    return _hour(first), _hour(last)


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _sealed(fleet: Fleet, items: Sequence[Any]) -> dict[int, list[datetime]]:
    """The sealed hours of the devices of these items, rising, from the first to the last hour of any."""
    hours = [hour for item in items for hour in _hours(item)]
    rows = EnergyHour.objects.filter(
        sealed=True,
        device__in={fleet.device_id(item.host, item.device) for item in items},
        hour__range=(min(hours), max(hours)),
    )
    found: dict[int, list[datetime]] = defaultdict(list)
    for device_id, hour in rows.order_by("device", "hour").values_list("device_id", "hour").distinct():
        found[device_id].append(hour)
    return found


def _touches(item: Any, sealed: dict[int, list[datetime]], fleet: Fleet) -> bool:
    hours = sealed.get(fleet.device_id(item.host, item.device), [])
    first, last = _hours(item)
    at = bisect_left(hours, first)
    return at < len(hours) and hours[at] <= last


def _too_old(name: str, at: int, item: Any, since: datetime) -> ItemError:
    when = _begins(item).astimezone(UTC)
    why = (
        f"samples from before {since:%Y-%m-%d} have been retired" if when < since else "its hours were sealed with them"
    )
    why = "the raw samples of its hours have been retired" if name == "energy_spans" else why
    field = "started_at" if name == "energy_spans" else "measured_at"
    detail = f"{when.isoformat()}: {why} and the ledger counts no more of them: leave it out"
    fault = Fault("too_old", detail)
    return ItemError(name, at, field, fault.code, fault.detail)


def _any_before(cut: datetime, since: datetime) -> bool:
    if connection.vendor == "postgresql":
        return any((day + 1) * partitions.US_PER_DAY <= microsecond(cut) for day in partitions.standing())
    span = (microsecond(since), microsecond(cut) - 1)
    return any(
        DeviceSample.objects.filter(device=pk, measured_at_us__range=span).exists()
        for some in _devices()
        for pk in some
    )


def _devices() -> Iterator[list[int]]:
    ids = list(Device.objects.order_by("pk").values_list("pk", flat=True))
    yield from (ids[start : start + _DEVICES_AT_ONCE] for start in range(0, len(ids), _DEVICES_AT_ONCE))


def _delete_some(table: str, device_ids: list[int], cut_us: int) -> int:
    place = "ctid" if connection.vendor == "postgresql" else "rowid"
    among = ", ".join(map(str, device_ids))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE {place} IN (SELECT {place} FROM {table} "
            f"WHERE device_id IN ({among}) AND measured_at_us < {cut_us} LIMIT {ROWS_AT_ONCE})"
        )
        return int(cursor.rowcount)
