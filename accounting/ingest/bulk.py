"""Writing and finding many samples in one statement. The two databases differ here and in `partitions` alone.

PostgreSQL takes whole columns, packed by numpy in its binary array format (`bulk_postgresql`). SQLite has no server to
save trips to: executemany within the transaction is its fast path (`bulk_sqlite`).
"""

from types import ModuleType

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from accounting.ingest import bulk_postgresql, bulk_sqlite
from accounting.ingest.columns import SampleColumns
from accounting.ingest.readings import KEY_COLUMNS, READING_COLUMNS, TABLE, Key, Reading, Row

KEYS_A_QUERY = 500


def insert_new(samples: SampleColumns, *, epoch: int, received_at_us: int) -> NDArray[np.bool_]:
    """Insert the samples whose key is free; which of them were. Inside a transaction; keys rise and do not repeat."""
    if not len(samples):
        return np.zeros(0, dtype=bool)
    return _database().insert_new(samples, epoch, received_at_us)


def stored(keys: list[Key]) -> dict[Key, Row]:
    """The stored rows of these keys, those that exist, held until the transaction ends. Keys rise."""
    found: dict[Key, Row] = {}
    for start in range(0, len(keys), KEYS_A_QUERY):
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {KEY_COLUMNS}, {READING_COLUMNS}, revision, epoch FROM {TABLE} "
                f"WHERE {_among(keys[start : start + KEYS_A_QUERY])} {_database().HELD}"
            )
            for row in cursor.fetchall():
                found[tuple(row[:3])] = Row(Reading(*row[3:8], bool(row[8])), row[9], row[10])
    return found


def replace(rows: dict[Key, Row], *, received_at_us: int) -> None:
    """Put these in place of what is stored under their keys."""
    _database().replace(sorted(rows.items()), received_at_us)


def _database() -> ModuleType:
    return bulk_postgresql if connection.vendor == "postgresql" else bulk_sqlite


def _among(keys: list[Key]) -> str:
    """Whole numbers only, so they stand in the text: parameters would number thousands.

    The bounds in time let PostgreSQL leave out the other days when it plans.
    """
    tuples = ",".join(f"({device:d},{at:d},{source:d})" for device, at, source in keys)
    times = [at for _, at, _ in keys]
    return f"({KEY_COLUMNS}) IN (VALUES {tuples}) AND measured_at_us BETWEEN {min(times):d} AND {max(times):d}"
