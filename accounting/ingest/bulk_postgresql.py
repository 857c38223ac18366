"""Samples into PostgreSQL: whole columns as parameters, in its binary array format, packed by numpy."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import psycopg
from django.db import connection
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format

from accounting.ingest.columns import NO_BYTES, NO_JOB, SampleColumns
from accounting.ingest.readings import READING_COLUMNS, TABLE, Key, Row

HELD = "ORDER BY device_id, measured_at_us, source FOR UPDATE"


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


_ROWS_A_STATEMENT = 1000
_VALUES = f"({', '.join(['%s'] * 11)})"


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


def insert_new(samples: SampleColumns, epoch: int, received_at_us: int) -> NDArray[np.bool_]:
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


def replace(changed: Sequence[tuple[Key, Row]], received_at_us: int) -> None:
    """One statement a thousand rows; the rows are held already."""
    names = READING_COLUMNS.split(", ")
    told = ", ".join(f"{name} = n.{name}::{_TYPES[name].name}" for name in names)
    with connection.cursor() as cursor:
        for start in range(0, len(changed), _ROWS_A_STATEMENT):
            some = changed[start : start + _ROWS_A_STATEMENT]
            times = [at for (_, at, _), _ in some]
            cursor.execute(
                f"UPDATE {TABLE} s SET {told}, "
                "revision = n.revision, epoch = n.epoch, received_at_us = %s "
                f"FROM (VALUES {', '.join([_VALUES] * len(some))}) AS n (d, t, s, {READING_COLUMNS}, revision, epoch) "
                "WHERE s.device_id = n.d AND s.measured_at_us = n.t AND s.source = n.s "
                f"AND s.measured_at_us BETWEEN {min(times):d} AND {max(times):d}",
                [received_at_us, *(v for key, row in some for v in (*key, *row.reading, row.revision, row.epoch))],
            )


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
