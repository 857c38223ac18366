"""A table as data: the page renders it, the CSV is written from the very same rows, so that both always agree."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.utils import timezone

Value = str | float | int | date | datetime | None


@dataclass(frozen=True, slots=True)
class Column:
    """`label` names the unit where there is one; `key` heads the CSV column."""

    key: str
    label: str
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    numeric: bool
    url: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order people read them. `urls` links the first cell of the row at the same position."""

    name: str  # of the CSV file, without extension
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    urls: Sequence[str] = field(default=())

    @property
    def shown_rows(self) -> list[list[Cell]]:
        """Cells in words: times in the active time zone, numbers to six significant digits (the CSV has them all)."""
        return [
            [
                Cell(words(value), column.numeric, self.urls[at] if position == 0 and self.urls else "")
                for position, (column, value) in enumerate(zip(self.columns, row, strict=True))
            ]
            for at, row in enumerate(self.rows)
        ]


def words(value: Value) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        if 0 < abs(value) < 1e-4:  # without an exponent
            return f"{value:.{5 - math.floor(math.log10(abs(value)))}f}".rstrip("0")
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return str(value)
