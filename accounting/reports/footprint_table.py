"""The footprint as a table: a line a part and stretch of time, every quantity with its low and high."""

from collections.abc import Sequence

from accounting.methods.sci import FunctionalUnit
from accounting.reports.footprint import Slice
from accounting.reports.quantities import NAMES, Quantity, quantities
from accounting.reports.tables import Column, Table, Value

_TEXT = False


def footprint_table(
    parts: Sequence[Slice], *, basis: str, currency: str, functional_unit: FunctionalUnit | None = None
) -> Table:
    """Columns carry their unit in their key; an unknown figure is an empty cell; factors are joined by spaces."""
    answers = [
        quantities(p.totals, p.factor_ids, currency=currency, basis=basis, functional_unit=functional_unit)
        for p in parts
    ]
    names = NAMES
    columns = [
        Column("start", "From", _TEXT), Column("end", "To", _TEXT), Column("part", "Part", _TEXT),
        *(Column(f"{_key(name, currency)}{end}", name) for name in names for end in ("", "_low", "_high")),
        Column("coverage", "Coverage"), Column("measured_share", "Measured share"),
        Column("status", "Status", _TEXT), Column("factors", "Factors", _TEXT),
    ]  # fmt: skip
    rows = [
        [
            part.start, part.end, part.name, *(cell for name in names for cell in _cells(answer[name])),
            part.totals.coverage, part.totals.measured_share, part.totals.status, " ".join(part.factor_ids),
        ]
        for part, answer in zip(parts, answers, strict=True)
    ]  # fmt: skip
    return Table("footprint", "Footprint", columns, rows)


def _key(name: str, currency: str) -> str:
    return f"cost_{currency.lower()}" if name == "cost" else name


def _cells(quantity: Quantity | None) -> tuple[Value, ...]:
    return (quantity.mid, quantity.low, quantity.high) if quantity else (None, None, None)
