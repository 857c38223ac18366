"""`manage.py import_prices hours|rates FILE|-`: hourly prices or exchange rates from a CSV file, all or nothing."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounting.access import audit
from accounting.factorbook import price_files, price_rows
from accounting.ledger.marking import restate_priced
from accounting.ledger.restate import hold_book
from accounting.models import Site

_ERRORS_SHOWN = 20
_WORDS = {"hours": "hourly prices", "rates": "exchange rates"}


class Command(BaseCommand):
    help = "Keep hourly prices or exchange rates from a CSV file and mark the hours that they move."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["hours", "rates"])
        parser.add_argument("file", help="a CSV file in UTF-8, or - for standard input")

    def handle(self, *, what: str, file: str, **options: Any) -> None:
        text = _text_of(file)
        into = settings.GREENAI["currency"]
        sheet: price_files.Sheet[Any]
        if what == "rates":
            sheet = price_files.read_rates(text, into=into)
        else:
            sheet = price_files.read_prices(text, sites=frozenset(Site.objects.values_list("slug", flat=True)))
        if sheet.errors:
            lines = "\n".join(f"line {error.line}: {error.problem}" for error in sheet.errors[:_ERRORS_SHOWN])
            raise CommandError(f"{len(sheet.errors)} rows cannot be read, nothing was kept:\n{lines}")
        save = price_rows.save_rates if what == "rates" else price_rows.save_prices
        with transaction.atomic():
            hold_book()
            reason = f"{len(sheet.lines)} {_WORDS[what]} were imported"
            count = restate_priced(save(sheet.lines), reason=reason, actor="import_prices", now=timezone.now())
            audit(actor="import_prices", action=f"prices.{what}", subject=file, rows=len(sheet.lines), restated=count)
        self.stdout.write(f"{len(sheet.lines)} rows are kept; {count} device-hours will be restated.")


def _text_of(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error
