"""The packaged facts: every empirical number is one row of data/*.csv with its range, unit and source."""

import csv
import tomllib
from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable

from accounting.methods.records import Factor, Range, Status


class FactorDataError(ValueError):
    """A row of the packaged data cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A factor with everything that its table says of it."""

    factor: Factor
    quantity: str  # grid_intensity, ewif, wue, pue, price, embodied, lifetime, tolerance
    key: str  # what it is of: a zone, a device kind or model, a currency
    page: str  # where in the source
    valid_from: date  # its year tells one row of a quantity and key from another
    valid_to: date | None  # exclusive; None: still the newest
    note: str


class Catalog:
    """Rows by quantity, key and year. `accounting.factors.lookup` knows what to ask it, and what to fall back to."""

    def __init__(self, rows: Iterable[Row]) -> None:
        """Raises FactorDataError when two rows share an id, or a quantity, a key and a year."""
        self._rows: dict[tuple[str, str], list[Row]] = {}
        ids: set[str] = set()
        for row in rows:
            years = self._rows.setdefault((row.quantity, row.key), [])
            if row.factor.id in ids or any(other.valid_from.year == row.valid_from.year for other in years):
                raise FactorDataError(f"{row.factor.id} ({row.quantity}, {row.key}) stands twice: remove one row")
            ids.add(row.factor.id)
            insort(years, row, key=lambda other: other.valid_from)

    def __iter__(self) -> Iterator[Row]:
        """The newest year of each quantity and key first, in the order of the tables."""
        return (row for years in self._rows.values() for row in reversed(years))

    def find(self, quantity: str, key: str, year: int | None = None) -> Factor | None:
        """The year's factor, else that of the nearest year, the earlier of two; the newest where no year is asked.

        The factor's own `year` says which one answered.
        """
        years = self._rows.get((quantity, key))
        if not years:
            return None
        if year is None:
            return years[-1].factor
        return min(years, key=lambda row: abs(row.valid_from.year - year)).factor

    def get(self, quantity: str, key: str, year: int | None = None) -> Factor:
        """Raises FactorDataError when there is no such row."""
        if (factor := self.find(quantity, key, year)) is None:
            raise FactorDataError(f"no factor {quantity} for {key!r}: add a row to accounting/factors/data")
        return factor

    def keys(self, quantity: str) -> list[str]:
        """Everything the quantity is known for, for example the grid zones, in the order of the table."""
        return [key for known, key in self._rows if known == quantity]

    def years(self, quantity: str, key: str) -> list[int]:
        """The years that the quantity is known for, oldest first."""
        return [row.valid_from.year for row in self._rows.get((quantity, key), ())]


def load_packaged() -> Catalog:
    """Read every table that ships with the product: some thousand rows, some tens of milliseconds."""
    tables = sorted((f for f in _folder().iterdir() if f.name.endswith(".csv")), key=lambda f: f.name)
    sources = _sources()
    return Catalog(row for table in tables for row in _read(table, sources))


def source(key: str) -> dict[str, str]:
    """Title, url and licence of a source. Raises KeyError."""
    return _sources()[key]


def _folder() -> Traversable:
    return files("accounting.factors") / "data"


def _sources() -> dict[str, dict[str, str]]:
    return tomllib.loads((_folder() / "sources.toml").read_text("utf-8"))


def _read(table: Traversable, sources: dict[str, dict[str, str]]) -> Iterator[Row]:
    for number, cells in enumerate(csv.DictReader(table.read_text("utf-8").splitlines()), start=2):
        try:
            yield _row(cells, sources)
        except (KeyError, ValueError) as error:
            raise FactorDataError(f"{table.name} line {number}: {error!r} in {cells}") from error


def _row(cells: dict[str, str], sources: dict[str, dict[str, str]]) -> Row:
    source = sources[cells["source"]]
    factor = Factor(
        id=cells["id"],
        value=Range(float(cells["low"]), float(cells["value"]), float(cells["high"])),
        unit=cells["unit"],
        status=Status(cells["status"]),
        source=source["title"],
        url=source["url"],
        year=int(cells["year"]),
        licence=source["licence"],
    )
    valid_to = date.fromisoformat(cells["valid_to"]) if cells["valid_to"] else None
    valid_from = date.fromisoformat(cells["valid_from"])
    return Row(factor, cells["quantity"], cells["key"], cells["page"], valid_from, valid_to, cells["note"])
