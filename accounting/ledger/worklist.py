"""The dirty hours as a list of work that several workers share: what is due, who makes it, what is made.

An hour goes from marked to made to gone (`DirtyHour`), and each step is in the transaction that did the work: a worker
that dies leaves the mark as it was. Nobody locks a mark while working, so that no poster waits: a worker holds a lock
on the device-hour instead, and reads the marks' stamps once it has it (docs/decisions/0011).
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q

from accounting.ledger.instants import hour_of
from accounting.models import DirtyHour, LedgerPulse

FEW = 100  # open hours that are made at once, without waiting until more has come in: less than a second of work
_PULSE_EVERY = timedelta(seconds=30)
_TABLE = DirtyHour._meta.db_table


@dataclass(frozen=True, slots=True)
class Taken:
    """A mark as it was read, under the lock of its device-hour."""

    pk: int
    device_id: int
    hour: datetime
    stamp: int

    @property
    def device_hour(self) -> tuple[int, datetime]:
        return self.device_id, self.hour


def due(*, now: datetime, most: int, open_hours: bool = False, marked_until: datetime | None = None) -> list[int]:
    """Marks to work on, oldest first; by device, so that neighbouring hours load together. Two queries at most.

    Args:
        open_hours: whether running hours are due whatever their age. Else they wait until their mark is as old as
            GREENAI_LEDGER_OPEN_HOUR_S or the hour is over, unless there are only a `FEW` of them.
        marked_until: leave later marks alone.
    """
    stale = DirtyHour.objects.stale().order_by("marked_at", "hour", "device_id")
    if marked_until is not None:
        stale = stale.filter(marked_at__lte=marked_until)
    columns = ("device_id", "hour", "pk")
    if open_hours:
        return [pk for _, _, pk in sorted(stale.values_list(*columns)[:most])]
    running = Q(hour__gte=hour_of(now))
    waiting = Q(marked_at__gt=now - timedelta(seconds=settings.GREENAI["ledger_open_hour_s"]))
    found = list(stale.exclude(running & waiting).values_list(*columns)[:most])
    if len(found) < most:
        young = list(stale.filter(running & waiting).values_list(*columns)[: FEW + 1])
        found += young[: most - len(found)] if len(young) <= FEW else []
    return [pk for _, _, pk in sorted(found)]


def take(pks: Sequence[int]) -> list[Taken]:
    """Those of these marks that nobody else has in hand and that are still to be made, until the transaction ends.

    The stamps are read after the locks are had: whoever had them before has committed what it made.
    """
    if connection.vendor == "postgresql":
        pks = _locked(pks)
    rows = DirtyHour.objects.stale().filter(pk__in=pks).values_list("pk", "device_id", "hour", "stamp")
    return [Taken(*row) for row in rows]


def _locked(pks: Sequence[int]) -> list[int]:
    """By device-hour and not by row: a mark may go and come again as another row."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH asked AS MATERIALIZED (SELECT id, device_id, hour FROM {_TABLE} WHERE id = ANY(%s)) "  # no others
            "SELECT id FROM asked WHERE pg_try_advisory_xact_lock("
            "(device_id %% 2147483647)::int, (extract(epoch FROM hour) / 3600)::int)",
            [list(pks)],
        )
        return [pk for (pk,) in cursor.fetchall()]


def note_made(taken: Collection[Taken]) -> None:
    """The rows of these are made, as their marks stood when they were taken. At the end of the transaction that did it.

    A mark that came meanwhile has another stamp, so the hour stays to be made. One that a poster has in hand right now
    is left as it is: it is about to be marked again, and nobody waits for anybody.
    """
    if connection.vendor != "postgresql":
        for one in taken:
            DirtyHour.objects.filter(pk=one.pk).update(made=one.stamp)
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH free AS (SELECT id FROM {_TABLE} WHERE id = ANY(%s) FOR UPDATE SKIP LOCKED) "
            f"UPDATE {_TABLE} d SET made = t.stamp FROM unnest(%s::bigint[], %s::bigint[]) AS t(id, stamp), free "
            "WHERE d.id = t.id AND d.id = free.id",
            [[one.pk for one in taken], [one.pk for one in taken], [one.stamp for one in taken]],
        )


def made_days() -> list[date]:
    """UTC days with hours whose rows are made and whose roll-ups are not."""
    hours = DirtyHour.objects.filter(made__isnull=False).order_by().values_list("hour", flat=True).distinct()
    return sorted({hour.astimezone(UTC).date() for hour in hours})


def made_on(day: date) -> list[tuple[int, int, datetime, int]]:
    """(pk, device id, hour, the stamp it was made for) of one day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    of_day = DirtyHour.objects.filter(made__isnull=False, hour__gte=start, hour__lt=start + timedelta(days=1))
    return list(of_day.values_list("pk", "device_id", "hour", "made"))


def clear(rolled: Collection[tuple[int, int, datetime, int]]) -> int:
    """Their roll-ups are right: remove the marks that nobody has renewed, and set the others back to marked. How many.

    Locks them in the order in which posters do, and leaves those that one has in hand to the next time.
    """
    made = {pk: stamp for pk, _, _, stamp in rolled}
    skip = connection.features.has_select_for_update_skip_locked
    free = DirtyHour.objects.select_for_update(skip_locked=skip).filter(pk__in=made).order_by("device_id", "hour")
    outcome: dict[bool, list[int]] = defaultdict(list)
    for pk, stamp, made_for in free.values_list("pk", "stamp", "made"):
        if made_for == made[pk]:  # else another worker made it again, and its roll-ups are to come
            outcome[stamp == made_for].append(pk)
    DirtyHour.objects.filter(pk__in=outcome[True]).delete()
    DirtyHour.objects.filter(pk__in=outcome[False]).update(made=None)
    return sum(map(len, outcome.values()))


def pulse(*, now: datetime) -> None:
    """Note that a worker looks for work, twice a minute at most."""
    if not LedgerPulse.objects.filter(looked_at__gt=now - _PULSE_EVERY).exists():
        LedgerPulse.objects.bulk_create(
            [LedgerPulse(pk=1, looked_at=now)], update_conflicts=True, update_fields=["looked_at"], unique_fields=["id"]
        )
