"""A file of own factors, all of it or nothing. A dry run says what it would come to and leaves no trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounting.factorbook import own
from accounting.factorbook.own_csv import RowError, parse
from accounting.factorbook.own_rules import Stated
from accounting.ledger.book_lock import hold_book
from accounting.ledger.own_changes import restated
from accounting.models import Restatement, Site, Team


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file and what becomes of it: new, new version, or same."""

    line: int
    stated: Stated
    becomes: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Report:
    rows: Sequence[Row]
    errors: Sequence[RowError]
    skipped: int
    restatement: Restatement | None = None
    hours: int = 0  # that are, or with a dry run would be, restated

    def count(self, becomes: str) -> int:
        return sum(row.becomes == becomes for row in self.rows)


def import_file(
    text: str,
    *,
    actor: object,
    now: datetime,
    reason: str = "",
    site: Site | None = None,
    team: Team | None = None,
    dry_run: bool = False,
) -> Report:
    """Write what the file states, as one restatement. The same file again changes nothing.

    Args:
        reason: of the restatement; without one, the reasons that the rows give.
        site, team: whose the rows are that name neither.
    """
    parsed = parse(text, site=site, team=team)
    if parsed.errors:
        return Report((), parsed.errors, parsed.skipped)
    with transaction.atomic():
        hold_book()
        rows, changes, errors = [], [], []
        for line, stated in parsed.stated.items():
            try:
                change = own.put(stated, actor=actor, now=now)
            except own.OwnFactorRefused as refused:
                errors += [RowError(line, p.column, p.value, p.what) for p in refused.problems]
                continue
            rows.append(_row(line, stated, change))
            changes += [change] if change else []
        words = reason.strip() or "; ".join(dict.fromkeys(change.after.reason for change in changes if change.after))
        outcome = None if errors else restated(changes, reason=words, actor=actor, now=now)
        restatement = outcome.restatement if outcome else None
        hours = restatement.hours if restatement else 0
        if errors or dry_run:
            transaction.set_rollback(True)
    return Report(rows if not errors else (), errors, parsed.skipped, None if dry_run else restatement, hours)


def _row(line: int, stated: Stated, change: own.Change) -> Row:
    if not change:
        return Row(line, stated, "same", None)
    version = change.after.version if change.after else None
    return Row(line, stated, "new version" if change.before else "new", version)
