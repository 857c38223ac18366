"""Many new rows into one table, faster than the ORM makes objects of them and compiles a statement for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, models

_PREPARED = (models.DateTimeField, models.DateField, models.JSONField)  # what a driver does not take as it is


def insert(model: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, by the names of their columns, in the caller's transaction. What a row does not name is its default.

    SQLite has no server to save trips to, so one prepared statement runs for each row. PostgreSQL takes them as one
    stream (COPY), constraints and all.
    """
    if not rows:
        return
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
    cells = zip(*(_column(rows, field) for field in fields), strict=True)
    table, columns = model._meta.db_table, ", ".join(f'"{field.column}"' for field in fields)
    with connection.wrap_database_errors, connection.cursor() as cursor:  # Django does not wrap what COPY raises
        if connection.vendor == "postgresql":
            with cursor.copy(f'COPY "{table}" ({columns}) FROM STDIN') as copy:
                for row in cells:
                    copy.write_row(row)
        else:
            places = ", ".join(["%s"] * len(fields))
            cursor.executemany(f'INSERT INTO "{table}" ({columns}) VALUES ({places})', cells)


def _column(rows: Sequence[Mapping[str, Any]], field: models.Field) -> list[Any]:
    name, default = field.attname, field.get_default()
    values = [row.get(name, default) for row in rows]
    if not isinstance(field, _PREPARED):
        return values
    known: dict[str, Any] = {}  # few hours and few lists of factors among many rows
    prepared = []
    for value in values:
        key = repr(value)
        if key not in known:
            known[key] = field.get_db_prep_save(value, connection)
        prepared.append(known[key])
    return prepared
