"""Samples and job marks -> one row per device, hour and job: energy before cooling, and the time it stands for."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.ledger.instants import hour_at, to_us
from accounting.ledger.load import REACH_US, Reading, Window
from accounting.methods.attribution import Hold, Segment, label_holds, segments, share_equally
from accounting.methods.energy import NO_RUNS, Intervals, Ints, covered_runs, integrate_by_precedence, judge
from accounting.methods.records import Factor, Range, Status
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
    covered_by: dict[int, float] = field(default_factory=dict)  # source -> seconds
    modelled: bool = False


def energy_rows(
    window: Window,
    device: Device,
    readings: Sequence[Reading],
    marks: Iterable[Hold],
    *,
    book: Catalog,
    max_gap_us: int,
    now_us: int,
    under_node_us: Ints = NO_RUNS,
) -> list[EnergyRow]:
    """Rows of one device for every hour of the window; each hour as it would come out of a window of its own.

    Args:
        under_node_us: stretches in which a sensor of the whole node counts the device's energy, as by `node_runs`.
    """
    series = [r.series for r in readings]
    judged = _judge(readings, max_gap_us=max_gap_us)
    labels = [h for r, j in zip(readings, judged, strict=True) for h in label_holds(r.series.at_us, r.job, j.covered)]
    pieces = list(_by_hour(segments(window.start_us, window.end_us, marks=marks, labels=labels)))
    edges_us = np.array([window.start_us, *(p.end_us for p in pieces)], dtype=np.int64)
    energy = integrate_by_precedence(series, judged, edges_us, elsewhere=under_node_us)

    rows: dict[tuple[int, int | None], _Gathered] = {}
    for k, piece in enumerate(pieces):
        hour_us = piece.start_us // US_PER_HOUR * US_PER_HOUR
        shared = [rows.setdefault((hour_us, job), _Gathered()) for job in piece.jobs or (None,)]
        nobody = rows.setdefault((hour_us, None), _Gathered())
        nobody.missing_s.append(int(energy.missing_us[k]) / US_PER_S)
        _share(shared, "held_s", _in_service_us(device, piece, now_us) / US_PER_S)
        for reading, part in zip(readings, energy.by_source, strict=True):
            if covered_us := int(part.covered_us[k]):
                _share(shared, "covered_s", covered_us / US_PER_S)
                _add_energy(shared, reading.source, device, book, float(part.energy_j[k]), float(part.measured_j[k]))
                _note_source(shared, reading.source, covered_us, modelled=bool(part.measured_us[k] < covered_us))
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
    return judge([reading.series for reading in readings], max_gap_us=max_gap_us, reach_us=REACH_US)


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


def _share(rows: Sequence[_Gathered], column: str, amount: float) -> None:
    for row, part in zip(rows, share_equally(amount, len(rows)), strict=True):
        getattr(row, column).append(part)


def _add_energy(
    rows: Sequence[_Gathered], source: int, device: Device, book: Catalog, energy_j: float, measured_j: float
) -> None:
    sensor, model = tolerances(book, source, device.kind)
    modelled_j = max(energy_j - measured_j, 0.0)
    # The mid is the plain energy; the bounds may not cross it by a rounding.
    low_j = min(energy_j, measured_j * sensor.value.low + modelled_j * model.value.low)
    high_j = max(energy_j, measured_j * sensor.value.high + modelled_j * model.value.high)
    for column, amount in (("low_j", low_j), ("mid_j", energy_j), ("high_j", high_j), ("measured_j", measured_j)):
        _share(rows, column, amount)


def _note_source(rows: Sequence[_Gathered], source: int, covered_us: int, *, modelled: bool) -> None:
    for row in rows:
        row.covered_by[source] = row.covered_by.get(source, 0.0) + covered_us
        row.modelled = row.modelled or modelled


def _row(device_id: int, hour_us: int, job: int | None, of: _Gathered) -> EnergyRow:
    return EnergyRow(
        device_id=device_id,
        hour=hour_at(hour_us),
        job_id=job,
        device_energy_j=Range(math.fsum(of.low_j), math.fsum(of.mid_j), math.fsum(of.high_j)),
        measured_j=math.fsum(of.measured_j),
        covered_s=math.fsum(of.covered_s),
        missing_s=math.fsum(of.missing_s),
        held_s=math.fsum(of.held_s),
        status=Status.MODELLED if of.modelled else Status.MEASURED,
        source=min(of.covered_by, key=lambda s: (-of.covered_by[s], s), default=None),
    )
