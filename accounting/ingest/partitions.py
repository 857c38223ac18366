"""The sample table in days: on PostgreSQL a partition a UTC day, made ahead, or by the first batch that needs it.

SQLite has one table, and nothing of this happens. A partition is made empty and then attached, which readers and
writers of the others do not notice; who makes one holds a lock that the next one waits for. What a process knows to be
there it does not ask for again; where it is wrong, the insert says so, and `written` asks once more.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import numpy as np
from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from accounting.ingest.columns import microsecond, microseconds
from accounting.ingest.dirty import TooWide
from accounting.ingest.readings import TABLE
from accounting.methods.units import US_PER_S
from accounting.models import RawRetention

US_PER_DAY = 86_400 * US_PER_S
DAYS_AHEAD = 3  # a beat that is down for two days is not noticed
MOST_NEW_DAYS = 32  # a request may make: each is a table with an index
LOCK_TIMEOUT = "5s"

_LOCK = 0x64617973  # "days": the key of the advisory lock
_EPOCH = date(1970, 1, 1)
_turn = threading.RLock()  # SQLite has one writer: threads that wait here waste no time on asking whether it is free
_known: dict[str, set[int]] = {}  # days since 1970 that have their partition, by database

Answer = TypeVar("Answer")


def written(days: Iterable[int], write: Callable[[], Answer]) -> Answer:
    """What `write` answers, with a partition for each of these days since 1970. Outside the transaction of `write`.

    Raises:
        TooWide: more than MOST_NEW_DAYS of them have none yet.
    """
    if connection.vendor != "postgresql":
        with _turn:
            return write()
    wanted = set(days)
    ensure(wanted)
    try:
        return write()
    except IntegrityError as error:
        if "no partition of relation" not in str(error):
            raise
        _known.clear()  # dropped by another process since this one saw it
        ensure(wanted)
        return write()


def days_of(instants: Sequence[datetime]) -> set[int]:
    """The days since 1970 that these instants lie in."""
    if not instants:
        return set()
    first, last = (microsecond(pick(instants)) // US_PER_DAY for pick in (min, max))
    return {first} if first == last else set(np.unique(microseconds(instants) // US_PER_DAY).tolist())


def ensure(days: set[int], *, most: int = MOST_NEW_DAYS) -> int:
    """Make the partitions of these days since 1970 that are missing; how many. No query where all are known."""
    known = _known.setdefault(str(connection.settings_dict["NAME"]), set())
    if days <= known or connection.vendor != "postgresql":
        return 0
    missing = sorted(day for day in days - standing() if day >= _kept_since())
    if len(missing) > most:
        raise TooWide(
            f"reaches over {len(missing)} days that nothing was kept of before, {most} at most: post fewer days at once"
        )
    for day in missing:
        _make(day)
    if not connection.in_atomic_block:  # what somebody's transaction made may yet be rolled back
        known |= days
    return len(missing)


def ensure_ahead(*, now: datetime) -> int:
    """Make the partitions of today and the days to come; how many were missing."""
    today = (now.astimezone(UTC).date() - _EPOCH).days
    return ensure(set(range(today, today + DAYS_AHEAD + 1)))


def standing() -> set[int]:
    """The days since 1970 that have a partition; empty on SQLite."""
    if connection.vendor != "postgresql":
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = %s::regclass AND NOT i.inhdetachpending",
            [TABLE],
        )
        return {_day(name) for (name,) in cursor.fetchall()}


def made() -> set[int]:
    """The days since 1970 that have a table, detached ones too."""
    if connection.vendor != "postgresql":
        return set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ %s", [f"^{TABLE}_[0-9]{{8}}$"])
        return {_day(name) for (name,) in cursor.fetchall()}


def drop(day: int) -> bool:
    """Take away a day with all its samples; False where another process is at it. Readers of other days go on.

    Raises:
        OperationalError: someone has read it for longer than LOCK_TIMEOUT; the next call goes on from there.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return False
        try:
            cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            _detach(cursor, name_of(day))
            cursor.execute(f"DROP TABLE IF EXISTS {name_of(day)}")
        finally:
            cursor.execute("RESET lock_timeout")
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
    _known.get(str(connection.settings_dict["NAME"]), set()).discard(day)
    return True


def _detach(cursor: CursorWrapper, name: str) -> None:
    """Concurrently, which a transaction cannot do; a detaching that was cut off is finished."""
    cursor.execute("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass(%s)", [name])
    attached = cursor.fetchone()
    if attached and not connection.in_atomic_block:
        how = "FINALIZE" if attached[0] else "CONCURRENTLY"
        cursor.execute(f"ALTER TABLE {TABLE} DETACH PARTITION {name} {how}")


def _kept_since() -> int:
    """The first day whose samples are still taken: none before it is made again."""
    since = RawRetention.objects.values_list("kept_since", flat=True).first()
    return 0 if since is None else (since.date() - _EPOCH).days


def name_of(day: int) -> str:
    return f"{TABLE}_{_EPOCH + timedelta(days=day):%Y%m%d}"


def _day(name: str) -> int:
    return (datetime.strptime(name.rpartition("_")[2], "%Y%m%d").date() - _EPOCH).days


def _make(day: int) -> None:
    """A table that nobody sees, and then a partition: the parent is locked against nobody but other such changes."""
    name = name_of(day)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return  # another process was first
        cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS)")
        cursor.execute(
            f"ALTER TABLE {TABLE} ATTACH PARTITION {name} "
            f"FOR VALUES FROM ({day * US_PER_DAY}) TO ({(day + 1) * US_PER_DAY})"
        )
