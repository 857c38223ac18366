"""What a cloud provider's carbon report says, whoever wrote it: one record a line, always in kg CO2e.

None stands for what a report does not tell, which is not nought.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

MOST_BYTES = 32_000_000
MOST_ERRORS = 20  # told at once
_MOST_KG = Decimal(10) ** 12  # of one line; the world emits some fifty times that in a year
_NOTHING = ("", "null", "none", "nan")

Cells = Mapping[str, str]  # by column, in lower case with _ for every dot: as written, nothing where nothing stands


class ReportRefused(ValueError):
    """The file as a whole cannot be read; the message says why and what to do."""


class CellRefused(ValueError):
    """One cell cannot be read."""

    def __init__(self, column: str, value: str, what_to_do: str) -> None:
        super().__init__(f"{column} is {value[:60]!r}: {what_to_do}")


@dataclass(frozen=True, slots=True)
class LineError:
    line: int  # from 1, as editors count; of a JSON list: the item's number
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class VendorRecord:
    """A month of one account, region and service. Scope 3 market-based only where a provider tells it apart."""

    provider: str  # aws, gcp or azure
    month: date  # its first day
    account: str  # usage account, project or subscription; empty where not told
    region: str  # the provider's code, for example us-east-1
    service: str
    model_version: str  # of the provider's method
    scopes: str  # what its figure holds, for example 1,2,3 or 2-market; empty: not stated
    scope1_kg: float | None = None
    scope2_location_kg: float | None = None
    scope2_market_kg: float | None = None
    scope3_kg: float | None = None
    scope3_market_kg: float | None = None
    total_location_kg: float | None = None
    total_market_kg: float | None = None
    unstated_kg: float | None = None  # a figure of which nobody said what it holds


@dataclass(frozen=True, slots=True)
class VendorFile:
    """What a file says. Where there are errors nothing of it is to be stored."""

    provider: str
    records: tuple[VendorRecord, ...]
    errors: tuple[LineError, ...]  # the first MOST_ERRORS
    wrong: int  # how many lines are wrong, told or not
    notes: tuple[str, ...]  # what a reader must know beside the figures


def text_of(body: bytes) -> str:
    """Raises ReportRefused: too large, packed, or not UTF-8."""
    if len(body) > MOST_BYTES:
        raise ReportRefused(
            f"the file has {len(body)} bytes: more than {MOST_BYTES // 1_000_000} MB; split it by month"
        )
    if body[:2] == b"\x1f\x8b":
        raise ReportRefused("the file is packed with gzip: unpack it first (gunzip FILE.csv.gz)")
    if body[:4] == b"PAR1":
        raise ReportRefused("the file is Parquet: export it as CSV")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReportRefused(f"the file is not UTF-8 (byte {error.start}): save it as UTF-8") from error


def column_of(name: str) -> str:
    """A column's name, whether its levels are parted by dots or underscores."""
    return name.strip().casefold().replace(".", "_")


def csv_lines(text: str) -> Iterator[tuple[int, Cells]]:
    """(line, cells by column); the first is the header, with itself as its cells.

    Raises:
        ReportRefused: a quote that never ends, two columns of one name, or a line with another number of cells.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [column_of(name) for name in next(reader, [])]
        if twice := sorted({name for name in columns if columns.count(name) > 1}):
            raise ReportRefused(f"line 1: column {twice[0]!r} stands there twice: keep one")
        yield 1, {name: name for name in columns}
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(columns):
                raise ReportRefused(
                    f"line {reader.line_num}: {len(row)} cells, the header has {len(columns)}: export the file again"
                )
            yield reader.line_num, {name: cell.strip() for name, cell in zip(columns, row, strict=True)}
    except csv.Error as error:
        raise ReportRefused(f"line {reader.line_num}: {error}: the file is no CSV that can be read") from error


def json_items(text: str) -> tuple[dict[str, Any], list[tuple[int, Cells]]]:
    """(what stands around the list, the items in order): an answer with `value`, a list, or one object a line.

    Raises:
        ReportRefused: no JSON, or no list of objects.
    """
    whole = _json(text, line=None)
    if isinstance(whole, dict) and isinstance(whole.get("value"), list):
        around = {key: value for key, value in whole.items() if key != "value"}
        return around, [(n, _cells(item, n)) for n, item in enumerate(whole["value"], 1)]
    if isinstance(whole, list):
        return {}, [(n, _cells(item, n)) for n, item in enumerate(whole, 1)]
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    return {}, [(n, _cells(_json(line, line=n), n)) for n, line in lines]


def _json(text: str, *, line: int | None) -> Any:
    """Numbers stay as they are written. Without a line: None for what is no JSON as a whole."""
    try:
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        if line is None:
            return None
        raise ReportRefused(f"line {line}: no JSON: {error}") from error


def _cells(item: Any, number: int) -> Cells:
    if not isinstance(item, dict):
        raise ReportRefused(f"item {number} is no object: export the report again")
    return dict(_flat(item, ""))


def _flat(item: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for key, value in item.items():
        name = f"{before}{column_of(str(key))}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}_")
        else:
            yield name, "" if value is None else str(value).strip()


def check_text(cells: Cells) -> None:
    """Raises CellRefused: a cell holds what no database keeps as text."""
    for name, cell in cells.items():
        if "\x00" in cell or any("\ud800" <= letter <= "\udfff" for letter in cell):
            raise CellRefused(name, cell, "it holds characters that are no text: export the report again")


def kg_of(cells: Cells, column: str, *, kg_per_unit: int = 1) -> float | None:
    """A figure in kg; None where nothing stands.

    Raises:
        CellRefused: no number, below nought, or beyond all reason.
    """
    written = cells.get(column, "")
    if written.casefold() in _NOTHING:
        return None
    try:
        value = Decimal(written) * kg_per_unit
    except InvalidOperation as error:
        raise CellRefused(column, written, "write a number with a decimal point, or nothing") from error
    if not value.is_finite() or value < 0:
        raise CellRefused(column, written, "a footprint is a number from nought on; ask the provider for a correction")
    if value > _MOST_KG:
        raise CellRefused(column, written, "more than a billion tonnes: the unit must be another one")
    return float(value)


def month_of(cells: Cells, column: str) -> date:
    """The month of a date such as 2026-01-01, 2026-01 or 2026-01-01 00:00:00Z. Raises CellRefused."""
    written = cells.get(column, "")
    match = re.match(r"(\d{4})-(\d{2})(?:-(\d{2}))?(?![\d-])", written)
    try:
        day = date(int(match[1]), int(match[2]), int(match[3] or 1)) if match else None
    except ValueError:
        day = None
    if day is None:
        raise CellRefused(column, written, "write a month like 2026-01-01")
    if day.day != 1:
        raise CellRefused(column, written, "a report is of whole months: the date must be the first of one")
    return day


def version_key(model_version: str) -> tuple[int, ...]:
    """Orders versions of a provider's method: v3.0.1 after v3.0, 12 after 9; none before all."""
    return tuple(int(digits) for digits in re.findall(r"\d+", model_version))
