"""Device samples into the table: what is new, what came before, what contradicts.

The same key with the same values is a duplicate; with other values a conflict, kept aside; with a higher revision a
correction, which replaces. A sequence number that was taken cannot come back under another key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from accounting.ingest import bulk
from accounting.ingest.columns import NO_SEQ, SampleColumns
from accounting.ingest.streams import Ranges, taken_among
from accounting.models import SampleConflict


@dataclass(slots=True)
class Kept:
    """What became of a batch's device samples."""

    changed: SampleColumns  # new or corrected: what the ledger does not know yet
    duplicates: int = 0
    conflicts: list[SampleConflict] = field(default_factory=list)


def keep(samples: SampleColumns, *, taken: Ranges, epoch: int, received_at_us: int, now: datetime) -> Kept:
    """Write what is new. In the caller's transaction; two statements when nothing was sent before."""
    samples = samples.by_key()
    fresh = _first_of_key(samples) & ~_taken(samples, taken)
    counted = np.zeros(len(samples), dtype=bool)
    counted[fresh] = bulk.insert_new(samples.take(fresh), epoch=epoch, received_at_us=received_at_us)
    rest = np.flatnonzero(~counted)
    kept = Kept(samples)
    again = samples.take(rest)
    standing = bulk.stored(sorted(set(again.key_tuples())))
    for at, key, row in zip(rest.tolist(), again.key_tuples(), bulk.rows(again), strict=True):
        before = standing.get(key)
        if before is None:
            kept.conflicts.append(_conflict(key, {"seq": int(samples.seq[at])}, row, now))
        elif row.revision > before.revision:
            bulk.replace(key, row, epoch=epoch, received_at_us=received_at_us)
            standing[key] = row
            counted[at] = True
        elif row.reading == before.reading or row.revision < before.revision:
            kept.duplicates += 1
        else:
            kept.conflicts.append(_conflict(key, _described(before), row, now))
    kept.changed = samples.take(counted)
    return kept


def joined(parts: Sequence[Kept]) -> Kept:
    """What became of a batch that was kept in several parts."""
    columns = {
        name.name: np.concatenate([getattr(part.changed, name.name) for part in parts])
        for name in fields(SampleColumns)
    }
    conflicts = [conflict for part in parts for conflict in part.conflicts]
    return Kept(SampleColumns(**columns).by_key(), sum(part.duplicates for part in parts), conflicts)


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


def _conflict(key: bulk.Key, before: dict[str, object], row: bulk.Row, now: datetime) -> SampleConflict:
    device_id, measured_at_us, source = key
    offered = {"source": source, **_described(row)}
    return SampleConflict(
        device_id=device_id, measured_at_us=measured_at_us, stored=before, offered=offered, received_at=now
    )


def _described(row: bulk.Row) -> dict[str, object]:
    return {**row.reading._asdict(), "revision": row.revision}


def _identity(conflict: SampleConflict) -> tuple[object, ...]:
    return conflict.device_id, conflict.site_id, conflict.measured_at_us, tuple(sorted(conflict.offered.items()))
