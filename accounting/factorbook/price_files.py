"""Hourly prices and exchange rates as CSV: read with an error for each row that cannot be, and written the same way."""

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Generic, TypeVar

MOST_ROWS = 20_000  # two years of hours
PRICE_COLUMNS = ("site", "zone", "hour", "price_per_kwh", "currency", "source")
RATE_COLUMNS = ("currency", "day", "rate", "source")
_OPTIONAL = {"site", "zone", "source"}
Line = TypeVar("Line")


@dataclass(frozen=True, slots=True)
class PriceLine:
    """A kilowatt-hour's price in one UTC hour, at a site (its short name) or in a market zone."""

    site: str
    zone: str
    hour: datetime
    price_per_kwh: float
    currency: str
    source: str


@dataclass(frozen=True, slots=True)
class RateLine:
    """Units of the ledger's currency for one unit of `currency` on a day."""

    currency: str
    day: date
    rate: float
    source: str


@dataclass(frozen=True, slots=True)
class RowError:
    line: int  # of the file, the header is 1
    problem: str


@dataclass(frozen=True, slots=True)
class Sheet(Generic[Line]):
    """What a file says. With errors nothing of it is taken: mend the rows and hand it in again."""

    lines: list[Line] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)


def read_prices(text: str, *, sites: frozenset[str]) -> Sheet[PriceLine]:
    """`sites` are the short names that are known."""
    sheet: Sheet[PriceLine] = _read(text, PRICE_COLUMNS, lambda cells: _price(cells, sites))
    _refuse_twice(sheet, lambda line: (line.site, line.zone, line.hour), "this hour has a price already in the file")
    return sheet


def read_rates(text: str, *, into: str) -> Sheet[RateLine]:
    """`into` is the ledger's currency."""
    sheet: Sheet[RateLine] = _read(text, RATE_COLUMNS, lambda cells: _rate(cells, into))
    _refuse_twice(sheet, lambda line: (line.currency, line.day), "this day has a rate already in the file")
    return sheet


def _read(text: str, columns: tuple[str, ...], parse: Callable[[Mapping[str, str]], Line]) -> Sheet[Line]:
    reader = csv.DictReader(text.lstrip("\ufeff").splitlines())
    header = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    sheet: Sheet[Line] = Sheet()
    if missing := [name for name in columns if name not in header and name not in _OPTIONAL]:
        sheet.errors.append(RowError(1, f"no column {', '.join(missing)}: the header is {','.join(columns)}"))
        return sheet
    for count, cells in enumerate(reader):
        if count == MOST_ROWS:
            sheet.errors.append(RowError(reader.line_num, f"more than {MOST_ROWS} rows: split the file"))
            break
        try:
            sheet.lines.append(parse({name: (cells.get(name) or "").strip() for name in columns}))
        except ValueError as error:
            sheet.errors.append(RowError(reader.line_num, str(error)))
    if not sheet.lines and not sheet.errors:
        sheet.errors.append(RowError(1, "no rows below the header"))
    return sheet


def _price(cells: Mapping[str, str], sites: frozenset[str]) -> PriceLine:
    site, zone = cells["site"], cells["zone"]
    if bool(site) == bool(zone):
        raise ValueError("give a site or a market zone, one of them")
    if site and site not in sites:
        raise ValueError(f"no site has the short name {site!r}: known are {', '.join(sorted(sites)) or 'none'}")
    return PriceLine(
        site, zone[:40], _hour(cells["hour"]), _number(cells, "price_per_kwh"), currency_of(cells["currency"]),
        cells["source"][:200],
    )  # fmt: skip


def _rate(cells: Mapping[str, str], into: str) -> RateLine:
    currency, rate = currency_of(cells["currency"]), _number(cells, "rate")
    if currency == into:
        raise ValueError(f"{into} is the ledger's own currency: rates are of others, in {into}")
    if rate <= 0:
        raise ValueError(f"rate {rate:g}: how many {into} one {currency} is worth, above nought")
    try:
        day = date.fromisoformat(cells["day"])
    except ValueError:
        raise ValueError(f"{cells['day']!r} is not a day like 2026-03-02") from None
    return RateLine(currency, day, rate, cells["source"][:200])


def currency_of(written: str) -> str:
    """Three capital letters.

    Raises:
        ValueError: anything else.
    """
    code = written.strip().upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise ValueError(f"{written!r} is not a currency: three letters as in ISO 4217, for example EUR")
    return code


def _hour(written: str) -> datetime:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise ValueError(f"{written!r} is not an hour like 2026-03-02T08:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{written} has no offset: write it in UTC, {written}Z, or with one, {written}+01:00")
    hour = moment.astimezone(UTC)
    if hour != hour.replace(minute=0, second=0, microsecond=0):
        raise ValueError(f"{written} is not the start of a UTC hour: give the mean price of each hour")
    return hour


def _number(cells: Mapping[str, str], name: str) -> float:
    try:
        value = float(cells[name])
    except ValueError:
        raise ValueError(f"{name} {cells[name]!r} is not a number: write it with a point, 0.25") from None
    if not math.isfinite(value):
        raise ValueError(f"{name} {cells[name]!r} is not a number: write it with a point, 0.25")
    return value


def _refuse_twice(sheet: Sheet[Line], key: Callable[[Line], object], problem: str) -> None:
    seen: dict[object, int] = {}
    for count, line in enumerate(sheet.lines):
        if seen.setdefault(key(line), count) != count:
            sheet.errors.append(RowError(count + 2, problem))
