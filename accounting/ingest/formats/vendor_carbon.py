"""A cloud provider's carbon report out of a file: which provider's it is, and its records. Pure; all or nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import partial

from accounting.ingest.formats import vendor_aws, vendor_azure, vendor_gcp
from accounting.ingest.formats.vendor_azure import RegionKey
from accounting.ingest.formats.vendor_records import (
    MOST_ERRORS,
    CellRefused,
    Cells,
    LineError,
    ReportRefused,
    VendorFile,
    VendorRecord,
    check_text,
    csv_lines,
    json_items,
    text_of,
    version_key,
)

PROVIDERS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
_FORMATS = {module.NAME: module for module in (vendor_aws, vendor_gcp, vendor_azure)}


@dataclass(frozen=True, slots=True)
class _Read:
    columns: frozenset[str]
    items: list[tuple[int, Cells]]
    notes: list[str]


def parse(
    body: bytes, *, region_key: RegionKey, provider: str = "", month: date | None = None, scopes: str = ""
) -> VendorFile:
    """Read a whole file.

    Args:
        region_key: (provider, region as written) -> the region's code, or None where it is not known.
        provider: a key of PROVIDERS; empty: recognised by the columns.
        month: its first day, where the file itself tells none (Azure's details).
        scopes: a key of `vendor_azure.STATEMENTS`: what Azure was asked for; empty: not stated.

    Raises:
        ReportRefused: the file as a whole cannot be read, or is not that provider's.
    """
    read = _read(text_of(body))
    found = _recognised(read.columns, provider)
    if found != vendor_azure.NAME and (month or scopes):
        raise ReportRefused(f"month and scopes are told by a file of {PROVIDERS[found]} itself: state neither")
    lines = _FORMATS[found]
    if missing := sorted(lines.NEEDED - read.columns):
        raise ReportRefused(f"no column {', '.join(missing)}: export the report with all its columns")
    record: Callable[[Cells], VendorRecord] = lines.record
    if found == vendor_azure.NAME:
        stated = vendor_azure.statement_of(scopes)
        record = partial(vendor_azure.record, month=month, scopes=stated, region_key=region_key)
    records, errors = _collect(read.items, record, lines.same_line)
    notes = [*read.notes, *lines.notes(records), *_several_versions(records)]
    return VendorFile(found, tuple(records), tuple(errors[:MOST_ERRORS]), len(errors), tuple(notes))


def _read(text: str) -> _Read:
    """Raises ReportRefused."""
    if not text.strip():
        raise ReportRefused("the file is empty: export the report again")
    if text.lstrip()[0] in "{[":
        around, items = json_items(text)
        return _Read(frozenset(name for _, cells in items for name in cells), items, vendor_azure.around_notes(around))
    (_, header), *rows = csv_lines(text)
    return _Read(frozenset(header), rows, [])


def _recognised(columns: frozenset[str], stated: str) -> str:
    """Raises ReportRefused."""
    if stated and stated not in PROVIDERS:
        raise ReportRefused(f"provider {stated!r} is none of {', '.join(PROVIDERS)}")
    found = next((name for name, lines in _FORMATS.items() if columns >= lines.KNOWN_BY), "")
    if not found:
        wanted = "; ".join(f"{PROVIDERS[name]}: {', '.join(sorted(f.KNOWN_BY))}" for name, f in _FORMATS.items())
        raise ReportRefused(f"no provider's columns are there ({wanted}): choose the export itself, with its header")
    if stated and stated != found:
        raise ReportRefused(f"{PROVIDERS[stated]} was stated, the columns are those of {PROVIDERS[found]}")
    return found


def _collect(
    items: Iterable[tuple[int, Cells]],
    record: Callable[[Cells], VendorRecord],
    same_line: Callable[[Cells], tuple[str, ...]],
) -> tuple[list[VendorRecord], list[LineError]]:
    """Every record, and every line that is wrong or tells what another told already."""
    records: list[VendorRecord] = []
    errors: list[LineError] = []
    seen: dict[tuple[str, ...], int] = {}
    for line, cells in items:
        try:
            check_text(cells)
            records.append(record(cells))
        except CellRefused as error:
            errors.append(LineError(line, str(error)))
        except KeyError as error:
            errors.append(LineError(line, f"{error.args[0]} is not there: export the report with all its fields"))
        else:
            first = seen.setdefault(same_line(cells), line)
            if first != line:
                errors.append(LineError(line, f"tells of the same as line {first}: keep one of them"))
    return records, errors


def _several_versions(records: Iterable[VendorRecord]) -> list[str]:
    """What to say where a month was delivered by several versions of the provider's method."""
    versions: dict[date, set[str]] = {}
    for record in records:
        versions.setdefault(record.month, set()).add(record.model_version)
    twice = {month: some for month, some in versions.items() if len(some) > 1}
    return [
        f"{month:%Y-%m} is told by versions {', '.join(sorted(some, key=version_key))} of the provider’s method: "
        f"the newest of each account counts."
        for month, some in sorted(twice.items())
    ]
