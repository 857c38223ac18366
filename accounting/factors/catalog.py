"""The packaged facts: every empirical number is one row of data/*.csv with its range, unit and source."""

import csv
import tomllib
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
    valid_from: date
    valid_to: date | None  # exclusive; None: still the newest
    note: str


class Catalog:
    """Rows by quantity and key. `accounting.factors.lookup` knows what to ask it, and what to fall back to."""

    def __init__(self, rows: Iterable[Row]) -> None:
        """Raises FactorDataError when two rows share an id, or a quantity and key."""
        self._rows: dict[tuple[str, str], Row] = {}
        ids: set[str] = set()
        for row in rows:
            if row.factor.id in ids or (row.quantity, row.key) in self._rows:
                raise FactorDataError(f"{row.factor.id} ({row.quantity}, {row.key}) stands twice: remove one row")
            ids.add(row.factor.id)
            self._rows[row.quantity, row.key] = row

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def find(self, quantity: str, key: str) -> Factor | None:
        row = self._rows.get((quantity, key))
        return row.factor if row else None

    def get(self, quantity: str, key: str) -> Factor:
        """Raises FactorDataError when there is no such row."""
        if (factor := self.find(quantity, key)) is None:
            raise FactorDataError(f"no factor {quantity} for {key!r}: add a row to accounting/factors/data")
        return factor

    def keys(self, quantity: str) -> list[str]:
        """Everything the quantity is known for, for example the grid zones, in the order of the table."""
        return [key for known, key in self._rows if known == quantity]


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
