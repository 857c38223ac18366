"""Tables as CSV: every row and digit of what is filtered, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime

from accounting.reports.tables import Table, Value

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_of(table: Table) -> str:
    """RFC 4180 with a header of column keys. Times are UTC, numbers are written in full."""
    return "".join(csv_lines(table))


def csv_lines(table: Table) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([column.key for column in table.columns])
    for row in table.rows:
        writer.writerow([csv_cell(value) for value in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def csv_cell(value: Value) -> str:
    """Text that a spreadsheet would run as a formula gets a leading apostrophe; numbers keep their sign."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    return f"'{value}" if value.startswith(FORMULA_STARTS) else value
