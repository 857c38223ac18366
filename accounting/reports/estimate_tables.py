"""One run's answer as rows for a page and for its CSV."""

from dataclasses import dataclass
from typing import Any

from accounting.reports.display import Shown
from accounting.reports.estimate_text import WORDS, shown_quantity
from accounting.reports.tables import Column, Table

COLUMNS = (
    Column("quantity", "Quantity", numeric=False),
    Column("low", "Low"),
    Column("mid", "Mid"),
    Column("high", "High"),
    Column("unit", "Unit", numeric=False),
    Column("status", "Known", numeric=False),
    Column("method", "Formula", numeric=False),
    Column("factors", "Factors", numeric=False),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity in words; `shown` is None where it is not known."""

    words: str
    shown: Shown | None
    unit: str
    status: str
    method: str
    factors: tuple[str, ...]


def estimate_lines(run: dict[str, Any]) -> list[Line]:
    return [_line(words, name, run[name]) for name, words, _ in WORDS if run[name] or name != "sci_g_per_unit"]


def estimate_table(run: dict[str, Any]) -> Table:
    known = [(name, run[name]) for name, _, _ in WORDS if run[name] is not None]
    rows = [
        (name, q["low"], q["mid"], q["high"], q["unit"], q["status"], q["method"], " ".join(q["factors"]))
        for name, q in known
    ]
    return Table("estimate", "Estimate", COLUMNS, rows)


def _line(words: str, name: str, quantity: dict[str, Any] | None) -> Line:
    if quantity is None:
        return Line(words, None, "", "", "", ())
    shown, unit = shown_quantity(name, quantity)
    return Line(words, shown, unit, quantity["status"], quantity["method"], tuple(quantity["factors"]))
