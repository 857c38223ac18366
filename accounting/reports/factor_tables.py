"""The facts behind every figure as a table that people search and download."""

import re
from collections.abc import Iterable, Sequence

from accounting.factors.catalog import Row
from accounting.reports.provenance import QUANTITY_WORDS
from accounting.reports.tables import Column, Table

SHORT = 2  # letters of a word that must stand by itself
COLUMNS = (
    Column("id", "Id", numeric=False),
    Column("quantity", "Quantity", numeric=False),
    Column("of", "Of", numeric=False),
    Column("value", "Value"),
    Column("low", "Low"),
    Column("high", "High"),
    Column("unit", "Unit", numeric=False),
    Column("status", "Status", numeric=False),
    Column("source", "Source", numeric=False),
    Column("page", "Page", numeric=False),
    Column("url", "Address", numeric=False),
    Column("year", "Year"),
    Column("licence", "Licence", numeric=False),
    Column("note", "Note", numeric=False),
)


def words_of(quantity: str) -> str:
    """A quantity as people call it; its own name where nobody gave it words."""
    return QUANTITY_WORDS.get(quantity, quantity.replace("_", " "))


def search(rows: Iterable[Row], *, text: str = "", quantity: str = "", year: int | None = None) -> list[Row]:
    """Rows of the quantity and year that hold every word of the text somewhere; all where nothing is asked for.

    A word of two letters, as a country's code is, must stand by itself: `de` finds Germany, not every model.
    """
    words = text.casefold().split()
    return [
        row
        for row in rows
        if (not quantity or row.quantity == quantity)
        and (year is None or row.factor.year == year)
        and (not words or _holds(_text_of(row), words))
    ]


def factors_table(rows: Sequence[Row]) -> Table:
    return Table("factors", "Factors with their range and source", COLUMNS, [_cells(row) for row in rows])


def _holds(text: str, words: list[str]) -> bool:
    alone = frozenset(re.split(r"[^a-z0-9]+", text)) if any(len(word) <= SHORT for word in words) else frozenset()
    return all(word in alone if len(word) <= SHORT else word in text for word in words)


def _text_of(row: Row) -> str:
    factor = row.factor
    said = (factor.id, words_of(row.quantity), row.key, row.page, factor.source, factor.unit, row.note, factor.licence)
    return f"{' '.join(said)} {factor.year} {factor.status}".casefold()


def _cells(row: Row) -> list[str | float | int | None]:
    factor, value = row.factor, row.factor.value
    return [
        factor.id, words_of(row.quantity), row.key, value.mid, value.low, value.high, factor.unit, factor.status.value,
        factor.source, row.page, factor.url, factor.year, factor.licence, row.note,
    ]  # fmt: skip
