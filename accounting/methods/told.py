"""Energy that a tool told for stretches of time, as a series beside the readings of sensors.

A tracker or a scheduler adds up by itself and says "so much from here to there". Within such a span the energy counts
as even, as between two readings of a counter. Between a tool's spans nothing is known and nothing is missing: it did
not run. Where it ran and its figure got lost, a span without energy says so, and that time is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accounting.methods.energy import Bools, Floats, Intervals, Ints, PowerSeries


@dataclass(frozen=True, slots=True)
class Spans:
    """One poster's spans of one device, rising and disjoint; they may touch."""

    started_us: Ints
    ended_us: Ints
    energy_j: Floats  # nan: not known
    measured: Bools
    job: Ints


@dataclass(frozen=True, slots=True)
class Told:
    """Spans as the integration takes them."""

    series: PowerSeries  # its readings are the ends of the spans; power and counter are nan
    between: Intervals
    job: Ints  # of each reading: whose the interval was that ends there
    spoken: Ints  # stretches that were told of, with energy or without: start, end, start, end, …


def told(spans: Spans, *, no_job: int) -> Told:
    """Spans as a series whose intervals are judged already.

    Raises:
        ValueError: two spans share time, or one takes none.
    """
    _refuse_overlap(spans)
    at_us: Ints = np.union1d(spans.started_us, spans.ended_us)
    begins = np.searchsorted(at_us, spans.started_us)
    energy_j, covered, measured = (
        np.zeros(at_us.size - 1),
        np.zeros(at_us.size - 1, bool),
        np.zeros(at_us.size - 1, bool),
    )
    known = ~np.isnan(spans.energy_j)
    energy_j[begins[known]] = spans.energy_j[known]
    covered[begins] = known
    measured[begins] = spans.measured
    job = np.full(at_us.size, no_job, dtype=np.int64)
    job[begins + 1] = spans.job
    nothing = np.full(at_us.size, np.nan)
    series = PowerSeries(at_us, nothing, nothing, np.zeros(at_us.size, dtype=np.int64), np.ones(at_us.size, dtype=bool))
    spoken: Ints = np.column_stack((spans.started_us, spans.ended_us)).ravel()
    return Told(series, Intervals(energy_j, covered, covered, measured), job, spoken)


def spoken_by_sensors(series: Sequence[PowerSeries]) -> Ints:
    """From the first to the last reading of any: what sensors do not cover there is missing."""
    read = [one.at_us for one in series if one.at_us.size]
    if not read:
        return np.empty(0, dtype=np.int64)
    first, last = min(int(at[0]) for at in read), max(int(at[-1]) for at in read)
    return np.array([first, last] if last > first else [], dtype=np.int64)


def _refuse_overlap(spans: Spans) -> None:
    if bool((spans.ended_us <= spans.started_us).any()):
        raise ValueError("a span takes no time: leave it out")
    if bool((spans.started_us[1:] < spans.ended_us[:-1]).any()):
        late = int(spans.started_us[1:][spans.started_us[1:] < spans.ended_us[:-1]][0])
        raise ValueError(f"the span from {late} us begins before the one before it ended: one poster's do not overlap")
