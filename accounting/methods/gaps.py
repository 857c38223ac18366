"""What may have been drawn in the holes: an estimate beside the sums, never in them.

A hole is time between readings that nothing covers. The mean power of the time around it, over the hole's length, is a
plausible figure; from idle to the highest draw on either side is where the true one should lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from accounting.methods.records import Range
from accounting.methods.units import J_PER_KWH

METHOD = "neighbouring mean power"


@dataclass(frozen=True, slots=True)
class Hole:
    """Time of one device that nothing covers, and how it drew around it. Watts before PUE."""

    missing_s: float
    mean_w: float  # of the covered time around it
    highest_w: float  # of either side
    idle_w: float | None = None  # None: not known; then down to nought


@dataclass(frozen=True, slots=True)
class GapEstimate:
    """IT energy that may lie in the holes. Not part of any total."""

    gap_estimate_kwh: Range
    missing_s: float
    method: str = METHOD


def estimate_gaps(holes: Sequence[Hole]) -> GapEstimate | None:
    """The holes' energy together; their errors may all go one way, so lows and highs add up. None: no hole.

    Raises:
        ValueError: a negative time or power, or a highest draw below the mean.
    """
    told = [hole for hole in holes if hole.missing_s]
    if not told:
        return None
    ranges = [_energy_kwh(hole) for hole in told]
    return GapEstimate(
        Range(sum(r.low for r in ranges), sum(r.mid for r in ranges), sum(r.high for r in ranges)),
        sum(hole.missing_s for hole in told),
    )


def _energy_kwh(hole: Hole) -> Range:
    idle_w = 0.0 if hole.idle_w is None else hole.idle_w
    if min(hole.missing_s, hole.mean_w, idle_w) < 0 or hole.highest_w < hole.mean_w:
        raise ValueError(f"not a hole between readings: {hole}")
    watts = Range(min(idle_w, hole.mean_w), hole.mean_w, hole.highest_w)
    return watts.scaled(hole.missing_s / J_PER_KWH)
