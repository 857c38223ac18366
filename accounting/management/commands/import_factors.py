"""`manage.py import_factors FILE [--site SLUG | --team SLUG] [--dry-run]`: an organisation's own factors from a CSV."""

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounting.access import audit
from accounting.ledger.own_import import import_file
from accounting.models import Site, Team

ACTOR = "command import_factors"


class Command(BaseCommand):
    help = "Import own factors from a CSV with the columns of the export of the page Factors. All rows or none."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", help="the CSV; - reads standard input")
        scope = parser.add_mutually_exclusive_group()
        scope.add_argument("--site", help="slug of the site whose rows these are, where they name none")
        scope.add_argument("--team", help="slug of the team whose rows these are, where they name none")
        parser.add_argument("--reason", default="", help="of the restatement; otherwise what the rows give")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")

    def handle(self, *, file: str, site: str | None, team: str | None, reason: str, dry_run: bool, **_: Any) -> None:
        report = import_file(
            _text(file),
            actor=ACTOR,
            now=timezone.now(),
            reason=reason,
            site=_named(Site, site),
            team=_named(Team, team),
            dry_run=dry_run,
        )
        for error in report.errors:
            self.stderr.write(str(error))
        if report.errors:
            raise CommandError(f"{len(report.errors)} faults: nothing was imported")
        for row in report.rows:
            version = f" {row.version}" if row.version and row.becomes == "new version" else ""
            one = row.stated
            self.stdout.write(
                f"line {row.line}: {one.quantity} {one.key} {one.value:g} {one.unit}: {row.becomes}{version}"
            )
        words = f"{report.count('new')} new, {report.count('new version')} corrected, {report.count('same')} the same"
        would = "would be restated (dry run: nothing was changed)" if dry_run else "are being restated"
        self.stdout.write(f"{words}; {report.hours} device-hours {would}")
        if not dry_run:
            audit(actor=ACTOR, action="own_factors.imported", subject=file, rows=len(report.rows), hours=report.hours)


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read as UTF-8 text: {error}") from error


def _named(model: type[Site] | type[Team], slug: str | None) -> Any:
    if slug is None:
        return None
    found = model._default_manager.filter(slug=slug).first()
    if found is None:
        known = ", ".join(model._default_manager.values_list("slug", flat=True)) or "none"
        raise CommandError(f"no {model.__name__.lower()} has the slug {slug!r}; known: {known}")
    return found
