"""Bulk loads: what a rebuild of many device-hours needs, in a handful of queries."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Q
from numpy.typing import NDArray

from accounting.ledger.columns import read_columns
from accounting.ledger.instants import HOUR, hour_at, to_us
from accounting.methods.attribution import NO_JOB, Hold
from accounting.methods.energy import Ints, PowerSeries
from accounting.methods.epochs import readings_by_poster, taken
from accounting.methods.sharing import Use, uses_of_readings
from accounting.methods.told import Spans, Told, told
from accounting.methods.units import US_PER_HOUR
from accounting.models import Device, DeviceSample, DeviceUse, EnergySpan, Job, JobMark

REACH_US = 2 * US_PER_HOUR  # a source that speaks less often counts only where no other one does
FOREVER_US = 1 << 62
_DAYS_NEAR_US = 48 * US_PER_HOUR

_TABLE = DeviceSample._meta.db_table
_JOIN = f"JOIN {_TABLE} s ON s.device_id = w.d"
_COLUMNS = "s.source, s.measured_at_us, s.power_w, s.energy_j, s.epoch, s.measured, COALESCE(s.job_id, 0)"
_KINDS = ["int", "int", "int", "float", "float", "int", "bool", "int"]  # of the window and `_COLUMNS`


@dataclass(frozen=True, slots=True)
class Window:
    """An unbroken run of hours of one device."""

    device_id: int
    first: datetime
    last: datetime  # the last hour's start

    @property
    def start_us(self) -> int:
        return to_us(self.first)

    @property
    def end_us(self) -> int:
        return to_us(self.last) + US_PER_HOUR


@dataclass(frozen=True, slots=True)
class Reading:
    """A series of a device by one source, with the job label of each reading. Several posters: several series."""

    source: int
    series: PowerSeries
    job: Ints  # NO_JOB where the reading names none
    told: Told | None = None  # told as spans of energy, whose intervals are judged already


def windows_of(device_hours: Iterable[tuple[int, datetime]]) -> list[Window]:
    """Join neighbouring hours of a device, so that their samples are read once."""
    windows: list[Window] = []
    for device_id, hour in sorted(set(device_hours)):
        before = windows[-1] if windows else None
        if before and before.device_id == device_id and before.last + HOUR == hour:
            windows[-1] = Window(device_id, before.first, hour)
        else:
            windows.append(Window(device_id, hour, hour))
    return windows


def load_readings(windows: Sequence[Window]) -> list[list[Reading]]:
    """For each window its sources, best first, with every source's nearest neighbours beyond both edges.

    A neighbour within `REACH_US` is found for each source and poster; further out, only the nearest of all. Spans of
    energy come whole, as far as they touch the window. Five queries, up to four more for windows that stand alone.
    """
    if not windows:
        return []
    inside = read_columns(
        f"WITH {_asked(windows)} SELECT w.i, {_COLUMNS} FROM w {_JOIN} "
        f"AND s.measured_at_us >= w.a AND s.measured_at_us < w.b AND {_between(windows, 0)}",
        _KINDS,
    )
    beside = _at_moments(windows, _neighbour_moments(windows))
    read = _by_window([np.concatenate(pair) for pair in zip(inside, beside, strict=True)], len(windows))
    for of_window, spans in zip(read, load_spans(windows), strict=True):
        of_window += spans
        of_window.sort(key=lambda reading: reading.source)  # stable: a source's readings stay before its spans
    return read


def load_spans(windows: Sequence[Window]) -> list[list[Reading]]:
    """For each window the spans of energy that touch it, a poster's as one series. One query."""
    found: list[list[Reading]] = [[] for _ in windows]
    rows = _query(
        windows,
        "SELECT w.i, s.source, s.poster, s.started_at_us, s.ended_at_us, s.energy_j, s.measured, COALESCE(s.job_id, 0) "
        f"FROM w JOIN {EnergySpan._meta.db_table} s ON s.device_id = w.d AND s.started_at_us < w.b "
        f"AND s.started_at_us >= w.a - {EnergySpan.LONG_US} AND s.ended_at_us > w.a AND NOT s.is_long "
        "UNION ALL "
        "SELECT w.i, s.source, s.poster, s.started_at_us, s.ended_at_us, s.energy_j, s.measured, COALESCE(s.job_id, 0) "
        f"FROM w JOIN {EnergySpan._meta.db_table} s ON s.device_id = w.d AND s.started_at_us < w.b "
        f"AND s.started_at_us >= w.a - {EnergySpan.LONGEST_US} AND s.ended_at_us > w.a AND s.is_long",
    )
    for (i, source, _), of_poster in groupby(sorted(rows, key=lambda row: row[:4]), key=lambda row: row[:3]):
        columns = list(zip(*of_poster, strict=True))
        started_us, ended_us, job = (np.array(columns[k], dtype=np.int64) for k in (3, 4, 7))
        spans = Spans(started_us, ended_us, np.array(columns[5], dtype=float), np.array(columns[6], dtype=bool), job)
        as_told = told(spans, no_job=NO_JOB)
        found[i].append(Reading(source, as_told.series, as_told.job, as_told))
    return found


def load_marks(windows: Sequence[Window]) -> dict[int, list[Hold]]:
    """Job marks of each device that touch its windows. An open mark holds for ever. One query."""
    holds: dict[int, list[Hold]] = defaultdict(list)
    if not windows:
        return holds
    start_us, end_us = min(w.start_us for w in windows), max(w.end_us for w in windows)
    rows = JobMark.objects.filter(
        Q(ended_at_us=None) | Q(ended_at_us__gt=start_us),
        device_id__in={w.device_id for w in windows},
        started_at_us__lt=end_us,
    ).values_list("device_id", "job_id", "started_at_us", "ended_at_us")
    for device_id, job_id, started_us, ended_us in rows:
        holds[device_id].append(Hold(job_id, started_us, FOREVER_US if ended_us is None else ended_us))
    return holds


def load_uses(windows: Sequence[Window], *, reach_us: int) -> list[list[Use]]:
    """For each window what jobs used of its device, with what reaches in from beyond its edges. One query."""
    told: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    if windows:
        rows = _query(
            windows,
            "SELECT w.i, u.measured_at_us, u.job_id, u.utilization, u.mig_slice, u.mig_fraction FROM w "
            f"JOIN {DeviceUse._meta.db_table} u ON u.device_id = w.d AND u.measured_at_us >= w.a - {reach_us:d} "
            f"AND u.measured_at_us < w.b + {reach_us:d} ORDER BY w.i, u.measured_at_us, u.job_id, u.mig_slice",
        )
        for i, *row in rows:
            told[i].append(tuple(row))
    return [_uses(told[i], reach_us) for i in range(len(windows))]


def _uses(rows: Sequence[tuple[Any, ...]], reach_us: int) -> list[Use]:
    if not rows:
        return []
    at_us, jobs, utilizations, names, fractions = zip(*rows, strict=True)
    return uses_of_readings(at_us, jobs, utilizations, list(zip(names, fractions, strict=True)), reach_us=reach_us)


def load_devices(device_ids: Iterable[int]) -> dict[int, Device]:
    """Devices with their hosts. One query."""
    return Device.objects.select_related("host").in_bulk(set(device_ids))


def load_before(devices: Iterable[Device]) -> dict[int, list[int]]:
    """For each device, the ids of those that count in its stead where they are read. One query.

    Before a part stand the sensors of its host's whole node; before the total of a kind also each device of the kind,
    and before the total of a whole node, node sensors that tell of one node.
    """
    wanted = [device for device in devices if device.is_total or device.kind != Device.Kind.NODE]
    mates: dict[int, list[tuple[int, str]]] = defaultdict(list)
    either = Q(kind=Device.Kind.NODE) | Q(kind__in={device.kind for device in wanted if device.is_total})
    of_hosts = Device.objects.filter(either, host__in={device.host_id for device in wanted}).order_by("pk")
    totals = set()
    for pk, host_id, kind, is_total in of_hosts.values_list("pk", "host_id", "kind", "is_total"):
        mates[host_id].append((pk, kind))
        totals |= {pk} if is_total else set()
    before = {device.pk: _before(device, mates[device.host_id], totals) for device in wanted}
    return {pk: others for pk, others in before.items() if others}


def _before(device: Device, mates: Sequence[tuple[int, str]], totals: set[int]) -> list[int]:
    nodes = [pk for pk, kind in mates if kind == Device.Kind.NODE and device.kind != Device.Kind.NODE]
    alike = [pk for pk, kind in mates if kind == device.kind and pk not in totals] if device.is_total else []
    return [*nodes, *alike]


def load_owners(job_ids: Iterable[int]) -> dict[int, tuple[int | None, int | None]]:
    """(team id, project id) of each job. One query."""
    rows = Job.objects.filter(pk__in=set(job_ids)).values_list("pk", "team_id", "project_id")
    return {pk: (team_id, project_id) for pk, team_id, project_id in rows}


def hours_with_samples() -> Iterator[tuple[int, datetime]]:
    """Every (device id, hour) that holds a raw sample or touches a span. Reads the whole key of the sample table."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT device_id, measured_at_us / {US_PER_HOUR} FROM {_TABLE} ORDER BY 1, 2")
        for device_id, hours in cursor.fetchall():
            yield device_id, hour_at(hours * US_PER_HOUR)
    spans = EnergySpan.objects.values_list("device_id", "started_at_us", "ended_at_us").order_by("device_id")
    for device_id, started_us, ended_us in spans.iterator():
        for start_us in range(started_us // US_PER_HOUR * US_PER_HOUR, ended_us, US_PER_HOUR):
            yield device_id, hour_at(start_us)


def _neighbour_moments(windows: Sequence[Window]) -> set[tuple[int, int]]:
    """(window, moment) of the readings just outside: per source and poster within reach, else the nearest of all."""
    near_before = _query(
        windows,
        f"SELECT w.i, max(s.measured_at_us) FROM w {_JOIN} AND s.measured_at_us < w.a "
        f"AND s.measured_at_us >= w.a - {REACH_US} AND {_between(windows, REACH_US)} GROUP BY w.i, s.source, s.epoch",
    )
    near_after = _query(
        windows,
        f"SELECT w.i, min(s.measured_at_us) FROM w {_JOIN} AND s.measured_at_us >= w.b "
        f"AND s.measured_at_us < w.b + {REACH_US} AND {_between(windows, REACH_US)} GROUP BY w.i, s.source, s.epoch",
    )
    before = _far(windows, {i for i, _ in near_before}, "s.measured_at_us < w.a", "<", "DESC")
    after = _far(windows, {i for i, _ in near_after}, "s.measured_at_us >= w.b", ">=", "ASC")
    return {*near_before, *near_after, *before, *after}


def _far(windows: Sequence[Window], known: Set[int], beyond: str, side: str, order: str) -> list[tuple[int, int]]:
    """The nearest reading on one side of the windows that have none within reach: in the days near them, else anywhere.

    The bounds in time stand in the query as numbers: PostgreSQL then leaves the other days out when it plans.
    """
    found: list[tuple[int, int]] = []
    alone = [i for i in range(len(windows)) if i not in known]
    for within in (_DAYS_NEAR_US, FOREVER_US) if connection.vendor == "postgresql" else (FOREVER_US,):
        if not alone:
            break
        some = [windows[i] for i in alone]
        bounds = _between(some, within) if within < FOREVER_US else _one_side(some, side)
        rows = _query(
            some,
            f"SELECT w.i, (SELECT s.measured_at_us FROM {_TABLE} s WHERE s.device_id = w.d AND {beyond} AND {bounds} "
            f"ORDER BY s.measured_at_us {order} LIMIT 1) FROM w",
        )
        found += [(alone[k], moment) for k, moment in rows if moment is not None]
        alone = [alone[k] for k, moment in sorted(rows) if moment is None]
    return found


def _one_side(windows: Sequence[Window], side: str) -> str:
    if side == "<":
        return DeviceSample.between(None, max(w.start_us for w in windows), column="s.measured_at_us")
    return DeviceSample.between(min(w.end_us for w in windows), None, column="s.measured_at_us")


def _between(windows: Sequence[Window], reach_us: int) -> str:
    """That a reading lies within reach of the first and the last of the windows."""
    first_us, last_us = min(w.start_us for w in windows) - reach_us, max(w.end_us for w in windows) + reach_us
    return DeviceSample.between(first_us, last_us, column="s.measured_at_us")


def _at_moments(windows: Sequence[Window], moments: set[tuple[int, int]]) -> list[NDArray[Any]]:
    """The columns of the readings of every source at the given moments."""
    if not moments:
        return [np.zeros(0, dtype=np.int64) for _ in _KINDS]
    at = [moment for _, moment in moments]
    values = ", ".join(f"({i:d}, {windows[i].device_id:d}, {moment:d})" for i, moment in sorted(moments))
    return read_columns(
        f"WITH w(i, d, m) AS (VALUES {values}) SELECT w.i, {_COLUMNS} FROM w {_JOIN} AND s.measured_at_us = w.m "
        f"AND {DeviceSample.between(min(at), max(at), column='s.measured_at_us')}",
        _KINDS,
    )


def _query(windows: Sequence[Window], sql: str) -> list[tuple[Any, ...]]:
    """Run `sql` against `w(i, d, a, b)`: the windows with their device, start and end."""
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {_asked(windows)} {sql}")
        return list(cursor.fetchall())


def _asked(windows: Sequence[Window]) -> str:
    """The windows as numbers in the text: a driver takes a millisecond to fill in a thousand parameters."""
    values = (f"({i:d}, {w.device_id:d}, {w.start_us:d}, {w.end_us:d})" for i, w in enumerate(windows))
    return f"w(i, d, a, b) AS (VALUES {', '.join(values)})"


def _by_window(columns: Sequence[NDArray[Any]], count: int) -> list[list[Reading]]:
    """Columns (window, then `_COLUMNS`) cut where the window or the source changes."""
    readings: list[list[Reading]] = [[] for _ in range(count)]
    window, source, at_us, power_w, energy_j, epoch, measured, job = columns
    if not window.size:
        return readings
    whole = PowerSeries(at_us, power_w, energy_j, epoch, measured.astype(np.bool_))
    order = np.lexsort((at_us, source, window))
    turns = np.flatnonzero((np.diff(window[order]) != 0) | (np.diff(source[order]) != 0)) + 1
    for part in np.split(order, turns):
        series, jobs = taken(whole, part), job[part]
        of_window = readings[int(window[part[0]])]
        of_window += [
            Reading(int(source[part[0]]), taken(series, several), jobs[several])
            for several in readings_by_poster(series)
        ]
    return readings
