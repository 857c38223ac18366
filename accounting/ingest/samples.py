"""Device samples into the table: what is new, what came before, what contradicts.

Of the same key, what tells nothing new is a duplicate; what tells fields that were left out so far completes the row;
what tells a field otherwise is a conflict, kept aside; a higher revision is a correction, which replaces. A sequence
number that was taken cannot come back under another key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from accounting.ingest import bulk
from accounting.ingest.columns import NO_SEQ, SampleColumns
from accounting.ingest.readings import Key, Row, rows
from accounting.ingest.streams import Ranges, taken_among
from accounting.models import SampleConflict


@dataclass(slots=True)
class Kept:
    """What became of a batch's device samples."""

    changed: SampleColumns  # new, completed or corrected: what the ledger does not know yet
    accepted: int = 0  # samples that told something new
    duplicates: int = 0
    conflicts: list[SampleConflict] = field(default_factory=list)


def keep(samples: SampleColumns, *, taken: Ranges, epoch: int, received_at_us: int, now: datetime) -> Kept:
    """Write what is new. In the caller's transaction; one statement when nothing was sent before."""
    samples = samples.by_key()
    fresh = _first_of_key(samples) & ~_taken(samples, taken)
    counted = np.zeros(len(samples), dtype=bool)
    counted[fresh] = bulk.insert_new(samples.take(fresh), epoch=epoch, received_at_us=received_at_us)
    rest = np.flatnonzero(~counted)
    kept = Kept(samples)
    if rest.size:
        counted[rest] = _keep_rest(samples.take(rest), kept, epoch=epoch, received_at_us=received_at_us, now=now)
    kept.accepted = int(counted.sum())
    kept.changed = samples.take(counted)
    return kept


def joined(parts: Sequence[Kept]) -> Kept:
    """What became of a batch that was kept in several parts."""
    columns = {
        name.name: np.concatenate([getattr(part.changed, name.name) for part in parts])
        for name in fields(SampleColumns)
    }
    conflicts = [conflict for part in parts for conflict in part.conflicts]
    accepted, duplicates = (sum(getattr(part, name) for part in parts) for name in ("accepted", "duplicates"))
    return Kept(SampleColumns(**columns).by_key(), accepted, duplicates, conflicts)


def _keep_rest(again: SampleColumns, kept: Kept, *, epoch: int, received_at_us: int, now: datetime) -> list[bool]:
    """Samples whose key or number came before, in this batch or any: which of them tell something new."""
    keys = again.key_tuples()
    standing = bulk.stored(sorted(set(keys)))
    news: dict[Key, Row] = {}
    told = []
    for seq, key, row in zip(again.seq.tolist(), keys, rows(again, epoch=epoch), strict=True):
        before = standing.get(key)
        after = _what_stands(before, row)
        told.append(after is not None and after != before)
        if after is None:
            known = {"seq": seq} if before is None else _described(before)
            kept.conflicts.append(_conflict(key, known, row, now))
        elif after == before:
            kept.duplicates += 1
        else:
            standing[key] = news[key] = after
    if news:
        bulk.replace(news, received_at_us=received_at_us)
    return told


def _what_stands(before: Row | None, row: Row) -> Row | None:
    """What is to stand under the key from now on; None for a contradiction."""
    if before is None:
        return None  # the number was taken, under another key
    if row.revision != before.revision:
        return max(row, before, key=lambda either: either.revision)
    return before.completed(row) if before.reading.agrees(row.reading) else None


def set_aside(conflicts: list[SampleConflict]) -> None:
    """Keep conflicts to be shown, each once however often it is sent."""
    if not conflicts:
        return
    times = {c.measured_at_us for c in conflicts}
    known = SampleConflict.objects.filter(
        Q(device__in={c.device_id for c in conflicts}) | Q(site__in={c.site_id for c in conflicts}),
        measured_at_us__range=(min(times), max(times)),
    )
    seen = {_identity(conflict) for conflict in known}
    new = {_identity(c): c for c in conflicts if _identity(c) not in seen}
    SampleConflict.objects.bulk_create(new.values(), 500)


def _first_of_key(samples: SampleColumns) -> NDArray[np.bool_]:
    """The first row of each key, in rows sorted by key."""
    same = (np.diff(samples.device_id) == 0) & (np.diff(samples.measured_at_us) == 0) & (np.diff(samples.source) == 0)
    return np.append(True, ~same)[: len(samples)]


def _taken(samples: SampleColumns, taken: Ranges) -> NDArray[np.bool_]:
    """Sequence numbers that came before, in another batch or under another key of this one."""
    numbered = samples.seq != NO_SEQ
    before = numbered & taken_among(taken, samples.seq)
    firsts = np.zeros(len(samples), dtype=bool)
    firsts[np.unique(samples.seq, return_index=True)[1]] = True
    return before | (numbered & ~firsts)


def _conflict(key: Key, before: dict[str, object], row: Row, now: datetime) -> SampleConflict:
    device_id, measured_at_us, source = key
    offered = {"source": source, **_described(row)}
    return SampleConflict(
        device_id=device_id, measured_at_us=measured_at_us, stored=before, offered=offered, received_at=now
    )


def _described(row: Row) -> dict[str, object]:
    return {**row.reading._asdict(), "revision": row.revision}


def _identity(conflict: SampleConflict) -> tuple[object, ...]:
    return conflict.device_id, conflict.site_id, conflict.measured_at_us, tuple(sorted(conflict.offered.items()))
