"""Samples into SQLite. The transaction is IMMEDIATE, so nothing can come between looking and inserting."""

from collections.abc import Sequence
from itertools import repeat

import numpy as np
from django.db import IntegrityError, connection, transaction
from numpy.typing import NDArray

from accounting.ingest.columns import SampleColumns
from accounting.ingest.readings import KEY_COLUMNS, READING_COLUMNS, TABLE, Key, Row, values

HELD = ""  # the one writer holds everything

_KEYS_A_QUERY = 500
_INSERT = (
    f"INSERT INTO {TABLE} ({KEY_COLUMNS}, {READING_COLUMNS}, revision, epoch, received_at_us) "
    f"VALUES ({', '.join(['%s'] * 12)})"
)
_REPLACE = (
    f"UPDATE {TABLE} SET {', '.join(f'{name} = %s' for name in READING_COLUMNS.split(', '))}, revision = %s, "
    "epoch = %s, received_at_us = %s WHERE device_id = %s AND measured_at_us = %s AND source = %s"
)


def insert_new(samples: SampleColumns, epoch: int, received_at_us: int) -> NDArray[np.bool_]:
    """Usually every key is free, and looking first would be in vain."""
    keys = (samples.device_id.tolist(), samples.measured_at_us.tolist(), samples.source.tolist())
    constant = (repeat(epoch), repeat(received_at_us))
    offered = list(zip(*keys, *values(samples), samples.revision.tolist(), *constant, strict=False))
    try:
        with transaction.atomic():
            _insert(offered)
        return np.ones(len(offered), dtype=bool)
    except IntegrityError:
        taken = _taken([row[:3] for row in offered])
    _insert([row for row in offered if row[:3] not in taken])
    return np.array([row[:3] not in taken for row in offered], dtype=bool)


def _insert(offered: Sequence[tuple[object, ...]]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, offered)


def replace(changed: Sequence[tuple[Key, Row]], received_at_us: int) -> None:
    rows = [(*row.reading, row.revision, row.epoch, received_at_us, *key) for key, row in changed]
    with connection.cursor() as cursor:
        cursor.executemany(_REPLACE, rows)


def _taken(keys: list[Key]) -> set[Key]:
    """The keys that are there already."""
    taken: set[Key] = set()
    with connection.cursor() as cursor:
        for start in range(0, len(keys), _KEYS_A_QUERY):
            some = ",".join(
                f"({device:d},{at:d},{source:d})" for device, at, source in keys[start : start + _KEYS_A_QUERY]
            )
            cursor.execute(f"SELECT {KEY_COLUMNS} FROM {TABLE} WHERE ({KEY_COLUMNS}) IN (VALUES {some})")
            taken.update(cursor.fetchall())
    return taken
