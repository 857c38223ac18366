"""Uses of shared devices into the table: new, sent before, or contradicting what was sent before."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from accounting.ingest.columns import microsecond
from accounting.ingest.dirty import merged
from accounting.ingest.fleet import Fleet
from accounting.ingest.jobs import Jobs, Span
from accounting.methods.units import US_PER_S
from accounting.models import DeviceUse, SampleConflict

UseKey = tuple[int, int, int, str]  # device, microseconds, job, slice
_ROWS_AT_ONCE = 500


@dataclass(slots=True)
class KeptUses:
    """What became of a batch's uses."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: list[SampleConflict] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)  # device time in which shares may have changed


def keep_uses(items: Sequence[Any], fleet: Fleet, jobs: Jobs, *, now: datetime) -> KeptUses:
    """Write what is new. In the caller's transaction; the first of a key stays.

    A use reaches back to the one before it, and tells the one after it where to begin: at most the gap limit each way.
    """
    kept, new = KeptUses(), {}
    rows = [_row(item, fleet, jobs, now) for item in items]
    standing = _standing(rows)
    for row in sorted(rows, key=_key):
        before = standing.setdefault(_key(row), row)
        if before is row:
            new[_key(row)] = row
        elif _said(before) == _said(row):
            kept.duplicates += 1
        else:
            kept.conflicts.append(_conflict(before, row, now))
    DeviceUse.objects.bulk_create(new.values(), _ROWS_AT_ONCE, ignore_conflicts=True)
    kept.accepted = len(new)
    reach_us = round(settings.GREENAI["max_gap_s"] * US_PER_S)
    spans = [Span(r.device_id, r.measured_at_us - reach_us, r.measured_at_us + reach_us) for r in new.values()]
    kept.spans = merged(spans)
    return kept


def _row(item: Any, fleet: Fleet, jobs: Jobs, now: datetime) -> DeviceUse:
    return DeviceUse(
        device_id=fleet.device_id(item.host, item.device),
        measured_at_us=microsecond(item.measured_at),
        job_id=jobs.by_key[jobs.key(item.job)].pk,
        mig_slice=item.mig_slice,
        utilization=item.utilization,
        mig_fraction=item.mig_fraction,
        received_at_us=microsecond(now),
    )


def _standing(rows: Sequence[DeviceUse]) -> dict[UseKey, DeviceUse]:
    times = [row.measured_at_us for row in rows]
    known = DeviceUse.objects.filter(
        device__in={row.device_id for row in rows}, measured_at_us__range=(min(times), max(times))
    )
    wanted = {_key(row) for row in rows}
    return {_key(row): row for row in known if _key(row) in wanted}


def _key(row: DeviceUse) -> UseKey:
    return row.device_id, row.measured_at_us, row.job_id, row.mig_slice


def _said(row: DeviceUse) -> dict[str, float | None]:
    return {"utilization": row.utilization, "mig_fraction": row.mig_fraction}


def _conflict(before: DeviceUse, row: DeviceUse, now: datetime) -> SampleConflict:
    return SampleConflict(
        device_id=row.device_id,
        measured_at_us=row.measured_at_us,
        stored=_said(before),
        offered={"job": row.job_id, "mig_slice": row.mig_slice, **_said(row)},
        received_at=now,
    )
