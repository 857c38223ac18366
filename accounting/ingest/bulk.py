"""Writing and finding many samples in one statement: the one place where the two databases differ.

PostgreSQL takes whole columns, packed by numpy in its binary array format. SQLite has no server to save trips to:
executemany within the transaction is its fast path.
"""

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import psycopg
from django.db import connection
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format

from accounting.ingest.columns import NO_BYTES, NO_JOB, SampleColumns
from accounting.models import DeviceSample

TABLE = DeviceSample._meta.db_table
KEYS_A_QUERY = 500
KEY_COLUMNS = "device_id, measured_at_us, source"
VALUE_COLUMNS = "power_w, energy_j, utilization, memory_used_bytes, job_id, measured, revision"

Key = tuple[int, int, int]  # device, microseconds, source


class Reading(NamedTuple):
    """What a sample says: two of the same key, revision and reading are one sample sent twice."""

    power_w: float | None
    energy_j: float | None
    utilization: float | None
    memory_used_bytes: int | None
    job_id: int | None
    measured: bool


class Row(NamedTuple):
    reading: Reading
    revision: int


def insert_new(samples: SampleColumns, *, epoch: int, received_at_us: int) -> NDArray[np.bool_]:
    """Insert the samples whose key is free; which of them were. Inside a transaction; keys rise and do not repeat."""
    if not len(samples):
        return np.zeros(0, dtype=bool)
    insert = _insert_postgresql if connection.vendor == "postgresql" else _insert_sqlite
    return insert(samples, epoch, received_at_us)


def stored(keys: list[Key]) -> dict[Key, Row]:
    """The stored rows of these keys, those that exist."""
    found: dict[Key, Row] = {}
    columns = "device_id, measured_at_us, source, power_w, energy_j, utilization, memory_used_bytes, job_id, measured"
    for start in range(0, len(keys), KEYS_A_QUERY):
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {columns}, revision FROM {TABLE} WHERE {_among(keys[start : start + KEYS_A_QUERY])}"
            )
            for row in cursor.fetchall():
                found[tuple(row[:3])] = Row(Reading(*row[3:8], bool(row[8])), row[9])
    return found


def rows(samples: SampleColumns) -> list[Row]:
    """The samples as `stored` would give them back."""
    values = (
        _or_none(samples.power_w, np.isnan(samples.power_w)),
        _or_none(samples.energy_j, np.isnan(samples.energy_j)),
        _or_none(samples.utilization, np.isnan(samples.utilization)),
        _or_none(samples.memory_used_bytes, samples.memory_used_bytes == NO_BYTES),
        _or_none(samples.job_id, samples.job_id == NO_JOB),
        samples.measured.tolist(),
    )
    return [Row(Reading(*v), r) for *v, r in zip(*values, samples.revision.tolist(), strict=True)]


def replace(key: Key, row: Row, *, epoch: int, received_at_us: int) -> None:
    """Put a correction in place of what is stored."""
    DeviceSample.objects.filter(pk=key).update(
        **row.reading._asdict(), revision=row.revision, epoch=epoch, received_at_us=received_at_us
    )


def _among(keys: list[Key]) -> str:
    """Whole numbers only, so they stand in the text: parameters would number thousands."""
    tuples = ",".join(f"({device:d},{at:d},{source:d})" for device, at, source in keys)
    return f"(device_id, measured_at_us, source) IN (VALUES {tuples})"


def _or_none(values: NDArray[Any], unset: NDArray[np.bool_]) -> list[Any]:
    listed = values.tolist()
    if unset.any():
        for i in np.flatnonzero(unset):
            listed[i] = None
    return listed


# SQLite: the transaction is IMMEDIATE, so nothing can come between looking and inserting.


def _insert_sqlite(samples: SampleColumns, epoch: int, received_at_us: int) -> NDArray[np.bool_]:
    keys = samples.key_tuples()
    taken = _taken_sqlite(keys)
    columns = f"{KEY_COLUMNS}, {VALUE_COLUMNS}, epoch, received_at_us"
    statement = f"INSERT INTO {TABLE} ({columns}) VALUES ({', '.join(['%s'] * 12)})"
    new = [
        (*key, *row.reading, row.revision, epoch, received_at_us)
        for key, row in zip(keys, rows(samples), strict=True)
        if key not in taken
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, new)
    return np.array([key not in taken for key in keys], dtype=bool)


def _taken_sqlite(keys: list[Key]) -> set[Key]:
    taken: set[Key] = set()
    with connection.cursor() as cursor:
        for start in range(0, len(keys), KEYS_A_QUERY):
            among = _among(keys[start : start + KEYS_A_QUERY])
            cursor.execute(f"SELECT {KEY_COLUMNS} FROM {TABLE} WHERE {among}")
            taken.update(cursor.fetchall())
    return taken


# PostgreSQL


@dataclass(frozen=True, slots=True)
class _Type:
    packed: str  # numpy's, big-endian
    oid: int
    array_oid: int
    name: str


_INT2 = _Type(">i2", 21, 1005, "smallint")
_INT4 = _Type(">i4", 23, 1007, "integer")
_INT8 = _Type(">i8", 20, 1016, "bigint")
_FLOAT8 = _Type(">f8", 701, 1022, "float8")
_BOOL = _Type(">i1", 16, 1000, "boolean")

_TYPES = {
    "device_id": _INT8,
    "measured_at_us": _INT8,
    "source": _INT2,
    "power_w": _FLOAT8,
    "energy_j": _FLOAT8,
    "utilization": _FLOAT8,
    "memory_used_bytes": _INT8,
    "job_id": _INT8,
    "measured": _BOOL,
    "revision": _INT4,
}
_UNSET = {
    "power_w": "'NaN'",
    "energy_j": "'NaN'",
    "utilization": "'NaN'",
    "memory_used_bytes": NO_BYTES,
    "job_id": NO_JOB,
}
_SELECTED = ", ".join(f"NULLIF({name}, {_UNSET[name]})" if name in _UNSET else name for name in _TYPES)
_INSERT = f"""
    WITH kept AS (
        INSERT INTO {TABLE} ({", ".join(_TYPES)}, epoch, received_at_us)
        SELECT {_SELECTED}, %s::bigint, %s::bigint
        FROM unnest({", ".join(f"%b::{kind.name}[]" for kind in _TYPES.values())}) AS offered ({", ".join(_TYPES)})
        ORDER BY device_id, measured_at_us, source
        ON CONFLICT DO NOTHING
        RETURNING device_id, measured_at_us, source
    )
    SELECT array_agg(device_id), array_agg(measured_at_us), array_agg(source) FROM kept
"""


class _Packed(NamedTuple):
    """A column in PostgreSQL's binary array format, ready to send."""

    data: bytes
    array_oid: int


class _PackedDumper(Dumper):
    """Hands a packed column over as it is, under its own type."""

    format = Format.BINARY

    def get_key(self, packed: _Packed, format: Any) -> Any:
        return (self.cls, packed.array_oid)

    def upgrade(self, packed: _Packed, format: Any) -> "_PackedDumper":
        dumper = _PackedDumper(self.cls)
        dumper.oid = packed.array_oid
        return dumper

    def dump(self, packed: _Packed) -> bytes:
        return packed.data


def _insert_postgresql(samples: SampleColumns, epoch: int, received_at_us: int) -> NDArray[np.bool_]:
    packed = [_pack(getattr(samples, name), kind) for name, kind in _TYPES.items()]
    # Django's own cursor writes parameters into the text; this one sends them as they are.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.adapters.register_dumper(_Packed, _PackedDumper)
        cursor.execute(_INSERT, [epoch, received_at_us, *packed], binary=True)
        inserted = [_unpack(cursor.pgresult.get_value(0, i), kind) for i, kind in enumerate((_INT8, _INT8, _INT2))]
    if inserted[0].size == len(samples):
        return np.ones(len(samples), dtype=bool)
    new = set(zip(*(column.tolist() for column in inserted), strict=True))
    return np.array([key in new for key in samples.key_tuples()], dtype=bool)


def _pack(column: NDArray[Any], kind: _Type) -> _Packed:
    """One dimension, no nulls, the element type, its length, counted from 1; then each element after its own length."""
    elements = np.empty(column.size, dtype=[("length", ">i4"), ("value", kind.packed)])
    elements["length"] = np.dtype(kind.packed).itemsize
    elements["value"] = column
    return _Packed(struct.pack(">5i", 1, 0, kind.oid, column.size, 1) + elements.tobytes(), kind.array_oid)


def _unpack(array: bytes | None, kind: _Type) -> NDArray[Any]:
    if array is None:
        return np.zeros(0, dtype=kind.packed)
    return np.frombuffer(array, dtype=[("length", ">i4"), ("value", kind.packed)], offset=20)["value"]
