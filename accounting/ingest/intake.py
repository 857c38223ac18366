"""How much came in by which token and protocol: counted with what it counts, in one transaction.

Costs one statement a batch, and one more where a device is told of for the first time in an hour.
"""

import os
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import blake2b

from django.db import connection, transaction
from django.db.models import Max, Sum

from accounting.agent.wire import TelemetryReply
from accounting.models import ApiToken, IntakeDevice, IntakeHour

SHARDS = 8  # rows a token, protocol and hour are spread over; a poster waits for one eighth of the others
KEPT_BY_HOUR = timedelta(hours=26)  # longer than any page looks back; every scrape of /metrics adds up these rows
COUNTED = ("accepted", "duplicates", "conflicts", "rejected")
_MOST_REMEMBERED = 200_000
_told: dict[tuple[int, str, int], datetime] = {}  # the hour in which this process last noted a device


def count_intake(
    reply: TelemetryReply, *, token: ApiToken, protocol: str, device_ids: Iterable[int], now: datetime
) -> None:
    """Add a batch to the counts, as the last statement of its transaction: nobody waits for its lock for long.

    A person's import has no token that is stored, and is not counted: its `FileImport` says what it brought.
    """
    if token.pk is None:
        return
    hour = now.replace(minute=0, second=0, microsecond=0)
    _note_devices(token.pk, protocol, device_ids, hour=hour, now=now)
    counts = [getattr(reply, name) for name in COUNTED]
    if any(counts):
        _add(token.pk, protocol, hour, counts, now)


def fold_intake(*, now: datetime) -> int:
    """Add up hours older than a day in one row a token and protocol, and how many rows went. Safe to run twice."""
    before = now - KEPT_BY_HOUR
    old = IntakeHour.objects.filter(hour__lt=before).exclude(hour=IntakeHour.BEFORE)
    with transaction.atomic():
        rows = list(old.select_for_update().order_by("pk"))
        groups = IntakeHour.objects.filter(pk__in=[row.pk for row in rows]).order_by("token", "protocol")
        for token_id, protocol, last_at, *sums in groups.values_list("token", "protocol").annotate(
            Max("last_at"), *(Sum(name) for name in COUNTED)
        ):
            standing = IntakeHour.objects.select_for_update().filter(
                token=token_id, protocol=protocol, hour=IntakeHour.BEFORE
            )
            row = standing.first() or IntakeHour(token_id=token_id, protocol=protocol, hour=IntakeHour.BEFORE)
            row.last_at = max(row.last_at or last_at, last_at)
            for name, added in zip(COUNTED, sums, strict=True):
                setattr(row, name, getattr(row, name) + added)
            row.save()
        IntakeHour.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _add(token_id: int, protocol: str, hour: datetime, counts: list[int], now: datetime) -> None:
    """One statement: a row, or more of what stands in it."""
    table = connection.ops.quote_name(IntakeHour._meta.db_table)
    more = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in COUNTED)
    newest = f"CASE WHEN excluded.last_at > {table}.last_at THEN excluded.last_at ELSE {table}.last_at END"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (token_id, protocol, hour, shard, {', '.join(COUNTED)}, last_at) "
            f"VALUES ({', '.join(['%s'] * 9)}) "
            f"ON CONFLICT (token_id, protocol, hour, shard) DO UPDATE SET {more}, last_at = {newest}",
            [
                token_id,
                protocol,
                connection.ops.adapt_datetimefield_value(hour),
                _shard(),
                *counts,
                connection.ops.adapt_datetimefield_value(now),
            ],
        )


def _shard() -> int:
    """The same for one thread, so that a transaction of several batches has one row to lock."""
    poster = f"{os.getpid()} {threading.get_ident()}".encode()
    return blake2b(poster, digest_size=1).digest()[0] % SHARDS


def _note_devices(token_id: int, protocol: str, ids: Iterable[int], *, hour: datetime, now: datetime) -> None:
    """Devices that this process has not noted in this hour. Remembered once they are committed."""
    new = sorted(pk for pk in set(ids) if _told.get((token_id, protocol, pk)) != hour)
    if not new:
        return
    IntakeDevice.objects.bulk_create(
        [
            IntakeDevice(token_id=token_id, protocol=protocol, device_id=pk, first_seen_at=now, last_seen_at=now)
            for pk in new
        ],
        1000,
        update_conflicts=True,
        update_fields=["last_seen_at"],
        unique_fields=["token", "protocol", "device"],
    )
    transaction.on_commit(lambda: _remember(token_id, protocol, new, hour))


def forget_devices() -> None:
    """For tests, whose devices come and go under the same ids."""
    _told.clear()


def _remember(token_id: int, protocol: str, ids: list[int], hour: datetime) -> None:
    if len(_told) + len(ids) > _MOST_REMEMBERED:
        _told.clear()
    _told.update({(token_id, protocol, pk): hour for pk in ids})
