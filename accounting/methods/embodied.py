"""Carbon of making: a device's footprint, spread evenly over its service life, all of it by the end of that life."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from accounting.methods.records import Figure
from accounting.methods.units import G_PER_KG, S_PER_HOUR


@dataclass(frozen=True, slots=True)
class Life:
    """A device's stay here, in seconds on any one clock. `lifetime_s` counts from its making, wherever it served."""

    acquired_s: float
    lifetime_s: float
    served_before_s: float = 0.0
    retired_s: float | None = None

    @property
    def ends_s(self) -> float:
        """When its footprint is used up; never before it came."""
        return self.acquired_s + max(self.lifetime_s - self.served_before_s, 0.0)


def embodied_rate_g_per_h(embodied_kg: Figure, lifetime_h: Figure) -> Figure:
    """Grams per hour in service = kg x 1000 / lifetime (SCI specification, M = TE x TiR / EL).

    A longer life makes the rate smaller: footprint and lifetime are independent sources.

    Raises:
        ValueError: the shortest lifetime is not above zero.
    """
    if lifetime_h.range.low <= 0:
        raise ValueError(f"lifetime of {lifetime_h.range.low} h: give the hours a device serves, for example 35040")
    return embodied_kg.scaled(G_PER_KG, "g").over(lifetime_h, "g/h")


def embodied_g(rate_g_per_h: Figure, *, held_s: float) -> Figure:
    """Grams for the time a job, or nobody, held the device while it was in service."""
    return rate_g_per_h.scaled(held_s / S_PER_HOUR, "g")


def accruing_share(life: Life, *, start_s: float, end_s: float) -> float:
    """Part of the time in service within [start, end) for which the footprint was not yet used up, 0..1."""
    until_s = end_s if life.retired_s is None else min(end_s, life.retired_s)
    since_s = max(start_s, life.acquired_s)
    if until_s <= since_s:
        return 0.0
    return max(0.0, min(until_s, life.ends_s) - since_s) / (until_s - since_s)


def accrued_share(life: Life, *, at_s: float) -> float:
    """Part of the whole footprint that accrued here until a moment, 0..1."""
    until_s = min(at_s, life.ends_s, at_s if life.retired_s is None else life.retired_s)
    return max(0.0, until_s - life.acquired_s) / life.lifetime_s


def remaining_share(life: Life, *, at_s: float) -> float:
    """Part of the whole footprint that neither an earlier owner nor we have accounted for at a moment, 0..1."""
    before = min(life.served_before_s / life.lifetime_s, 1.0)
    return max(0.0, 1.0 - before - accrued_share(life, at_s=at_s))


def written_off_g(embodied_kg: Figure, life: Life) -> Figure:
    """Grams left at retirement, all due in that hour: a device scrapped early emitted as much in the making.

    Raises:
        ValueError: it is not retired.
    """
    if life.retired_s is None:
        raise ValueError("a device in service has nothing to write off: give the time of its retirement")
    return embodied_kg.scaled(G_PER_KG * remaining_share(life, at_s=life.retired_s), "g")


def held_by_use(held_s: float, *, utilization: float) -> tuple[float, float]:
    """(of the job, of nobody): a job answers for the time it held a device x the share of it that it used.

    Raises:
        ValueError: a utilization outside 0..1.
    """
    if not 0 <= utilization <= 1:
        raise ValueError(f"utilization {utilization}: a ratio from 0 to 1")
    used_s = held_s * utilization
    return used_s, held_s - used_s


def mean_utilization(
    at_us: Sequence[int], utilization: Sequence[float], *, start_us: int, end_us: int, max_gap_us: int
) -> float | None:
    """How busy a device was in [start, end), 0..1, over the time its readings speak for; None where none does.

    A reading speaks for the time since the one before, as drivers report it, unless that is longer than the gap limit.

    Args:
        at_us: rising times of the readings, from one before the start to one after the end where there are any.
    """
    busy_us, told_us = 0.0, 0
    for (before, _), (at, use) in pairwise(zip(at_us, utilization, strict=True)):
        within_us = min(at, end_us) - max(before, start_us)
        if within_us > 0 and at - before <= max_gap_us:
            busy_us += within_us * use
            told_us += within_us
    return busy_us / told_us if told_us else None
