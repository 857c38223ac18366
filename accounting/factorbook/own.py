"""The only writer of own factors. Callers restate what a change touches: `accounting.ledger.own_changes`."""

import secrets
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from accounting.factorbook import catalog
from accounting.factorbook.own_rules import Problem, Stated, problems
from accounting.models import FactorStamp, OwnFactor
from accounting.models.own_factors import OwnFactors

NAMES = [field.name for field in fields(Stated)]
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class OwnFactorRefused(ValueError):
    """It may not be written; `.problems` says why, column by column."""

    def __init__(self, found: list[Problem]) -> None:
        super().__init__("; ".join(map(str, found)))
        self.problems = found


@dataclass(frozen=True, slots=True)
class Change:
    """What a write came to. Neither: the very same factor is in force already."""

    before: OwnFactor | None
    after: OwnFactor | None

    def __bool__(self) -> bool:
        return self.before is not None or self.after is not None


def put(stated: Stated, *, actor: object, now: datetime, corrects: OwnFactor | None = None) -> Change:
    """Write a factor, or a new version of the one with the same quantity, key, scope and first hour.

    In the caller's transaction, which holds the book (`ledger.restate.hold_book`).

    Args:
        corrects: the version that this one replaces, where its period changes too.

    Raises:
        OwnFactorRefused: against the rules, or it overlaps another factor of the same scope.
    """
    before = corrects or same_line(stated)
    if before is not None and not before.is_in_force:
        raise OwnFactorRefused([Problem("version", str(before.version), "is not in force any more: reload the page")])
    found = problems(stated, catalog()) or _overlaps(stated, before)
    if found:
        raise OwnFactorRefused(found)
    if before is not None and stated_of(before) == stated:
        return Change(None, None)
    version = before.version + 1 if before else 1
    after = OwnFactor.objects.create(
        **asdict(stated), version=version, supersedes=before, created_at=now, created_by=str(actor)[:200]
    )
    stamp_book()
    return Change(before, after)


def withdraw(factor: OwnFactor, *, reason: str, actor: object, now: datetime) -> Change:
    """Take a factor out of force, its earlier versions too; what it had replaced holds again.

    Raises:
        OwnFactorRefused: no reason is given.
    """
    if not reason.strip():
        raise OwnFactorRefused([Problem("reason", "", "is empty: an auditor will ask")])
    in_force = OwnFactor.objects.in_force().filter(pk=factor.pk)
    if not in_force.update(withdrawn_at=now, withdrawn_by=str(actor)[:200], withdrawn_reason=reason.strip()):
        return Change(None, None)
    stamp_book()
    return Change(factor, None)


def stated_of(factor: OwnFactor) -> Stated:
    return Stated(**{name: getattr(factor, name) for name in NAMES})


def same_line(stated: Stated) -> OwnFactor | None:
    """The factor in force of the same thing and scope, from the same hour on. One query."""
    return _of_scope(stated).filter(valid_from=stated.valid_from).select_related("superseded_by").first()


def history(factor: OwnFactor) -> list[OwnFactor]:
    """Every version that led to it, the newest first, and the ones after it before those."""
    line = [factor]
    while line[0].superseded_by_or_none is not None:
        line.insert(0, line[0].superseded_by_or_none)
    while line[-1].supersedes is not None:
        line.append(line[-1].supersedes)
    return line


def stamp_book() -> None:
    """Every process reads the factors anew before its next hour. Random: a stamp that was rolled back never returns."""
    FactorStamp.objects.update_or_create(pk=1, defaults={"stamp": secrets.randbits(62) | 1})


def _of_scope(stated: Stated) -> OwnFactors:
    return OwnFactor.objects.in_force().filter(
        quantity=stated.quantity, key=stated.key, site_id=stated.site_id, team_id=stated.team_id
    )


def _overlaps(stated: Stated, before: OwnFactor | None) -> list[Problem]:
    """Two factors of one scope may not both hold in an hour: nobody could say which counts."""
    begin, end = stated.valid_from or _FIRST, stated.valid_to or _LAST
    for other in _of_scope(stated).exclude(pk=before.pk if before else None):
        if begin < (other.valid_to or _LAST) and (other.valid_from or _FIRST) < end:
            period = f"{_day(other.valid_from, 'ever')} to {_day(other.valid_to, 'open end')}"
            what = f"{other.factor_id} holds from {period}: correct that one, or end it first"
            return [Problem("valid_from", "", what)]
    return []


def _day(moment: datetime | None, words: str) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else words
