"""`grid_import --file x.csv [--zone FR] [--check]`: hourly grid intensities out of a file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounting.access import audit
from accounting.factors.providers import csv_file
from accounting.factors.providers.base import WrongSchema
from accounting.ledger import gridfeed


class Command(BaseCommand):
    help = "Import hourly grid intensities; a file with a wrong line changes nothing"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--file", required=True, type=Path, help="CSV: see docs/operations.md for its form")
        parser.add_argument("--zone", default="", help="the only zone it may tell of, for example FR")
        parser.add_argument("--check", action="store_true", help="read it, and store nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            found = csv_file.parse(file.read_bytes(), zone=options["zone"])
        except (OSError, WrongSchema) as error:
            raise CommandError(f"{file}: {error}") from error
        if found.errors:
            told = "\n".join(f"  {error}" for error in found.errors)
            raise CommandError(f"{file}: {found.wrong} wrong lines, nothing was stored\n{told}")
        if options["check"]:
            self.stdout.write(f"{len(found.values)} hours can be read")
            return
        because = gridfeed.Because(f"hours of {file.name} were imported", "grid_import")
        stored = gridfeed.store_hours(csv_file.NAME, found.values, now=timezone.now(), because=because)
        audit(
            actor="grid_import", action="grid.imported", subject=file.name, added=stored.added, replaced=stored.replaced
        )
        self.stdout.write(
            f"{stored.added} hours new, {stored.replaced} replaced, {stored.kept} as they were; "
            f"{stored.marked} device-hours are restated"
        )
