"""Spans of energy into the table: what is new, what came before, what contradicts, what corrects.

The key of a span is (device, source, poster, end). Within one poster's spans of a device no instant may count twice, so
one that overlaps another is a conflict; the first stays.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from django.db.models import Q

from accounting.ingest.columns import SOURCES, microsecond
from accounting.ingest.fleet import Fleet
from accounting.ingest.jobs import Jobs, Span
from accounting.models import Device, EnergySpan, SampleConflict

SpanKey = tuple[int, int, int, int]  # device, source, poster, end in microseconds
Series = tuple[int, int, int]  # device, source, poster
_TOLD = ("started_at_us", "energy_j", "job_id", "measured")
_CORRECTED = ["started_at_us", "energy_j", "job", "measured", "is_long", "revision", "received_at_us"]
_ROWS_AT_ONCE = 500


@dataclass(slots=True)
class KeptSpans:
    """What became of a batch's spans."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: list[SampleConflict] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)  # device time whose energy may have changed


def keep_spans(
    items: Sequence[Any], fleet: Fleet, jobs: Jobs, *, poster: int, now: datetime, import_id: int | None = None
) -> KeptSpans:
    """Write what is new or corrects. In the caller's transaction; batches of one device take turns until it ends.

    Args:
        poster: stands in where an item names no run.
        import_id: the file that brought them.
    """
    kept = KeptSpans()
    rows = sorted((_row(item, fleet, jobs, poster, now, import_id) for item in items), key=_order)
    _take_turns({row.device_id for row in rows})
    standing = _standing(rows)
    new, changed = [], []
    for row in rows:
        of_series = standing[_series(row)]
        before = next((one for one in of_series if one.ended_at_us == row.ended_at_us), None)
        if before is not None and row.revision > before.revision and not _crossed(row, of_series, but=before):
            kept.spans.append(_hull(before, row))
            for name in (*_TOLD, "is_long", "revision", "received_at_us"):
                setattr(before, name, getattr(row, name))
            changed.append(before)
        elif before is not None and (_said(before) == _said(row) or row.revision < before.revision):
            kept.duplicates += 1
        elif crossed := before or _crossed(row, of_series):
            kept.conflicts.append(_conflict(crossed, row, now))
        else:
            of_series.append(row)
            new.append(row)
            kept.spans.append(_hull(row, row))
    EnergySpan.objects.bulk_create(new, _ROWS_AT_ONCE)
    EnergySpan.objects.bulk_update(changed, _CORRECTED, _ROWS_AT_ONCE)
    kept.accepted = len(new) + len(changed)
    return kept


def _take_turns(device_ids: set[int]) -> None:
    """Whether two spans share time can be told by one batch at a time."""
    list(Device.objects.select_for_update(no_key=True).filter(pk__in=device_ids).order_by("pk").values_list("pk"))


def poster_of(run: str) -> int:
    """The number that stands for a run."""
    return int.from_bytes(blake2b(f"run {run}".encode(), digest_size=8).digest(), signed=True)


def _row(item: Any, fleet: Fleet, jobs: Jobs, poster: int, now: datetime, import_id: int | None) -> EnergySpan:
    started_us, ended_us = microsecond(item.started_at), microsecond(item.ended_at)
    return EnergySpan(
        device_id=fleet.device_id(item.host, item.device),
        source=SOURCES[item.source],
        poster=poster_of(item.run) if item.run else poster,
        started_at_us=started_us,
        ended_at_us=ended_us,
        is_long=ended_us - started_us > EnergySpan.LONG_US,
        energy_j=item.energy_j,
        job_id=None if item.job is None else jobs.by_key[jobs.key(item.job)].pk,
        measured=item.status == "measured",
        revision=item.revision,
        file_import_id=import_id,
        received_at_us=microsecond(now),
    )


def _standing(rows: Sequence[EnergySpan]) -> dict[Series, list[EnergySpan]]:
    """What is stored of these series and touches these times. One query for 50 series."""
    reaches: dict[Series, list[int]] = {}
    for row in rows:
        reach = reaches.setdefault(_series(row), [row.started_at_us, row.ended_at_us])
        reach[:] = min(reach[0], row.started_at_us), max(reach[1], row.ended_at_us)
    standing: dict[Series, list[EnergySpan]] = defaultdict(list)
    wanted = sorted(reaches.items())
    for start in range(0, len(wanted), 50):
        either = Q(pk__in=())
        for (device_id, source, poster), (first_us, last_us) in wanted[start : start + 50]:
            either |= Q(
                Q(started_at_us__gte=first_us - EnergySpan.LONG_US) | Q(is_long=True),
                device=device_id,
                source=source,
                poster=poster,
                started_at_us__lt=last_us,
                ended_at_us__gt=first_us,
            )
        for span in EnergySpan.objects.filter(either).order_by("pk"):
            standing[_series(span)].append(span)
    return standing


def _crossed(row: EnergySpan, among: Sequence[EnergySpan], *, but: EnergySpan | None = None) -> EnergySpan | None:
    """One that shares time with it."""
    inside = (o for o in among if o.started_at_us < row.ended_at_us and o.ended_at_us > row.started_at_us)
    return next((other for other in inside if other is not but), None)


def _order(row: EnergySpan) -> tuple[int, ...]:
    """By key; of one key the highest revision first."""
    return *_series(row), row.ended_at_us, -row.revision


def _series(row: EnergySpan) -> Series:
    return row.device_id, row.source, row.poster


def _hull(one: EnergySpan, other: EnergySpan) -> Span:
    first_us, last_us = min(one.started_at_us, other.started_at_us), max(one.ended_at_us, other.ended_at_us)
    return Span(one.device_id, first_us, last_us)


def _said(row: EnergySpan) -> dict[str, object]:
    return {name: getattr(row, name) for name in _TOLD}


def _conflict(before: EnergySpan, row: EnergySpan, now: datetime) -> SampleConflict:
    ends = {"ended_at_us": row.ended_at_us, "source": row.source}
    return SampleConflict(
        device_id=row.device_id,
        measured_at_us=row.ended_at_us,
        stored={"ended_at_us": before.ended_at_us, **_said(before), "revision": before.revision},
        offered={**ends, **_said(row), "revision": row.revision},
        received_at=now,
    )
