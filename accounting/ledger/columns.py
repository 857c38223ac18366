"""Many rows out of a query as numpy columns, without a Python object for each of their cells."""

from typing import Any

import numpy as np
import psycopg
from django.db import connection
from numpy.typing import NDArray

# name: type in PostgreSQL, on the wire, here
_TYPES = {
    "int": ("bigint", ">i8", np.int64),
    "float": ("float8", ">f8", np.float64),
    "bool": ("boolean", "u1", np.bool_),
}


def read_columns(sql: str, kinds: list[str]) -> list[NDArray[Any]]:
    """The columns of a query without parameters, each `int`, `float` or `bool`. Only a `float` may be NULL: nan.

    PostgreSQL packs each column into one array and sends it binary; the rows come in whatever order they come, the same
    for every column.
    """
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(sql)
            rows = cursor.fetchall()
        packed = np.fromiter(rows, dtype=[(f"c{k}", _TYPES[kind][2]) for k, kind in enumerate(kinds)], count=len(rows))
        return [np.ascontiguousarray(packed[f"c{k}"]) for k in range(len(kinds))]
    names = [f"c{k}" for k in range(len(kinds))]
    gathered = ", ".join(_gathered(name, kind) for name, kind in zip(names, kinds, strict=True))
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(f"SELECT {gathered} FROM ({sql}) AS found ({', '.join(names)})", binary=True)
        result = cursor.pgresult
        assert result is not None  # a SELECT that did not raise has one
        return [_unpacked(result.get_value(0, k), kind) for k, kind in enumerate(kinds)]


def _gathered(name: str, kind: str) -> str:
    value = f"COALESCE({name}::float8, 'NaN')" if kind == "float" else f"{name}::{_TYPES[kind][0]}"
    return f"array_agg({value})"


def _unpacked(array: bytes | None, kind: str) -> NDArray[Any]:
    """An array of one dimension and no nulls: a head of 20 bytes, then each element after its own length."""
    _, packed, here = _TYPES[kind]
    if array is None:  # of no rows
        return np.zeros(0, dtype=here)
    cells = np.frombuffer(array, dtype=[("length", ">i4"), ("value", packed)], offset=20)
    return np.asarray(cells["value"]).astype(here)
