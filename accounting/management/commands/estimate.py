"""`manage.py estimate --input FILE|- [--json]`: what runs come to, from a file and without a server.

Exit status: 0 the document was answered (a refused run says why in its place, and standard error counts them), 1 some
were refused and `--strict` was given, 2 the input cannot be read.
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.utils import timezone

from accounting.estimates.answer import Unreadable, answer, read_document, refused_count
from accounting.factorbook import catalog
from accounting.factorbook.books import catalog_for
from accounting.factors.catalog import Catalog
from accounting.models import OwnFactor
from accounting.reports.estimate_text import text_of

SOME_REFUSED, UNREADABLE = 1, 2


class Command(BaseCommand):
    help = "Estimate energy, carbon, water and cost of runs stated as JSON. docs/api.md describes them."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--input", required=True, metavar="FILE", help='{"runs": [...]} as JSON; - is standard input'
        )
        parser.add_argument("--json", action="store_true", help="answer as POST /api/v1/estimates does")
        parser.add_argument("--strict", action="store_true", help="end with 1 where a run was refused")

    def handle(self, *, input: str, json: bool, strict: bool, **options: Any) -> None:
        name = "standard input" if input == "-" else input
        try:
            runs = read_document(_read(input))
        except OSError as error:
            raise CommandError(f"{name} cannot be read: {error.strerror or error}", returncode=UNREADABLE) from error
        except Unreadable as error:
            raise CommandError(f"{name} cannot be read: {error}", returncode=UNREADABLE) from error
        answered = answer(self._book(), runs, currency=settings.GREENAI["currency"])
        self.stdout.write(_as_json(answered) if json else text_of(answered))
        if refused := refused_count(answered):
            words = f"{refused} of {len(runs)} runs refused: their `error` says why"
            if strict:
                raise CommandError(words, returncode=SOME_REFUSED)
            self.stderr.write(words)

    def _book(self) -> Catalog:
        """With the organisation's own factors, where there is a database; the packaged ones need none."""
        try:
            if OwnFactor._meta.db_table in connection.introspection.table_names():
                return catalog_for(at=timezone.now())
        except DatabaseError as error:
            self.stderr.write(f"Own factors were not asked, the database does not answer: {error}")
        return catalog()


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def _as_json(answered: dict[str, Any]) -> str:
    return json.dumps(answered, allow_nan=False, indent=2)
