"""Ranks of one job that each report the whole node: found out, and counted once.

`srun --ntasks-per-node=4` starts four trackers on a node, and each of them measures all of it: the job's total comes
out four times the truth (mlco2/codecarbon pull request 1390). Reports are taken for repeats where they are of one job
on one node over the same time, draw alike, and each is of a whole node: it says so, or draws what only a node draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from accounting.methods.units import US_PER_S


@dataclass(frozen=True, slots=True)
class Report:
    """What one poster says that a job drew on a node during [start_us, end_us). IT energy, before PUE."""

    id: str
    job: str
    node: str
    start_us: int
    end_us: int
    energy_j: float
    rank: int | None = None  # None: not told
    of_whole_node: bool | None = None  # as the poster says; None: it does not

    @property
    def mean_w(self) -> float:
        return self.energy_j / ((self.end_us - self.start_us) / US_PER_S)


@dataclass(frozen=True, slots=True)
class Repeats:
    """One report that counts, and those that say the same again."""

    counted: Report
    left_out: tuple[Report, ...]  # never empty
    why: str


def repeated_reports(
    reports: Sequence[Report], *, tolerance: float, least_node_w: float | None = None
) -> list[Repeats]:
    """Which reports repeat another. The longest of a group counts, then the earliest, the lowest rank, the first id.

    Args:
        tolerance: how far the mean draws may differ, as a share of the larger.
        least_node_w: what a whole node draws at least; None: only what the posters say of themselves.

    Raises:
        ValueError: a report that lasts no time, or draws less than nothing.
    """
    for one in reports:
        if one.end_us <= one.start_us or one.energy_j < 0:
            raise ValueError(
                f"report {one.id} of {one.energy_j} J from {one.start_us} to {one.end_us} us: leave it out"
            )
    waiting = sorted(reports, key=lambda r: (r.start_us - r.end_us, r.start_us, r.rank or 0, r.id))
    found = []
    while waiting:
        first, *rest = waiting
        same = [other for other in rest if _repeats(first, other, tolerance, least_node_w)]
        if same:
            found.append(Repeats(first, tuple(same), _why(first, same)))
        waiting = [other for other in rest if other not in same]
    return found


def overlap(one: Report, other: Report) -> float:
    """Common time, as a share of the shorter report."""
    common_us = min(one.end_us, other.end_us) - max(one.start_us, other.start_us)
    return max(common_us, 0) / min(one.end_us - one.start_us, other.end_us - other.start_us)


def _repeats(one: Report, other: Report, tolerance: float, least_node_w: float | None) -> bool:
    if (one.job, one.node) != (other.job, other.node) or (one.rank is not None and one.rank == other.rank):
        return False
    larger_w = max(one.mean_w, other.mean_w)
    alike = abs(one.mean_w - other.mean_w) <= tolerance * larger_w and larger_w > 0
    most_of_the_time = overlap(one, other) > 1 / 2
    return alike and most_of_the_time and all(_of_whole_node(report, least_node_w) for report in (one, other))


def _of_whole_node(report: Report, least_node_w: float | None) -> bool:
    if report.of_whole_node is not None:
        return report.of_whole_node
    return least_node_w is not None and report.mean_w >= least_node_w


def _why(counted: Report, left_out: Sequence[Report]) -> str:
    draws = ", ".join(f"{report.mean_w:.0f}" for report in (counted, *left_out))
    return (
        f"{1 + len(left_out)} posters of job {counted.job} report the whole node {counted.node} over the same time "
        f"({draws} W): {counted.id} counts, the others repeat it"
    )
