"""Many new rows into one table, faster than the ORM compiles a statement for them."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, models

_ROWS_AT_ONCE = 500
_PREPARED = (models.DateTimeField, models.DateField, models.JSONField)  # what the driver does not take as it is


def insert(rows: Sequence[models.Model]) -> None:
    """Insert unsaved rows of one model, in the caller's transaction; their keys stay unset.

    SQLite has no server to save trips to, so one prepared statement runs for each row. Elsewhere many rows travel in
    one statement.
    """
    if not rows:
        return
    model = type(rows[0])
    if connection.vendor != "sqlite":
        model._default_manager.bulk_create(rows, _ROWS_AT_ONCE)
        return
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    statement = f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({", ".join(["%s"] * len(fields))})'
    with connection.cursor() as cursor:
        cursor.executemany(statement, zip(*(_column(rows, field) for field in fields), strict=True))


def _column(rows: Sequence[models.Model], field: models.Field) -> list[Any]:
    values = [getattr(row, field.attname) for row in rows]
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
