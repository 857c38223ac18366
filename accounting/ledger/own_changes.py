"""Own factors change, and the hours that follow from them are restated, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from accounting.factorbook import catalog, own
from accounting.factorbook.books import nearness, row_of
from accounting.factorbook.own_rules import Stated
from accounting.ledger.book_lock import hold_book
from accounting.ledger.cited import answering, citing, of_own, standing_in
from accounting.ledger.restate import Cause, restate_hours
from accounting.models import LedgerHour, OwnFactor, Restatement


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was written, and what it restates. No change: the very same was in force."""

    changes: Sequence[own.Change]
    restatement: Restatement | None


def save(
    several: Sequence[Stated], *, reason: str, actor: object, now: datetime, corrects: OwnFactor | None = None
) -> Outcome:
    """Write factors, all or none, and restate what they touch as one restatement.

    Args:
        corrects: the version that the one factor replaces.

    Raises:
        OwnFactorRefused: one of them may not be written; nothing is.
    """
    with transaction.atomic():
        hold_book()
        changes = [own.put(stated, actor=actor, now=now, corrects=corrects) for stated in several]
        return restated([change for change in changes if change], reason=reason, actor=actor, now=now)


def withdraw(factor: OwnFactor, *, reason: str, actor: object, now: datetime, words: str = "") -> Outcome:
    """Take a factor out of force: figures become again what they were without it, to the last digit.

    Args:
        words: the reason as the restatement says it, where it says more.

    Raises:
        OwnFactorRefused: no reason is given.
    """
    with transaction.atomic():
        hold_book()
        change = own.withdraw(factor, reason=reason, actor=actor, now=now)
        return restated([change] if change else [], reason=words or reason, actor=actor, now=now)


def restated(changes: Sequence[own.Change], *, reason: str, actor: object, now: datetime) -> Outcome:
    """Restate what these changes touch, in the transaction that made them."""
    if not changes:
        return Outcome((), None)
    ids = [one.factor_id for change in changes for one in (change.before, change.after) if one is not None]
    scopes = {(one.site_id, one.team_id) for change in changes for one in (change.before, change.after) if one}
    one = changes[0].after or changes[0].before
    alike = len(scopes) == 1 and one is not None
    cause = Cause(Restatement.Cause.OWN_FACTOR, ids, site=one.site if alike else None, team=one.team if alike else None)
    hours = sorted({pair for change in changes for pair in touched(change)}, key=lambda pair: (pair[1], pair[0]))
    return Outcome(changes, restate_hours(hours, reason=reason, actor=actor, cause=cause, now=now))


def touched(change: own.Change) -> set[tuple[int, datetime]]:
    """Device-hours that cite the version which goes, and those that the new one answers for from now on."""
    before = change.before
    rows = [citing({of_own(before.pk, before.quantity, before.key)})] if before else []
    if (after := change.after) is not None:
        parts = answering(catalog(), after.quantity, after.key) | _of_others(after)
        rows.append(citing(parts).filter(_holding(after)))
        if after.quantity in ("price", "price_zone"):  # energy whose price nobody knew cites none
            rows.append(LedgerHour.objects.filter(_holding(after), unpriced_kwh__gt=0))
    return {pair for some in rows for pair in some.order_by().values_list("device_id", "hour").distinct()}


def _of_others(factor: OwnFactor) -> set[str]:
    """Parts of the ids of other own factors that answered: of the same thing but further away, or of places around."""
    others = OwnFactor.objects.exclude(pk=factor.pk)
    same = [one for one in others.filter(quantity=factor.quantity, key=factor.key) if nearness(one) < nearness(factor)]
    parts = {of_own(one.pk, one.quantity, one.key) for one in same}
    if catalog().find(factor.quantity, factor.key) is None:
        parts |= standing_in(map(row_of, others.exclude(key=factor.key)), factor.quantity, factor.key)
    return parts


def _holding(factor: OwnFactor) -> Q:
    """Rows of the factor's scope, in its period."""
    rows = Q()
    if factor.valid_from is not None:
        rows &= Q(hour__gte=factor.valid_from)
    if factor.valid_to is not None:
        rows &= Q(hour__lt=factor.valid_to)
    if factor.site_id is not None:
        rows &= Q(site=factor.site_id)
    return rows & Q(team=factor.team_id) if factor.team_id is not None else rows
