"""Samples and job marks -> one row per device, hour and job: energy before cooling, and the time it stands for."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import numpy as np

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.ledger.instants import hour_at, to_us
from accounting.ledger.load import REACH_US, Reading, Window
from accounting.methods.attribution import Hold, Segment, label_holds, segments
from accounting.methods.energy import (
    NO_RUNS,
    Intervals,
    Ints,
    PowerSeries,
    covered_runs,
    integrate_by_precedence,
    judge,
    merged,
)
from accounting.methods.records import Factor, Range, Status
from accounting.methods.sharing import (
    IdlePolicy,
    SharedBy,
    Use,
    Weights,
    cell_edges,
    holds_of_uses,
    idle_part_j,
    share,
    share_energy,
    use_weights,
)
from accounting.methods.told import spoken_by_sensors
from accounting.methods.units import US_PER_HOUR, US_PER_S
from accounting.models import Device, DeviceSample


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """What becomes an EnergyHour. `measured_j` is the part of the energy that a sensor or meter saw."""

    device_id: int
    hour: datetime
    job_id: int | None
    device_energy_j: Range
    measured_j: float
    covered_s: float
    missing_s: float
    held_s: float
    status: Status
    source: int | None
    sealed: bool = False
    idle_j: float = 0.0  # the part of the energy that is idle draw; without a job all of it
    shared_by: str = ""  # how jobs that held the device at once were told apart, in words of `SharedBy`


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides beside a device's readings and holds."""

    book: Catalog
    max_gap_us: int
    now_us: int
    idle_w: float | None  # what it draws doing nothing; None: not known, and nothing is split off
    policy_at: Callable[[datetime], IdlePolicy]  # by hour


@dataclass(slots=True)
class _Gathered:
    """Parts of one row, added up at the end with fsum."""

    low_j: list[float] = field(default_factory=list)
    mid_j: list[float] = field(default_factory=list)
    high_j: list[float] = field(default_factory=list)
    measured_j: list[float] = field(default_factory=list)
    covered_s: list[float] = field(default_factory=list)
    missing_s: list[float] = field(default_factory=list)
    held_s: list[float] = field(default_factory=list)
    idle_j: list[float] = field(default_factory=list)
    shared_by: set[str] = field(default_factory=set)
    covered_by: dict[int, float] = field(default_factory=dict)  # source -> seconds
    modelled: bool = False


def energy_rows(
    window: Window,
    device: Device,
    readings: Sequence[Reading],
    marks: Iterable[Hold],
    uses: Sequence[Use],
    *,
    rules: Rules,
    under_node_us: Ints = NO_RUNS,
) -> list[EnergyRow]:
    """Rows of one device for every hour of the window; each hour as it would come out of a window of its own.

    Args:
        under_node_us: stretches in which a sensor of the whole node counts the device's energy, as by `node_runs`.
    """
    series = [r.series for r in readings]
    judged = _judge(readings, max_gap_us=rules.max_gap_us)
    labels = [h for r, j in zip(readings, judged, strict=True) for h in label_holds(r.series.at_us, r.job, j.covered)]
    labels += holds_of_uses(uses)
    pieces = list(_by_hour(segments(window.start_us, window.end_us, marks=marks, labels=labels)))
    edges_us = np.array([window.start_us, *(p.end_us for p in pieces)], dtype=np.int64)
    spoken = _spoken(readings)
    energy = integrate_by_precedence(series, judged, edges_us, elsewhere=under_node_us, spoken=spoken)
    missing_us = energy.missing_us.tolist()
    columns = [
        (r.source, p.energy_j.tolist(), p.measured_j.tolist(), p.covered_us.tolist(), p.measured_us.tolist())
        for r, p in zip(readings, energy.by_source, strict=True)
    ]
    weigh = partial(_weights, series, judged, under_node_us, uses, rules.idle_w or 0.0)

    rows: dict[tuple[int, int | None], _Gathered] = {}
    for k, piece in enumerate(pieces):
        hour_us = piece.start_us // US_PER_HOUR * US_PER_HOUR
        jobs = [rows.setdefault((hour_us, job), _Gathered()) for job in piece.jobs]
        nobody = rows.setdefault((hour_us, None), _Gathered())
        nobody.missing_s.append(missing_us[k] / US_PER_S)
        _share(jobs or [nobody], "held_s", _in_service_us(device, piece, rules.now_us) / US_PER_S)
        weights: Weights | None = None
        for source, energy_j, measured_j, covered_us, measured_us in columns:
            if not covered_us[k]:
                continue
            drawn = _Drawn(source, device.kind, energy_j[k], measured_j[k], covered_us[k], measured_us[k])
            if len(jobs) > 1:
                weights = weights or weigh(piece)
                _add_shared(jobs, nobody, drawn, weights, rules, hour_at(hour_us))
            else:
                _add_whole(jobs or [nobody], drawn, rules, idle_w=rules.idle_w if jobs else math.inf)
    return [_row(device.pk, hour_us, job, gathered) for (hour_us, job), gathered in rows.items()]


def node_runs(nodes: Sequence[Sequence[Reading]], *, max_gap_us: int) -> Ints:
    """Stretches that the sensors of a host's whole node cover: start, end, start, end, …"""
    series = [reading.series for readings in nodes for reading in readings]
    judged = [one for readings in nodes for one in _judge(readings, max_gap_us=max_gap_us)]
    return covered_runs(series, judged)


def tolerances(book: Catalog, source: int | None, kind: str) -> tuple[Factor, Factor]:
    """How far a source's measured and its modelled readings of a kind of device may be off."""
    metered = source == DeviceSample.Source.METER
    return (
        lookup.reading_tolerance(book, metered=metered, kind=kind, measured=True),
        lookup.reading_tolerance(book, metered=metered, kind=kind, measured=False),
    )


def _judge(readings: Sequence[Reading], *, max_gap_us: int) -> list[Intervals]:
    """Sensors' series among themselves; what was told as spans is judged already."""
    sensors = iter(judge(_sensors(readings), max_gap_us=max_gap_us, reach_us=REACH_US))
    return [reading.told.between if reading.told else next(sensors) for reading in readings]


def _sensors(readings: Sequence[Reading]) -> list[PowerSeries]:
    return [reading.series for reading in readings if reading.told is None]


def _spoken(readings: Sequence[Reading]) -> Ints | None:
    """Who spoke when; None where sensors alone did, which is from the first to the last reading."""
    spans = [reading.told.spoken for reading in readings if reading.told]
    return merged([spoken_by_sensors(_sensors(readings)), *spans]) if spans else None


def _by_hour(pieces: Iterable[Segment]) -> Iterator[Segment]:
    for piece in pieces:
        start_us = piece.start_us
        while start_us < piece.end_us:
            end_us = min(piece.end_us, (start_us // US_PER_HOUR + 1) * US_PER_HOUR)
            yield Segment(start_us, end_us, piece.jobs)
            start_us = end_us


def _in_service_us(device: Device, piece: Segment, now_us: int) -> int:
    until_us = now_us if device.retired_at is None else min(now_us, to_us(device.retired_at))
    return max(0, min(piece.end_us, until_us) - max(piece.start_us, to_us(device.acquired_at)))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What one source saw of a device in one piece of time."""

    source: int
    kind: str
    energy_j: float
    measured_j: float
    covered_us: int
    measured_us: int

    def columns(self, book: Catalog) -> dict[str, float]:
        """The columns of a row that are shared alike. The mid is the plain energy; the bounds may not cross it."""
        sensor, model = tolerances(book, self.source, self.kind)
        modelled_j = max(self.energy_j - self.measured_j, 0.0)
        low_j = self.measured_j * sensor.value.low + modelled_j * model.value.low
        high_j = self.measured_j * sensor.value.high + modelled_j * model.value.high
        return {
            "low_j": min(self.energy_j, low_j),
            "mid_j": self.energy_j,
            "high_j": max(self.energy_j, high_j),
            "measured_j": self.measured_j,
        }


def _add_whole(row: Sequence[_Gathered], drawn: _Drawn, rules: Rules, *, idle_w: float | None) -> None:
    """All of it to the one row. An infinite idle draw: all of it is idle, since nobody held the device."""
    for column, amount in drawn.columns(rules.book).items():
        getattr(row[0], column).append(amount)
    covered_s = drawn.covered_us / US_PER_S
    row[0].covered_s.append(covered_s)
    row[0].idle_j.append(idle_part_j(drawn.energy_j, covered_s=covered_s, idle_w=idle_w or 0.0))
    _note_source(row, drawn)


def _add_shared(
    jobs: Sequence[_Gathered], nobody: _Gathered, drawn: _Drawn, weights: Weights, rules: Rules, hour: datetime
) -> None:
    """To several jobs: energy by use, the idle draw by policy, time equally."""
    covered_s = drawn.covered_us / US_PER_S
    idle_j = idle_part_j(drawn.energy_j, covered_s=covered_s, idle_w=rules.idle_w or 0.0)
    policy = rules.policy_at(hour) if idle_j else IdlePolicy.EQUAL
    shares = share_energy(drawn.energy_j, idle_j, weights.of_jobs, policy)
    rows, parts = [*jobs, nobody], [*shares.of_jobs, shares.kept]
    if not drawn.energy_j:
        rows, parts = list(jobs), [1.0] * len(jobs)
    for column, amount in drawn.columns(rules.book).items():
        for row, part in zip(rows, share(amount, parts), strict=True):
            getattr(row, column).append(part)
    for row, part in zip((*jobs, nobody), (*shares.idle_of_jobs, shares.kept), strict=True):
        row.idle_j.append(part)
    for job in jobs:
        job.shared_by.add(weights.shared_by)
    _share(jobs, "covered_s", covered_s)
    _note_source((*jobs, nobody) if shares.kept else jobs, drawn)


def _weights(
    series: Sequence[PowerSeries],
    judged: Sequence[Intervals],
    under_node_us: Ints,
    uses: Sequence[Use],
    idle_w: float,
    piece: Segment,
) -> Weights:
    """What each of the piece's jobs should get, from their uses and the energy above idle between them."""
    near = [use for use in uses if use.end_us > piece.start_us and use.start_us < piece.end_us]
    if not near:
        return Weights((1.0,) * len(piece.jobs), SharedBy.EQUAL)
    edges_us = cell_edges(piece.start_us, piece.end_us, near)
    cells = integrate_by_precedence(series, judged, edges_us, elsewhere=under_node_us).by_source
    idle_j = [np.minimum(idle_w * (part.covered_us / US_PER_S), part.energy_j) for part in cells]
    dynamic_j = sum((p.energy_j - i for p, i in zip(cells, idle_j, strict=True)), np.zeros(edges_us.size - 1))
    return use_weights(piece.jobs, near, edges_us, dynamic_j)


def _share(rows: Sequence[_Gathered], column: str, amount: float) -> None:
    parts = share(amount, [1.0] * len(rows)) if len(rows) > 1 else [amount]
    for row, part in zip(rows, parts, strict=True):
        getattr(row, column).append(part)


def _note_source(rows: Sequence[_Gathered], drawn: _Drawn) -> None:
    modelled = drawn.measured_us < drawn.covered_us
    for row in rows:
        row.covered_by[drawn.source] = row.covered_by.get(drawn.source, 0.0) + drawn.covered_us
        row.modelled = row.modelled or modelled


def _row(device_id: int, hour_us: int, job: int | None, of: _Gathered) -> EnergyRow:
    return EnergyRow(
        device_id=device_id,
        hour=hour_at(hour_us),
        job_id=job,
        device_energy_j=_range(math.fsum(of.low_j), math.fsum(of.mid_j), math.fsum(of.high_j)),
        measured_j=math.fsum(of.measured_j),
        covered_s=math.fsum(of.covered_s),
        missing_s=math.fsum(of.missing_s),
        held_s=math.fsum(of.held_s),
        status=Status.MODELLED if of.modelled else Status.MEASURED,
        source=min(of.covered_by, key=lambda s: (-of.covered_by[s], s), default=None),
        idle_j=math.fsum(of.idle_j),
        shared_by=" ".join(sorted(of.shared_by)),
    )


def _range(low: float, mid: float, high: float) -> Range:
    """Shares of equal amounts may part in their last bits."""
    return Range(min(low, mid), mid, max(mid, high))
