"""After an upgrade: hours made with other packaged factors, methods or settings are restated, and it is said why."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounting.factorbook import catalog
from accounting.factorbook.books import row_of
from accounting.factors.catalog import Catalog, Row
from accounting.ledger.cited import WIDENED, answering, cites, standing_in
from accounting.ledger.footprint import METHOD
from accounting.ledger.restate import Cause, begin, hold_book, mark
from accounting.methods.records import Factor, Range, Status
from accounting.models import LedgerHour, OwnFactor, Restatement, SeenCatalogue, TeamDay

_NAMED = 3  # changed factors that the reason spells out; the restatement lists the ids of all
_ACTOR = "upgrade"
_SETTINGS = ("max_gap_s", "facility_max_age_s", "emission_basis", "market_matching", "currency")  # figures follow them
_SETTING = "setting:"
Said = list[str | float]  # quantity, key, low, mid, high, unit, status
Marking = Restatement.State.MARKING


@dataclass(frozen=True, slots=True)
class Difference:
    """Between what the ledger was made with and what is installed now."""

    methods: tuple[str, str]  # the same twice: no difference
    base_ids: frozenset[str]  # of rows that changed or went
    parts: frozenset[str]  # of ids that answered where there is a row now
    reason: str
    settings: bool = False  # one of them changed: every hour may follow it

    def touches(self, factor_ids: Iterable[str], method: str) -> bool:
        other_method = self.methods[0] != self.methods[1] and method != METHOD
        return self.settings or other_method or cites(factor_ids, base_ids=self.base_ids, parts=self.parts)


def restate_upgrade(*, now: datetime) -> Restatement | None:
    """Restate the hours that the installed factors and methods make otherwise. One query where nothing changed.

    A day is a transaction of its own, so that the ledger goes on meanwhile; whatever dies in between goes on with the
    next call. Run it before the first rebuild after an upgrade.
    """
    seen = SeenCatalogue.objects.defer("rows").filter(pk=1).first()
    said, digest = _in_force()
    if seen is not None and (seen.method, seen.digest) == (METHOD, digest):
        return None
    if seen is None and not LedgerHour.objects.exclude(method=METHOD).exists():
        _remember(said, digest, now=now)
        return None
    difference = _difference(seen, said)
    restatement = _begun(difference, digest, now=now)
    if restatement is None:
        return None
    for day in list(TeamDay.objects.order_by("day").values_list("day", flat=True).distinct()):
        with transaction.atomic():
            hold_book()
            _mark_day(restatement, day, difference)
    return _finish(restatement, said, digest, now=now)


def _begun(difference: Difference, digest: str, *, now: datetime) -> Restatement | None:
    """The one that a call before this one left behind, or a new one; None where another worker has just finished."""
    with transaction.atomic():
        hold_book()
        if SeenCatalogue.objects.filter(pk=1, method=METHOD, digest=digest).exists():
            return None
        if left := Restatement.objects.filter(state=Marking, reason=difference.reason).first():
            return left
        other_methods = difference.methods[0] != difference.methods[1]
        kind = Restatement.Cause.METHODS if other_methods or difference.settings else Restatement.Cause.PACKAGED_FACTORS
        methods = difference.methods if other_methods else ("", "")
        cause = Cause(kind, sorted(difference.base_ids), methods)
        return begin(reason=difference.reason, actor=_ACTOR, cause=cause, now=now, state=Marking)


def _mark_day(restatement: Restatement, day: date, difference: Difference) -> None:
    start = datetime.combine(day, time(), tzinfo=UTC)
    of_day = Q(hour__gte=start, hour__lt=start + timedelta(days=1))
    if restatement.devices.filter(first_hour__gte=start, first_hour__lt=start + timedelta(days=1)).exists():
        return  # by the call before this one, or by another worker
    rows = LedgerHour.objects.filter(of_day).order_by().values_list("device_id", "hour", "factor_ids", "method")
    hours = {(pk, hour) for pk, hour, ids, method in rows.iterator() if difference.touches(ids, method)}
    if hours:
        restatement.refresh_from_db()
        mark(restatement, sorted(hours))


def _finish(restatement: Restatement, said: Mapping[str, Said], digest: str, *, now: datetime) -> Restatement | None:
    with transaction.atomic():
        hold_book()
        _remember(said, digest, now=now)
        mine = Restatement.objects.filter(pk=restatement.pk, state=Marking)
        if not mine.filter(hours=0).delete()[0]:
            mine.update(state=Restatement.State.PENDING)
    return Restatement.objects.filter(pk=restatement.pk).first()


def _remember(said: Mapping[str, Said], digest: str, *, now: datetime) -> None:
    values = {"method": METHOD, "digest": digest, "rows": said, "seen_at": now}
    SeenCatalogue.objects.update_or_create(pk=1, defaults=values)


def _in_force() -> tuple[dict[str, Said], str]:
    """The packaged rows, and the settings as if they were some."""
    said, digest = _installed(catalog())
    ours: dict[str, Said] = {
        f"{_SETTING}{name}": ["setting", str(settings.GREENAI[name]), 0.0, 0.0, 0.0, "", Status.MODELLED.value]
        for name in _SETTINGS
    }
    return said | ours, hashlib.sha256(f"{digest}{json.dumps(ours)}".encode()).hexdigest()


@cache
def _installed(packaged: Catalog) -> tuple[dict[str, Said], str]:
    said: dict[str, Said] = {
        row.factor.id: [
            row.quantity, row.key, row.factor.value.low, row.factor.value.mid, row.factor.value.high,
            row.factor.unit, row.factor.status.value,
        ]
        for row in packaged
    }  # fmt: skip
    return said, hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _difference(seen: SeenCatalogue | None, said: Mapping[str, Said]) -> Difference:
    before = {} if seen is None else seen.rows
    if seen is None:  # never looked before: only the methods on the rows tell
        others = LedgerHour.objects.exclude(method=METHOD).order_by("-rebuilt_at")
        methods = (others.values_list("method", flat=True).first() or METHOD, METHOD)
        return Difference(methods, frozenset(), frozenset(), _words(methods, {}, {}, ()))
    methods = (seen.method, METHOD)
    changed = {one for one in before if one in said and list(said[one]) != list(before[one])}
    gone = {one for one in set(before) - set(said) if not one.startswith(_SETTING)}
    new = {one for one in set(said) - set(before) if not one.startswith(_SETTING)}
    ours = {one for one in changed if one.startswith(_SETTING)}
    base_ids = (changed - ours) | gone
    known = {tuple(before[one][:2]) for one in base_ids}
    parts = _answered_before(before, {tuple(said[one][:2]) for one in new} - known)
    if any(tuple(before[one][:2]) == ("tolerance", "zone_in_country") for one in base_ids):
        parts.add(WIDENED)
    words = [_setting_words(one, before, said) for one in sorted(ours)]
    if base_ids or new or methods[0] != methods[1]:
        words.append(_words(methods, before, said, base_ids, new))
    reason = "; ".join(words) or "packaged factors changed"
    return Difference(methods, frozenset(base_ids), frozenset(parts), reason, settings=bool(ours))


def _setting_words(one: str, before: Mapping[str, Said], said: Mapping[str, Said]) -> str:
    return f"the setting {one.removeprefix(_SETTING)} changed from {before[one][1]} to {said[one][1]}"


def _answered_before(before: Mapping[str, Said], of: Collection[tuple[str | float, ...]]) -> set[str]:
    """Parts of the ids that stood in for these quantities and keys."""
    if not of:
        return set()
    packaged, own = _rows_of(before), list(map(row_of, OwnFactor.objects.all()))
    parts = {part for quantity, key in of for part in answering(packaged, str(quantity), str(key))}
    return parts | {part for quantity, key in of for part in standing_in(own, str(quantity), str(key))}


def _rows_of(rows: Mapping[str, Said]) -> list[Row]:
    """As much of a catalogue that is no longer installed as tells which id answered."""
    return [
        Row(
            Factor(one, Range(*map(float, ends)), str(unit), Status(status), ""),
            str(quantity), str(key), "", date.min, None, "",
        )
        for one, (quantity, key, *ends, unit, status) in rows.items()
        if not one.startswith(_SETTING)
    ]  # fmt: skip


def _words(
    methods: tuple[str, str],
    before: Mapping[str, Said],
    said: Mapping[str, Said],
    base_ids: Collection[str],
    new: Collection[str] = (),
) -> str:
    words = [f"methods {methods[0]} → {methods[1]}"] if methods[0] != methods[1] else []
    for one in sorted(base_ids)[:_NAMED]:
        *_, mid, _, unit, _ = before[one]
        now = f"changed from {mid:g} to {said[one][3]:g} {unit}" if one in said else "was replaced"
        words.append(f"the packaged factor {one} {now}".removesuffix(" 1"))
    if len(base_ids) > _NAMED:
        words.append(f"{len(base_ids) - _NAMED} more packaged factors changed")
    if new and not base_ids:
        words.append(f"{len(new)} packaged factors are new")
    return "; ".join(words) or "packaged factors changed"
