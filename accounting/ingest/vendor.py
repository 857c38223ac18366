"""Stores cloud providers' carbon reports: the only writer of `VendorReport` and `VendorFootprint`.

A month of an account may be delivered again, by a newer version of the provider's method or as a correction. All
deliveries stay; the one of the newest version counts, of equal versions the one imported last.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime

from django.db import connection, transaction

from accounting.ingest.formats.vendor_records import VendorFile, VendorRecord, version_key
from accounting.models import VendorFootprint, VendorReport

_BATCH = 1000
_LOCK = 0x76656E64  # "vend": the key of the advisory lock
_TEXTS = ("account", "region", "service", "model_version")
_LENGTHS = {name: VendorFootprint._meta.get_field(name).max_length for name in _TEXTS}

Slot = tuple[date, str, str]  # month, account, and what the figure holds where a provider tells one figure a file


class NothingToStore(ValueError):
    """The file has errors, or no line at all."""


@dataclass(frozen=True, slots=True)
class Stored:
    """`new` is False where the very same content was there already: then nothing was changed."""

    report: VendorReport
    new: bool
    rows: int
    counting: int  # rows of it that count
    replaced: int  # rows of earlier reports that count no more

    @property
    def words(self) -> str:
        """What came of it, for the person who brought the file."""
        if not self.new:
            before = self.report
            return f"This content came in on {before.imported_at:%Y-%m-%d} as {before.file_name}: nothing changed."
        return f"{self.rows} rows, {self.counting} of them count; {self.replaced} rows of earlier reports are replaced."


def store_report(found: VendorFile, body: bytes, *, file_name: str, imported_by: str, now: datetime) -> Stored:
    """Store a whole file, or nothing.

    Raises:
        NothingToStore: there are errors in the file, or no records.
    """
    if found.wrong or not found.records:
        raise NothingToStore(f"{found.wrong} wrong lines, {len(found.records)} records: nothing was stored")
    with transaction.atomic():
        _one_at_a_time()
        report, new = VendorReport.objects.get_or_create(
            sha256=hashlib.sha256(body).hexdigest(),
            defaults={
                "provider": found.provider,
                "file_name": file_name[:200],
                "imported_by": imported_by[:200],
                "imported_at": now,
                "notes": list(found.notes),
            },
        )
        if not new:
            return Stored(report, False, report.footprints.count(), report.footprints.filter(counts=True).count(), 0)
        others = VendorFootprint.objects.filter(provider=found.provider, counts=True)
        before = others.count()
        VendorFootprint.objects.bulk_create((_row(report, record) for record in found.records), _BATCH)
        _settle(found.provider, {record.month for record in found.records})
        counting = report.footprints.filter(counts=True).count()
        replaced = before - others.exclude(report=report).count()
    report.refresh_from_db()
    return Stored(report, True, len(found.records), counting, replaced)


def delete_report(report: VendorReport) -> None:
    """Take a report away; what it had replaced counts again."""
    with transaction.atomic():
        _one_at_a_time()
        months = set(report.footprints.order_by().values_list("month", flat=True).distinct())
        provider = report.provider
        report.delete()
        _settle(provider, months)


def _one_at_a_time() -> None:
    """Two imports at once would not see each other's rows, and both would count. SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _row(report: VendorReport, record: VendorRecord) -> VendorFootprint:
    fields = asdict(record)
    return VendorFootprint(report=report, **(fields | {name: fields[name][:size] for name, size in _LENGTHS.items()}))


def _settle(provider: str, months: Iterable[date]) -> None:
    """Say anew which rows of these months count, and what that makes of the provider's reports."""
    rows = VendorFootprint.objects.filter(provider=provider, month__in=sorted(months))
    columns = ("month", "account", "scopes", "model_version", "report_id", "report__imported_at")
    newest: dict[Slot, tuple[tuple[int, ...], datetime, int, str]] = {}
    for month, account, scopes, version, report_id, at in rows.order_by().values_list(*columns).distinct():
        slot = (month, account, scopes if provider == "azure" else "")
        newest[slot] = max(newest.get(slot, ((), at, 0, "")), (version_key(version), at, report_id, version))
    winners: dict[tuple[int, str, date, str], list[str]] = defaultdict(list)
    for (month, account, scopes), (_, _, report_id, version) in newest.items():
        winners[report_id, version, month, scopes].append(account)
    rows.update(counts=False)
    for (report_id, version, month, scopes), accounts in winners.items():
        won = rows.filter(report=report_id, model_version=version, month=month)
        if provider == "azure":
            won = won.filter(scopes=scopes)
        for start in range(0, len(accounts), _BATCH // 2):
            won.filter(account__in=accounts[start : start + _BATCH // 2]).update(counts=True)
    _settle_states(provider)


def _settle_states(provider: str) -> None:
    states = VendorReport.State
    counting: dict[int, set[bool]] = defaultdict(set)
    pairs = VendorFootprint.objects.filter(provider=provider).order_by().values_list("report_id", "counts").distinct()
    for report_id, counts in pairs:
        counting[report_id].add(counts)
    for state, found in ((states.COUNTS, {True}), (states.PARTLY, {True, False}), (states.REPLACED, {False})):
        ids = [report_id for report_id, told in counting.items() if told == found]
        VendorReport.objects.filter(pk__in=ids).exclude(state=state).update(state=state)
