"""Energy from power and from counters: the one place where watts become joules.

Between two neighbouring readings power is taken as linear (trapezoid rule), so energy up to an edge inside an interval
is a quadratic interpolation. A counter that rose within one epoch is preferred: it is exact over a gap of any length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from accounting.methods.units import US_PER_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_Number = TypeVar("_Number", np.float64, np.int64)
NO_RUNS: Ints = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class PowerSeries:
    """Readings of one device by one source, in strictly rising time. Nan: that reading has no such value."""

    at_us: Ints
    power_w: Floats
    energy_j: Floats  # a counter; compared only within one `epoch`
    epoch: Ints
    measured: Bools  # False: modelled on the host, for want of a sensor


@dataclass(frozen=True, slots=True)
class Intervals:
    """What lies between neighbouring readings i and i + 1: one element fewer than readings."""

    energy_j: Floats  # zero where not covered
    covered: Bools
    by_counter: Bools  # the counter's difference, spread evenly; else the trapezoid
    measured: Bools  # both ends are


@dataclass(frozen=True, slots=True)
class BinnedEnergy:
    """Energy of one source in consecutive bins. Times are whole microseconds, so that they add up exactly."""

    energy_j: Floats  # over `covered_us` only
    measured_j: Floats  # the part of it that a meter saw
    covered_us: Ints
    measured_us: Ints  # the part of it that a meter saw
    missing_us: Ints  # between readings, but not covered; never filled


@dataclass(frozen=True, slots=True)
class PrecedenceEnergy:
    """Energy of several sources in consecutive bins, no instant counted twice."""

    by_source: tuple[BinnedEnergy, ...]  # best first; what each contributes
    missing_us: Ints  # from the first to the last reading of any source, where none covers


def intervals(series: PowerSeries, *, max_gap_us: int) -> Intervals:
    """Judge every interval between neighbours: counter, else power, else missing.

    Raises:
        ValueError: two readings are out of order or share a time.
    """
    step_us = np.diff(series.at_us)
    if step_us.size and int(step_us.min()) <= 0:
        late = int(series.at_us[1:][step_us <= 0][0])
        raise ValueError(f"reading at {late} us does not come after the one before it: sort them, one a moment")
    rise_j = np.diff(series.energy_j)
    by_counter = (rise_j >= 0) & (series.epoch[1:] == series.epoch[:-1])  # nan >= 0 is False
    trapezoid_j = (series.power_w[1:] + series.power_w[:-1]) * (step_us / (2.0 * US_PER_S))
    by_power = ~by_counter & (step_us <= max_gap_us) & ~np.isnan(trapezoid_j)
    return Intervals(
        energy_j=np.where(by_counter, rise_j, np.where(by_power, trapezoid_j, 0.0)),
        covered=by_counter | by_power,
        by_counter=by_counter,
        measured=series.measured[1:] & series.measured[:-1],
    )


def integrate(series: PowerSeries, edges_us: Ints, *, max_gap_us: int) -> BinnedEnergy:
    """Integrate one source's readings over the bins between rising `edges_us`.

    A bin's result depends on the readings in it and their nearest neighbours outside only, to the last bit. Time before
    the first and after the last reading is neither covered nor missing.

    Raises:
        ValueError: readings out of order.
    """
    return _integrate(series, intervals(series, max_gap_us=max_gap_us), edges_us)


def judge(series: Sequence[PowerSeries], *, max_gap_us: int, reach_us: int) -> list[Intervals]:
    """The intervals of several sources of one device.

    A source whose neighbouring readings are further apart than `reach_us` counts there only if no other source spoke
    in between (a meter read once a day does not flatten what an agent saw every second).

    Raises:
        ValueError: readings out of order.
    """
    return [_within_reach(series, k, max_gap_us, reach_us) for k in range(len(series))]


def covered_runs(series: Sequence[PowerSeries], judged: Sequence[Intervals]) -> Ints:
    """Bounds of the stretches that any of the sources covers: start, end, start, end, …; rising, disjoint."""
    runs = NO_RUNS
    for one, between in zip(series, judged, strict=True):
        runs = _merged(runs, _covered_runs(one, between))
    return runs


def integrate_by_precedence(
    series: Sequence[PowerSeries],
    judged: Sequence[Intervals],
    edges_us: Ints,
    *,
    elsewhere: Ints = NO_RUNS,
    spoken: Ints | None = None,
) -> PrecedenceEnergy:
    """Integrate several sources, best first: a lower one counts only where no better one covers.

    Args:
        elsewhere: stretches counted under another device, as by `covered_runs`: in them nothing counts or is missing.
        spoken: stretches that someone spoke of, all that is covered among them: what is not covered there is missing.
            None: all between the first and the last reading.
    """
    taken = elsewhere
    parts: list[BinnedEnergy] = []
    for one, between in zip(series, judged, strict=True):
        parts.append(_outside(one, between, edges_us, taken))
        taken = _merged(taken, _covered_runs(one, between))
    covered_us = np.sum([p.covered_us for p in parts], axis=0, dtype=np.int64) if parts else 0
    if spoken is None:
        bounds_us = _spoken_bounds(series, edges_us)
        counted_elsewhere_us: Ints = np.diff(_length_below(elsewhere, bounds_us))
        spoken_us: Ints = np.diff(bounds_us)
    else:
        counted_elsewhere_us = np.diff(_length_below(_common(elsewhere, spoken), edges_us))
        spoken_us = np.diff(_length_below(spoken, edges_us))
    return PrecedenceEnergy(tuple(parts), spoken_us - covered_us - counted_elsewhere_us)


def _integrate(series: PowerSeries, between: Intervals, edges_us: Ints) -> BinnedEnergy:
    at, start, end = series.at_us, edges_us[:-1], edges_us[1:]
    if at.size < 2:
        none_j, none_us = np.zeros(start.size), np.zeros(start.size, dtype=np.int64)
        return BinnedEnergy(none_j, none_j, none_us, none_us, none_us)
    first = np.searchsorted(at, start, side="left")  # first reading in the bin
    last = np.searchsorted(at, end, side="right") - 1  # last reading in the bin
    # Head: the piece of the interval that runs into the bin. Tail: of the one that runs out of it.
    head_from, head_to = start, np.minimum(end, at[np.minimum(first, at.size - 1)])
    has_head = (first > 0) & (first < at.size) & (head_from < head_to)
    tail_from = at[np.maximum(last, 0)]
    has_tail = (last >= 0) & (last < at.size - 1) & (tail_from >= start) & (tail_from < end)
    head = _pieces(series, between, np.where(has_head, first - 1, 0), head_from, np.where(has_head, head_to, head_from))
    tail = _pieces(series, between, np.where(has_tail, last, 0), tail_from, np.where(has_tail, end, tail_from))
    whole: tuple[NDArray[Any], ...] = _whole_intervals(np.diff(at), between, first, last)
    return BinnedEnergy(*(w + (h + t) for w, h, t in zip(whole, head, tail, strict=True)))


def _whole_intervals(
    step_us: Ints, between: Intervals, first: NDArray[np.intp], last: NDArray[np.intp]
) -> tuple[Floats, Floats, Ints, Ints, Ints]:
    """The columns of BinnedEnergy for the intervals first:last of each bin. What is alike is summed once."""
    all_covered, all_measured = bool(between.covered.all()), bool(between.measured.all())
    energy_j = _sum_slices(between.energy_j, first, last)
    spoken_us = _sum_slices(step_us, first, last)
    covered_step_us = step_us if all_covered else np.where(between.covered, step_us, 0)
    covered_us = spoken_us if all_covered else _sum_slices(covered_step_us, first, last)
    if all_measured:
        return energy_j, energy_j, covered_us, covered_us, spoken_us - covered_us
    measured_j = _sum_slices(np.where(between.measured, between.energy_j, 0.0), first, last)
    measured_us = _sum_slices(np.where(between.measured, covered_step_us, 0), first, last)
    return energy_j, measured_j, covered_us, measured_us, spoken_us - covered_us


def _pieces(
    series: PowerSeries, between: Intervals, i: NDArray[np.intp], from_us: Ints, to_us: Ints
) -> tuple[Floats, Floats, Ints, Ints, Ints]:
    """The columns of BinnedEnergy for [from_us, to_us) within interval i, elementwise."""
    length_us = to_us - from_us
    begin_us = series.at_us[i]
    step_us = series.at_us[i + 1] - begin_us
    slope = (series.power_w[i + 1] - series.power_w[i]) / step_us
    middle_us = (from_us - begin_us) + length_us / 2
    linear_j = np.maximum(series.power_w[i] + slope * middle_us, 0.0) * (length_us / US_PER_S)
    even_j = between.energy_j[i] * (length_us / step_us)
    counts = between.covered[i] & (length_us > 0)
    energy_j = np.where(counts, np.where(between.by_counter[i], even_j, linear_j), 0.0)
    covered_us = np.where(counts, length_us, 0)
    seen = between.measured[i]
    return (
        energy_j,
        np.where(seen, energy_j, 0.0),
        covered_us,
        np.where(seen, covered_us, 0),
        length_us - covered_us,
    )


def _sum_slices(values: NDArray[_Number], first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[_Number]:
    """Sum values[first:last] for each pair; the sum of a slice does not depend on what lies around it."""
    nothing = values.dtype.type(0)
    first = np.minimum(first, values.size)
    bounds = np.column_stack((first, np.maximum(first, last))).ravel()
    sums = np.add.reduceat(np.append(values, nothing), bounds)[::2]
    return np.where(last > first, sums, nothing)


def _within_reach(series: Sequence[PowerSeries], k: int, max_gap_us: int, reach_us: int) -> Intervals:
    between = intervals(series[k], max_gap_us=max_gap_us)
    at = series[k].at_us
    far = np.flatnonzero(between.covered & (np.diff(at) > reach_us))
    others = [other.at_us for j, other in enumerate(series) if j != k]
    for other_at in others if far.size else ():
        spoke = np.searchsorted(other_at, at[far + 1], "left") > np.searchsorted(other_at, at[far], "right")
        between.covered[far[spoke]] = False
        between.energy_j[far[spoke]] = 0.0
    return between


def _outside(series: PowerSeries, between: Intervals, edges_us: Ints, taken: Ints) -> BinnedEnergy:
    """Integrate where nothing of `taken` lies, by cutting the bins at its bounds."""
    if not taken.size:
        return _integrate(series, between, edges_us)
    inside = taken[(taken > edges_us[0]) & (taken < edges_us[-1])]
    cuts = np.union1d(edges_us, inside)
    fine = _integrate(series, between, cuts)
    free = np.searchsorted(taken, cuts[:-1], side="right") % 2 == 0
    bins = np.searchsorted(cuts, edges_us[:-1])
    return BinnedEnergy(
        np.add.reduceat(np.where(free, fine.energy_j, 0.0), bins),
        np.add.reduceat(np.where(free, fine.measured_j, 0.0), bins),
        np.add.reduceat(np.where(free, fine.covered_us, 0), bins),
        np.add.reduceat(np.where(free, fine.measured_us, 0), bins),
        np.add.reduceat(np.where(free, fine.missing_us, 0), bins),
    )


def _covered_runs(series: PowerSeries, between: Intervals) -> Ints:
    """Bounds of the stretches of covered time: start, end, start, end, …"""
    turns = np.diff(between.covered.astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(turns == 1), np.flatnonzero(turns == -1)
    return series.at_us[np.column_stack((starts, ends)).ravel()]


def _merged(one: Ints, other: Ints) -> Ints:
    """Union of two sets of stretches, each as rising bounds."""
    if not one.size or not other.size:
        return one if one.size else other
    stretches = np.concatenate((one, other)).reshape(-1, 2)
    stretches = stretches[np.argsort(stretches[:, 0], kind="stable")]
    reached = np.maximum.accumulate(stretches[:, 1])
    opens = np.append(True, stretches[1:, 0] > reached[:-1])
    closes = np.append(opens[1:], True)
    return np.column_stack((stretches[opens, 0], reached[closes])).ravel()


def merged(runs: Sequence[Ints]) -> Ints:
    """Union of sets of stretches, each as rising bounds."""
    union = NO_RUNS
    for one in runs:
        union = _merged(union, one)
    return union


def _common(one: Ints, other: Ints) -> Ints:
    """Where both sets of stretches lie; pieces may touch."""
    if not one.size or not other.size:
        return NO_RUNS
    cuts = np.union1d(one, other)
    inside = [np.searchsorted(runs, cuts[:-1], side="right") % 2 == 1 for runs in (one, other)]
    both = inside[0] & inside[1]
    return np.column_stack((cuts[:-1][both], cuts[1:][both])).ravel()


def _spoken_bounds(series: Sequence[PowerSeries], edges_us: Ints) -> Ints:
    """The edges, drawn in to the time between the first and the last reading of any source."""
    spoken = [one.at_us for one in series if one.at_us.size]
    if not spoken:
        return np.zeros(edges_us.size, dtype=np.int64)
    return np.clip(edges_us, min(int(at[0]) for at in spoken), max(int(at[-1]) for at in spoken))


def _length_below(runs: Ints, at_us: Ints) -> Ints:
    """How much of the runs lies before each instant."""
    if not runs.size:
        return np.zeros(at_us.size, dtype=np.int64)
    starts, ends = runs[::2], runs[1::2]
    before: Ints = np.append(0, np.cumsum(ends - starts)).astype(np.int64)
    begun = np.searchsorted(starts, at_us, side="right")
    length_us: Ints = before[begun] - np.where(begun > 0, np.maximum(ends[begun - 1] - at_us, 0), 0)
    return length_us
