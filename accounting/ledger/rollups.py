"""Hours x team, days x team and days x device: always recomputed from the rows below, never added to."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from django.db import connection, models
from django.db.models import Q

from accounting.ledger.insert import insert
from accounting.methods.records import Status
from accounting.methods.rollup import Part, add_up
from accounting.models import DeviceDay, LedgerHour, TeamDay, TeamHour
from accounting.models.ledger import PARTS, QUANTITIES

COLUMNS = (*(f"{name}{bound}" for name in QUANTITIES for bound in ("_low", "", "_high")), *PARTS)
_BESIDE = ("status", "factor_ids")
_LOCK = 0x6C656467  # "ledg": the key of the advisory lock, the same in every worker
_DAY_LOCK = 0x6461  # "da": beside it the number of the day


def roll_up(device_hours: Collection[tuple[int, datetime]]) -> None:
    """Recompute every roll-up that these device-hours touch, inside the caller's transaction, which took their days."""
    hours = {hour for _, hour in device_hours}
    days = {_day(hour) for hour in hours}
    _team_hours(hours)
    _team_days(days)
    for day in sorted(days):
        _device_days(day, {device_id for device_id, hour in device_hours if _day(hour) == day})


def take_day(day: date) -> bool:
    """Have the roll-ups of a UTC day for oneself until the transaction ends; False: another worker has them.

    Whoever holds a day commits before the next one gets it, so that it sees all rows below. SQLite has one writer.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_LOCK])
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_DAY_LOCK << 32 | day.toordinal()])
        return bool(cursor.fetchone()[0])


def one_at_a_time() -> None:
    """Have the roll-ups of all days for oneself until the transaction ends, once those under way have committed."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _team_hours(hours: Collection[datetime]) -> None:
    rows = LedgerHour.objects.filter(hour__in=hours).values_list(
        "hour", "team_id", "project_id", "site_id", *_BESIDE, *COLUMNS
    )
    _replace(TeamHour, Q(hour__in=hours), rows, ("hour", "team_id", "project_id", "site_id"))


def _team_days(days: Collection[date]) -> None:
    for day in sorted(days):
        rows = TeamHour.objects.filter(_in_day(day)).values_list(
            "hour", "team_id", "project_id", "site_id", *_BESIDE, *COLUMNS
        )
        _replace(TeamDay, Q(day=day), rows, ("day", "team_id", "project_id", "site_id"), _day)


def _device_days(day: date, device_ids: Collection[int]) -> None:
    rows = LedgerHour.objects.filter(_in_day(day), device_id__in=device_ids).values_list(
        "hour", "device_id", "team_id", *_BESIDE, *COLUMNS
    )
    _replace(DeviceDay, Q(day=day, device_id__in=device_ids), rows, ("day", "device_id", "team_id"), _day)


def _replace(
    model: type[models.Model],
    stale: Q,
    rows: models.QuerySet[Any, tuple[Any, ...]],
    names: Sequence[str],
    period: Callable[[datetime], Any] = lambda hour: hour,
) -> None:
    """Replace the `stale` rows by sums of `rows`, whose cells are an hour, the other `names`, `_BESIDE`, `COLUMNS`."""
    width = len(names)
    parts = [
        Part((period(row[0]), *row[1:width]), row[width + 2 :], Status(row[width]), row[width + 1])
        for row in _read(rows, ids_at=width + 1)
    ]
    sums = [
        dict(zip((*names, *COLUMNS), (*total.key, *total.columns), strict=True))
        | {"status": total.status.value, "factor_ids": list(total.factor_ids)}
        for total in add_up(parts)
    ]
    model._default_manager.filter(stale).delete()
    insert(model, sums)


def _read(rows: models.QuerySet[Any, tuple[Any, ...]], *, ids_at: int) -> Iterator[tuple[Any, ...]]:
    """The rows without the ORM's converters: of thousands of rows a few hours and lists of factors are different."""
    sql, parameters = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        for row in cursor.fetchall():
            hour = row[0] if row[0].tzinfo else row[0].replace(tzinfo=UTC)  # SQLite holds UTC, and does not say so
            yield (hour, *row[1:ids_at], _ids(row[ids_at]), *row[ids_at + 1 :])


@lru_cache(maxsize=4096)
def _ids(stored: str) -> tuple[str, ...]:
    return tuple(json.loads(stored))


def _day(hour: datetime) -> date:
    return hour.astimezone(UTC).date()


def _in_day(day: date) -> Q:
    start = datetime.combine(day, time(), tzinfo=UTC)
    return Q(hour__gte=start, hour__lt=start + timedelta(days=1))
