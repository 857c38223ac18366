"""`import_vendor_report FILE [--provider aws] [--month 2026-01] [--scopes 1,2-market,3] [--dry-run]`."""

from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounting.access import audit
from accounting.factors.places import region_code
from accounting.ingest.formats import vendor_azure, vendor_carbon
from accounting.ingest.formats.vendor_records import MOST_BYTES, ReportRefused
from accounting.ingest.vendor import NothingToStore, store_report


class Command(BaseCommand):
    help = "Import a cloud provider's carbon report; a file with one wrong line changes nothing"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the provider's export: see docs/operations.md")
        parser.add_argument("--provider", default="", choices=sorted(vendor_carbon.PROVIDERS), help="else recognised")
        parser.add_argument("--month", default="", help="where the file tells none (Azure): 2026-01")
        stated = " or ".join(key for key in vendor_azure.STATEMENTS if key)
        parser.add_argument("--scopes", default="", help=f"what Azure was asked for: {stated}")
        parser.add_argument("--dry-run", action="store_true", help="read it, and store nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            with file.open("rb") as opened:
                body = opened.read(MOST_BYTES + 1)
            found = vendor_carbon.parse(
                body,
                region_key=region_code,
                provider=options["provider"],
                month=_month(options["month"]),
                scopes=options["scopes"],
            )
        except (OSError, ReportRefused) as error:
            raise CommandError(f"{file}: {error}") from error
        if found.errors:
            told = "\n".join(f"  {error}" for error in found.errors)
            raise CommandError(f"{file}: {found.wrong} wrong lines, nothing was stored\n{told}")
        for note in found.notes:
            self.stdout.write(note)
        if options["dry_run"]:
            months = sorted({f"{record.month:%Y-%m}" for record in found.records})
            self.stdout.write(f"{len(found.records)} rows of {found.provider} can be read: {', '.join(months)}")
            return
        try:
            with transaction.atomic():
                stored = store_report(
                    found, body, file_name=file.name, imported_by="import_vendor_report", now=timezone.now()
                )
                if stored.new:
                    audit(
                        actor="import_vendor_report",
                        action="vendor.imported",
                        subject=file.name,
                        provider=found.provider,
                        rows=stored.rows,
                        replaced=stored.replaced,
                    )
        except NothingToStore as error:
            raise CommandError(f"{file}: {error}") from error
        self.stdout.write(stored.words)


def _month(written: str) -> date | None:
    """Raises CommandError."""
    try:
        return date.fromisoformat(f"{written}-01") if written else None
    except ValueError as error:
        raise CommandError(f"--month is {written!r}: write it like 2026-01") from error
