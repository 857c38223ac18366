"""An hourly series out of a file, as an administrator or an exporter writes it.

    # unit: g/kWh
    # basis: lifecycle
    datetime,zone,value
    2026-01-01T00:00Z,FR,41.5

`unit` and `basis` must be said; `signal` is average and `flow` consumption unless said otherwise. A column `estimated`
(true or false) is read where it is there. An hour that is not in the file, or whose value is empty, is a gap.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from accounting.factors.providers.base import EmissionBasis, Flow, HourValue, Series, Signal, WrongSchema, checked
from accounting.methods.units import G_PER_LB

NAME = "csv"
MOST_BYTES = 8_000_000
MOST_ERRORS = 20  # told at once
UNITS = {"g/kwh": 1.0, "kg/mwh": 1.0, "kg/kwh": 1000.0, "t/mwh": 1000.0, "lb/mwh": G_PER_LB / 1000.0}
KINDS = {"signal": Signal, "basis": EmissionBasis, "flow": Flow}


@dataclass(frozen=True, slots=True)
class LineError:
    line: int  # from 1, as editors count
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class HourFile:
    """What a file says. Where there are errors nothing of it is to be stored."""

    values: list[tuple[str, HourValue]]  # (zone, value) in the order of zone and hour
    errors: list[LineError]  # the first MOST_ERRORS
    wrong: int  # how many lines are wrong, told or not


def parse(body: bytes, *, zone: str = "") -> HourFile:
    """Read a whole file. With `zone`, every line must be of it; a file without the column is taken to be.

    Raises:
        WrongSchema: the file as a whole cannot be read: its size, its coding, its header.
    """
    if len(body) > MOST_BYTES:
        raise WrongSchema(f"the file has {len(body)} bytes: more than {MOST_BYTES // 1_000_000} MB; split it by year")
    try:
        lines = body.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise WrongSchema(f"the file is not UTF-8: {error}") from error
    said, first = _header(lines)
    per_unit, series = _unit(said), _series(said)
    columns = [cell.strip().casefold() for cell in next(csv.reader([lines[first]]), [])]
    missing = {"datetime", "value"} - set(columns) | ({"zone"} - set(columns) if not zone else set())
    if missing:
        raise WrongSchema(f"line {first + 1}: no column {', '.join(sorted(missing))}: write datetime,zone,value")
    return _collect(_rows(lines, first, columns), zone=zone, per_unit=per_unit, series=series)


def _header(lines: list[str]) -> tuple[dict[str, str], int]:
    """What the lines with # say, and the index of the line with the columns. Raises WrongSchema."""
    said: dict[str, str] = {}
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        if not line.startswith("#"):
            return said, index
        name, colon, value = line.lstrip("# ").partition(":")
        if colon:
            said[name.strip().casefold()] = value.strip()
    raise WrongSchema("the file has no line with the columns: write datetime,zone,value")


def _unit(said: dict[str, str]) -> float:
    written = said.get("unit", "")
    if written.casefold() not in UNITS:
        known = "g/kWh, kg/MWh, kg/kWh, t/MWh, lb/MWh"
        raise WrongSchema(f"the unit is {written!r}: begin the file with a line such as '# unit: g/kWh' ({known})")
    return UNITS[written.casefold()]


def _series(said: dict[str, str]) -> Series:
    usual = {"signal": Signal.AVERAGE, "flow": Flow.CONSUMPTION}
    kinds: dict[str, str] = {}
    for name, kind in KINDS.items():
        written = said.get(name, usual.get(name, "")).casefold()
        if written not in list(kind):
            raise WrongSchema(f"the {name} is {written!r}: write a line '# {name}: {' or '.join(kind)}'")
        kinds[name] = written
    return Series(Signal(kinds["signal"]), EmissionBasis(kinds["basis"]), Flow(kinds["flow"]))


def _rows(lines: list[str], first: int, columns: list[str]) -> Iterator[tuple[int, dict[str, str] | None]]:
    """(line, cells by column); None where the line has more or fewer cells than columns."""
    for number, line in enumerate(lines[first + 1 :], start=first + 2):
        if not line.strip() or line.startswith("#"):
            continue
        cells = next(csv.reader([line]), [])
        same = len(cells) == len(columns)
        yield number, dict(zip(columns, (cell.strip() for cell in cells), strict=True)) if same else None


def _collect(
    rows: Iterable[tuple[int, dict[str, str] | None]], *, zone: str, per_unit: float, series: Series
) -> HourFile:
    values: dict[tuple[str, datetime], HourValue] = {}
    lines: dict[tuple[str, datetime], int] = {}
    errors: list[LineError] = []
    wrong = 0
    for number, cells in rows:
        try:
            key = _key(cells, zone)
            if key in lines:
                raise WrongSchema(f"{key[0]} at {key[1]:%Y-%m-%dT%H:%MZ} stands in line {lines[key]} already")
            lines[key] = number
            if cells and cells["value"]:
                values[key] = _value(cells, key[1], per_unit, series)
        except WrongSchema as error:
            wrong += 1
            if len(errors) < MOST_ERRORS:
                errors.append(LineError(number, str(error)))
    return HourFile([(of, values[of, hour]) for of, hour in sorted(values)], errors, wrong)


def _key(cells: dict[str, str] | None, zone: str) -> tuple[str, datetime]:
    if cells is None:
        raise WrongSchema("has more or fewer cells than the header has columns")
    of = cells.get("zone", "").upper() or zone.upper()
    if zone and of != zone.upper():
        raise WrongSchema(f"is of zone {of!r}, not {zone!r}")
    if not 0 < len(of) <= 20:
        raise WrongSchema(f"zone {of!r} is empty or longer than 20 characters")
    return of, _hour(cells["datetime"])


def _hour(written: str) -> datetime:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError as error:
        raise WrongSchema(f"datetime {written!r:.40}: write it like 2026-01-01T00:00Z") from error
    if moment.tzinfo is None:
        raise WrongSchema(f"datetime {written!r:.40} has no offset from UTC: write 2026-01-01T00:00Z")
    moment = moment.astimezone(UTC)
    if (moment.minute, moment.second, moment.microsecond) != (0, 0, 0):
        raise WrongSchema(f"datetime {written!r:.40} does not begin a UTC hour: give hourly means")
    return moment


def _value(cells: dict[str, str], hour: datetime, per_unit: float, series: Series) -> HourValue:
    try:
        g_per_kwh = checked(float(cells["value"]) * per_unit, "value")
    except ValueError as error:
        raise WrongSchema(f"value {cells['value']!r:.40} is no number") from error
    estimated = cells.get("estimated", "").casefold()
    if estimated not in ("", "true", "false", "1", "0"):
        raise WrongSchema(f"estimated is {estimated!r:.20}: write true or false")
    return HourValue(
        hour, g_per_kwh, series, estimated in ("true", "1"), "as the file says" if estimated in ("true", "1") else ""
    )
