"""An organisation's own factors as a file: the columns of the export, read back with every fault named."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from accounting.factorbook import catalog
from accounting.factorbook.own_rules import Stated, known_key, problems
from accounting.models import Site, Team

NEEDED = ("quantity", "key", "value", "unit", "source", "reason")
OPTIONAL = (
    "low", "high", "status", "url", "page", "year", "licence", "note", "site", "team", "valid_from", "valid_to",
)  # fmt: skip
SAID_BY_US = ("id", "version", "state", "created_at", "created_by")  # of the export; not read back
MOST_ROWS = 5_000
_GUARD = ("'=", "'+", "'-", "'@")  # the export's apostrophe before what a spreadsheet would run


@dataclass(frozen=True, slots=True)
class RowError:
    """One fault: where, what stood there, and what to do."""

    line: int
    column: str
    value: str
    what: str

    def __str__(self) -> str:
        value = f" {self.value!r}" if self.value else ""
        return f"line {self.line}, {self.column}{value}: {self.what}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file states, by line. With any error nothing of it may be written."""

    stated: Mapping[int, Stated]
    errors: list[RowError]
    skipped: int  # versions of an export that are not in force any more


def parse(text: str, *, site: Site | None = None, team: Team | None = None) -> Parsed:
    """Read a file. Rows that name no site and no team are the given one's, or the organisation's. Three queries."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), restkey="")
    header = list(reader.fieldnames or [])
    if faults := _of_header(header):
        return Parsed({}, faults, 0)
    places = _Places(site, team)
    stated: dict[int, Stated] = {}
    errors: list[RowError] = []
    skipped = 0
    for cells in reader:
        line = reader.line_num
        said = {name: _plain(value) for name, value in cells.items() if name}
        if cells.get(""):
            errors.append(RowError(line, "row", "", f"has more cells than the {len(header)} columns: quote commas"))
        elif not any(said.values()):
            continue
        elif said.get("state", "in force") not in ("", "in force"):
            skipped += 1
        else:
            _take(line, said, places, stated, errors)
        if len(stated) > MOST_ROWS:
            return Parsed({}, [RowError(line, "file", "", f"has more than {MOST_ROWS} rows: split it")], skipped)
    if not stated and not errors:
        errors.append(RowError(1, "file", "", "has no row with a factor in force"))
    return Parsed(stated, errors, skipped)


class _Places:
    def __init__(self, site: Site | None, team: Team | None) -> None:
        self.site, self.team = site, team
        self.sites = {name: one.pk for one in Site.objects.all() for name in (one.name, one.slug)}
        self.teams = {name: one.pk for one in Team.objects.all() for name in (one.name, one.slug)}


def _of_header(header: list[str]) -> list[RowError]:
    if not header:
        return [RowError(1, "header", "", f"is missing: the first line names the columns {', '.join(NEEDED)}, …")]
    missing = [name for name in NEEDED if name not in header]
    if missing:
        return [RowError(1, "header", "", f"lacks {', '.join(missing)}: export the own factors for an example")]
    known = {*NEEDED, *OPTIONAL, *SAID_BY_US}
    return [RowError(1, "header", name, "is no column of ours: remove it") for name in header if name not in known]


def _take(
    line: int, said: Mapping[str, str], places: _Places, stated: dict[int, Stated], errors: list[RowError]
) -> None:
    faults: list[RowError] = []
    packaged = catalog()
    value = _number(line, "value", said, faults)
    low, high = (_number(line, end, said, faults, otherwise=value) for end in ("low", "high"))
    year = _year(line, said, faults)
    since, until = (_hour(line, name, said, faults) for name in ("valid_from", "valid_to"))
    site_id = _place(line, "site", said, places.sites, faults)
    team_id = _place(line, "team", said, places.teams, faults)
    if site_id is None and team_id is None and not faults:
        site_id, team_id = (one.pk if one else None for one in (places.site, places.team))
    if faults:
        errors.extend(faults)
        return
    one = Stated(
        quantity=said["quantity"], key=known_key(packaged, said["quantity"], said["key"]),
        value=value, low=low, high=high, unit=said["unit"], status=said.get("status") or "MODELLED",
        source=said["source"], reason=said["reason"], url=said.get("url", ""), page=said.get("page", ""), year=year,
        licence=said.get("licence", ""), note=said.get("note", ""), site_id=site_id, team_id=team_id,
        valid_from=since, valid_to=until,
    )  # fmt: skip
    errors.extend(RowError(line, p.column, p.value, p.what) for p in problems(one, packaged))
    if twin := next((at for at, other in stated.items() if _line_of(other) == _line_of(one)), None):
        errors.append(RowError(line, "key", one.key, f"stands on line {twin} too: keep one of them"))
    stated[line] = one


def _line_of(one: Stated) -> tuple[object, ...]:
    return one.quantity, one.key, one.site_id, one.team_id, one.valid_from


def _plain(value: object) -> str:
    text = str(value or "").strip()
    return text[1:] if text.startswith(_GUARD) else text


def _number(
    line: int, column: str, said: Mapping[str, str], faults: list[RowError], *, otherwise: float = 0.0
) -> float:
    text = said.get(column, "")
    if not text and column != "value":
        return otherwise
    try:
        return float(text)
    except ValueError:
        faults.append(RowError(line, column, text, "is no number: write it with a point, for example 42.5"))
        return 0.0


def _year(line: int, said: Mapping[str, str], faults: list[RowError]) -> int | None:
    text = said.get("year", "")
    if not text:
        return None
    if text.isdecimal() and 1900 <= int(text) <= 2200:
        return int(text)
    faults.append(RowError(line, "year", text, "is no year between 1900 and 2200"))
    return None


def _hour(line: int, column: str, said: Mapping[str, str], faults: list[RowError]) -> datetime | None:
    text = said.get(column, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        faults.append(RowError(line, column, text, "is no UTC hour like 2026-11-26T08:00:00Z"))
        return None


def _place(
    line: int, column: str, said: Mapping[str, str], known: Mapping[str, int], faults: list[RowError]
) -> int | None:
    text = said.get(column, "")
    if text and text not in known:
        faults.append(RowError(line, column, text, f"is no {column} of ours: write its name, or leave it empty"))
    return known.get(text)
