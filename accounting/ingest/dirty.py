"""Which hours of which device the ledger must make again.

A sample reaches from the reading before it to the reading after it, of its own source and of any: the energy, or the
hole, between them changes. A short reach is marked hour by hour, and so is time in service gained. Of a long one only
the hours that the ledger has made or is about to make: the ledger finds the rest of a hole and of time in service by
itself. The same goes for marks, facility samples, another description and another project.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_

import numpy as np
from django.db import connection
from django.db.models import Q

from accounting.ingest.columns import SampleColumns
from accounting.ingest.jobs import Span
from accounting.methods.units import US_PER_HOUR
from accounting.models import DeviceSample, DirtyHour, Job, LedgerHour

RUN_GAP_US = US_PER_HOUR  # samples of a batch further apart are looked at as runs of their own
# Behind a reading of another source, a source's own last reading is sought no further back than this.
OWN_SOURCE_US = 24 * US_PER_HOUR
NEAR_US = OWN_SOURCE_US
SHORT_HOURS = 48
RUNS_A_QUERY = 500
SPANS_A_QUERY = 50
MOST_HOURS = 500_000  # device-hours one batch may restate: more would hold everyone up

DeviceHour = tuple[int, datetime]
Run = tuple[int, int, int, int]  # device, source, first and last microsecond

# Each is one step in the primary key's index, or a walk over other sources' readings of at most OWN_SOURCE_US. LIMIT 1
# and not max(): without statistics PostgreSQL takes the day behind a reading for one row and reads all of it.
_OF_DEVICE = f"SELECT measured_at_us FROM {DeviceSample._meta.db_table} WHERE device_id = run.column2 AND WITHIN"
_LAST, _FIRST = "ORDER BY measured_at_us DESC LIMIT 1", "ORDER BY measured_at_us LIMIT 1"
_BEFORE = f"({_OF_DEVICE} AND measured_at_us < run.column4 {_LAST})"
_AFTER = f"({_OF_DEVICE} AND measured_at_us > run.column5 {_FIRST})"
_OWN = "AND source = run.column3 AND measured_at_us"
_NEAREST = (
    f"{_BEFORE}, ({_OF_DEVICE} AND measured_at_us < run.column4 {_OWN} >= run.column4 - {OWN_SOURCE_US} {_LAST}), "
    f"{_AFTER}, ({_OF_DEVICE} AND measured_at_us > run.column5 {_OWN} <= run.column5 + {OWN_SOURCE_US} {_FIRST})"
)


class TooWide(ValueError):
    """The batch reaches over more device-hours than one transaction should."""


def hours_of_samples(changed: SampleColumns, *, now_us: int) -> set[DeviceHour]:
    """The device-hours that new samples touch; asked after they were written. A query or two for 500 runs."""
    if not len(changed):
        return set()
    at = zip(changed.device_id.tolist(), (changed.measured_at_us // US_PER_HOUR).tolist(), strict=True)
    return {(device_id, _hour(hour)) for device_id, hour in set(at)} | hours_to_make(_reaches(changed, now_us))


def hours_of_spans(spans: Iterable[Span]) -> set[DeviceHour]:
    """Every hour that these stretches touch."""
    hours: set[DeviceHour] = set()
    for span in merged(spans):
        first, end = span.start_us // US_PER_HOUR, -(-span.end_us // US_PER_HOUR)
        _refuse_too_many(len(hours) + end - first)
        hours |= {(span.device_id, _hour(hour)) for hour in range(first, end)}
    return hours


def hours_to_make(spans: Iterable[Span]) -> set[DeviceHour]:
    """Every hour of short spans; of long ones those to restate."""
    hours: set[DeviceHour] = set()
    long = []
    for span in spans:
        first, last = span.start_us // US_PER_HOUR, span.end_us // US_PER_HOUR
        if last - first < SHORT_HOURS:
            hours |= {(span.device_id, _hour(hour)) for hour in range(first, last + 1)}
        else:
            long.append(span)
    return hours | hours_to_restate(long)


def hours_to_restate(spans: Iterable[Span]) -> set[DeviceHour]:
    """The hours of the spans that the ledger has rows of, or has yet to make. Two queries for 50 distinct spans."""
    device_ids = defaultdict(set)
    for span in merged(spans):
        device_ids[span.start_us // US_PER_HOUR, span.end_us // US_PER_HOUR].add(span.device_id)
    within = [Q(device__in=ids, hour__range=(_hour(a), _hour(b))) for (a, b), ids in sorted(device_ids.items())]
    hours: set[DeviceHour] = set()
    for start in range(0, len(within), SPANS_A_QUERY):
        either = reduce(or_, within[start : start + SPANS_A_QUERY])
        for made in (LedgerHour, DirtyHour):
            hours.update(made.objects.filter(either).order_by().values_list("device_id", "hour"))
            _refuse_too_many(len(hours))
    return hours


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same device time in as few spans as can be."""
    joined: list[Span] = []
    for span in sorted(spans, key=astuple):
        if joined and joined[-1].device_id == span.device_id and span.start_us <= joined[-1].end_us:
            joined[-1] = replace(joined[-1], end_us=max(joined[-1].end_us, span.end_us))
        else:
            joined.append(span)
    return joined


def hours_of_jobs(jobs: Iterable[Job]) -> set[DeviceHour]:
    """The hours that carry these jobs."""
    job_ids = [job.pk for job in jobs]
    if not job_ids:
        return set()
    return set(LedgerHour.objects.filter(job__in=job_ids).order_by().values_list("device_id", "hour"))


def _reaches(changed: SampleColumns, now_us: int) -> list[Span]:
    """For each run of samples of one device and source, from the reading before its first to the one after its last."""
    order = np.lexsort((changed.measured_at_us, changed.source, changed.device_id))
    device_id, source, at = (c[order] for c in (changed.device_id, changed.source, changed.measured_at_us))
    breaks = (np.diff(device_id) != 0) | (np.diff(source) != 0) | (np.diff(at) > RUN_GAP_US)
    first, last = np.flatnonzero(np.append(True, breaks)), np.flatnonzero(np.append(breaks, True))
    runs = list(zip(*(c.tolist() for c in (device_id[first], source[first], at[first], at[last])), strict=True))
    spans = []
    for start in range(0, len(runs), RUNS_A_QUERY):
        some = runs[start : start + RUNS_A_QUERY]
        for (device, _, first_us, last_us), neighbours in zip(some, _neighbours(some, now_us), strict=True):
            ends = [first_us, last_us, *(n for n in neighbours if n is not None)]
            spans.append(Span(device, min(ends), max(ends)))
    return spans


def _neighbours(runs: list[Run], now_us: int) -> list[list[int | None]]:
    """Of each run (device, source, first, last): the reading before and after, of any source and of its own.

    All that lies near is one query over a few days of the table, whose bounds stand in it as numbers: PostgreSQL then
    leaves the other days out when it plans. Only who has nothing near is looked for in all the days before or after,
    and after only where there are any: nothing comes later than now.
    """
    first_us, last_us = min(run[2] for run in runs) - NEAR_US, max(run[3] for run in runs) + NEAR_US
    until = last_us if last_us < now_us else None
    found = [list(row) for row in _ask(_NEAREST, runs, DeviceSample.between(first_us, until))]
    if connection.vendor != "postgresql":
        return found  # that was everything
    for column, select, rest in (
        (0, _BEFORE, DeviceSample.between(None, first_us - 1)),
        (2, _AFTER, DeviceSample.between(last_us + 1, None)),
    ):
        alone = [n for n, row in enumerate(found) if row[column] is None and (column == 0 or until is not None)]
        for n, (far,) in zip(alone, _ask(select, [runs[n] for n in alone], rest), strict=True):
            found[n][column] = far
    return found


def _ask(select: str, runs: list[Run], within: str) -> list[tuple[int | None, ...]]:
    """One row a run, in order. Whole numbers only, so they stand in the text."""
    if not runs:
        return []
    values = ",".join(f"({n},{d},{s},{f},{e})" for n, (d, s, f, e) in enumerate(runs))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {select.replace('WITHIN', within)} FROM (VALUES {values}) AS run ORDER BY run.column1")
        return cursor.fetchall()


def _refuse_too_many(hours: int) -> None:
    if hours > MOST_HOURS:
        raise TooWide(f"reaches over {hours} device-hours, {MOST_HOURS} at most: post fewer devices or times at once")


def _hour(hours_since_1970: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hours_since_1970)
