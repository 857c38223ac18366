"""How jobs that hold a device at once share what it draws: by use above idle, by policy for the idle draw.

MIG slices and processes have no meter of their own. What a device draws above idle is shared by utilization times
slice (as Kepler does by engine activity); its idle draw is a line of its own, on the row without a job, or is spread.
The idle draw is a factor, never more than was drawn. Shares always add up to the whole, to the last bit.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from accounting.methods.attribution import Hold
from accounting.methods.energy import Bools, Floats, Ints


class IdlePolicy(StrEnum):
    """Who answers for the idle draw of a device that several jobs share."""

    KEPT = "kept"  # nobody: it stays on the row without a job
    EQUAL = "equal"  # each of them, alike
    BY_USE = "by_use"  # each of them, as it uses the device


class SharedBy(StrEnum):
    """How jobs that shared a device were told apart; stored with every figure that it moved."""

    USE = "use"  # the utilization of each, over its slice where there are slices
    SLICE = "slice"  # the slices alone: their use was not told
    EQUAL = "equal"  # nothing was told of one of them: equal shares


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a device a job used during (start_us, end_us]."""

    job: int
    start_us: int
    end_us: int
    utilization: float | None  # 0..1 of the slice, or of the device; None: not told
    slice_fraction: float | None = None  # of the device, where it is split (MIG)


@dataclass(frozen=True, slots=True)
class Weights:
    """What jobs get of a shared device, by `share`."""

    of_jobs: tuple[float, ...]
    shared_by: SharedBy


@dataclass(frozen=True, slots=True)
class Shares:
    """One device's energy among the jobs that shared it, and beside them. All add up to the device's, by fsum."""

    of_jobs: tuple[float, ...]  # J
    idle_of_jobs: tuple[float, ...]  # the part of each that is idle draw
    kept: float  # idle draw that no job answers for


def share(amount: float, weights: Sequence[float]) -> list[float]:
    """Split in proportion; where all weights are nought, equally. The shares' sum is the amount, to the last bit.

    Every share is a whole number of the amount's last bits, so they add up exactly, in any order. What rounding leaves
    over goes to the largest, so that none falls below nought.

    Raises:
        ValueError: nobody to share among, or a weight below nought or not finite.
    """
    if not weights or not all(0 <= weight < math.inf for weight in weights):
        raise ValueError(f"cannot share by {list(weights)}: weights are finite, none below nought, and at least one")
    whole = math.fsum(weights)
    bit = math.ulp(amount)
    shares = [weight / whole for weight in weights] if whole else [1 / len(weights)] * len(weights)
    parts = [round(amount * part / bit) * bit for part in shares]
    largest = max(range(len(parts)), key=shares.__getitem__)
    parts[largest] = amount - math.fsum(parts[:largest] + parts[largest + 1 :])
    return parts


def idle_part_j(energy_j: float, *, covered_s: float, idle_w: float) -> float:
    """The part of what a device drew that it would have drawn doing nothing; never more than it drew."""
    return min(idle_w * covered_s, energy_j)


def share_energy(energy_j: float, idle_j: float, weights: Sequence[float], policy: IdlePolicy) -> Shares:
    """Split a shared device's energy: what lies above idle by weight, the idle draw by policy.

    Raises:
        ValueError: more idle draw than energy, or weights that `share` refuses.
    """
    if not 0 <= idle_j <= energy_j:
        raise ValueError(f"idle draw of {idle_j} J of {energy_j} J: it is a part of the energy")
    dynamic = share(energy_j - idle_j, weights)
    spread_j = 0.0 if policy is IdlePolicy.KEPT else idle_j
    idle = share(spread_j, weights if policy is IdlePolicy.BY_USE else [1.0] * len(weights))
    wanted = [*(above + below for above, below in zip(dynamic, idle, strict=True)), idle_j - spread_j]
    *of_jobs, kept = share(energy_j, wanted) if energy_j else wanted
    return Shares(tuple(of_jobs), tuple(map(min, idle, of_jobs)), kept)


def use_weights(jobs: Sequence[int], uses: Sequence[Use], edges_us: Ints, dynamic_j: Floats) -> Weights:
    """What each job should get of the energy above idle, cell by cell between the edges.

    In a cell the weight of a job is its utilization times its slice of the device. Where one job's utilization is not
    told, slices alone decide if every job has one; else the cell is shared equally, and the label says so.

    Args:
        edges_us: cells so fine that each use covers whole ones; `cell_edges` gives them.
        dynamic_j: energy above idle in each cell; where there is none at all, cells count by their length.
    """
    use, slices = _by_cell(jobs, uses, (edges_us[:-1] + edges_us[1:]) / 2)
    told: Bools = np.all(~np.isnan(use), axis=0)
    sliced: Bools = np.all(~np.isnan(slices), axis=0)
    weights = np.where(told, use, np.where(sliced, slices, 1.0))
    sums = weights.sum(axis=0)
    weights = np.where(sums > 0, weights / np.where(sums > 0, sums, 1.0), 1.0 / len(jobs))
    size = dynamic_j if dynamic_j.any() else np.diff(edges_us).astype(np.float64)
    counts = size > 0
    if told[counts].all():
        shared_by = SharedBy.USE
    else:
        shared_by = SharedBy.SLICE if (told | sliced)[counts].all() else SharedBy.EQUAL
    return Weights(tuple((weights * size).sum(axis=1).tolist()), shared_by)


def _by_cell(jobs: Sequence[int], uses: Sequence[Use], middles_us: Floats) -> tuple[Floats, Floats]:
    """(jobs, cells): utilization times slice, and slice, of each job in each cell; nan where not told.

    A job with several slices has the sum of them, and no utilization if that of one was not told.
    """
    use, slices = (np.full((len(jobs), middles_us.size), np.nan) for _ in range(2))
    for one in uses:
        if one.job not in jobs:
            continue
        row = jobs.index(one.job)
        cells = (middles_us > one.start_us) & (middles_us < one.end_us)
        first = cells & np.isnan(slices[row]) & np.isnan(use[row])
        used = np.nan if one.utilization is None else one.utilization * (one.slice_fraction or 1.0)
        size = one.slice_fraction or np.nan
        use[row, cells] = np.where(first[cells], used, use[row, cells] + used)
        slices[row, cells] = np.where(first[cells], size, slices[row, cells] + size)
    return use, slices


def uses_of_readings(
    at_us: Sequence[int],
    jobs: Sequence[int],
    utilizations: Sequence[float | None],
    slices: Sequence[tuple[str, float | None]],
    *,
    reach_us: int,
) -> list[Use]:
    """Readings of one device in rising time -> the stretches they speak for.

    A reading speaks for the time since the same job and slice was read before, else since anything of the device was;
    at most `reach_us` back, and for nothing where nobody spoke in that time.

    Args:
        slices: (name, fraction of the device) of each; an empty name is the whole device.
    """
    uses: list[Use] = []
    last_of: dict[tuple[int, str], int] = {}
    last_us, before_us = None, None  # the device's newest moment, and the one before it
    for at, job, utilization, (name, fraction) in zip(at_us, jobs, utilizations, slices, strict=True):
        if last_us is None or at > last_us:
            last_us, before_us = at, last_us
        own_us = last_of.get((job, name))
        since_us = own_us if own_us is not None and at - own_us <= reach_us else before_us
        if since_us is not None and 0 < at - since_us <= reach_us:
            uses.append(Use(job, since_us, at, utilization, fraction))
        last_of[job, name] = at
    return uses


def cell_edges(start_us: int, end_us: int, uses: Iterable[Use]) -> Ints:
    """[start_us, end_us) cut wherever a use begins or ends."""
    inside = {at for use in uses for at in (use.start_us, use.end_us) if start_us < at < end_us}
    return np.array([start_us, *sorted(inside), end_us], dtype=np.int64)


def holds_of_uses(uses: Iterable[Use]) -> list[Hold]:
    """A job that was seen using a device held it."""
    return [Hold(use.job, use.start_us, use.end_us) for use in uses]


def parent_power_w(slice_rows_w: Sequence[float], *, tolerance: float) -> float:
    """The draw of a board whose slices each repeat it: one of them, never their sum.

    Args:
        tolerance: how far the rows of one moment may differ, as a share of the highest.

    Raises:
        ValueError: no rows, or rows that differ too much to be one board's.
    """
    if not slice_rows_w or min(slice_rows_w) < max(slice_rows_w) * (1 - tolerance):
        raise ValueError(f"slices of one board do not show {list(slice_rows_w)} W: they all repeat what it draws")
    return max(slice_rows_w)
