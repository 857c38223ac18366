"""What a Slurm job drew, once: its row and its steps tell of the same energy. Pure.

Where Slurm contains jobs (PrologFlags=Contain) a job's figure is that of its extern step, which spans all of it on all
its nodes; elsewhere Slurm adds up every step (src/slurmctld/step_mgr.c, `_internal_step_complete`; the job's row reads
it out of its AllocTRES, src/sacct/print.c). Steps that ran at once on a node each tell of the whole node.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from accounting.ingest.formats.slurm_table import JobRows, Row
from accounting.ingest.formats.slurm_values import elapsed_s, energy_j, is_rounded, tres


@dataclass(frozen=True, slots=True)
class Drawn:
    """`energy_j` is None where nothing was measured."""

    energy_j: float | None
    rounded: bool = False  # told with a suffix, to two decimals of it
    of_steps: bool = False  # the job's row told none
    overlapping: bool = False  # Slurm's own sum holds steps that ran at once


def drawn(job: JobRows) -> Drawn:
    """The job's own figure, else that of its extern step, else of steps that did not run at once.

    Raises:
        NotReadable: an energy is no number.
    """
    own, rounded = _told(job.row)
    steps = [(step, *_told(step)) for step in job.steps]
    if own is not None:
        told = [energy for _, energy, _ in steps if energy is not None]
        plain = len(told) > 1 and abs(sum(told) - own) <= 1e-6 * own  # Slurm added them up
        return Drawn(own, rounded, overlapping=plain and _at_once([row for row, energy, _ in steps if energy]))
    measured = [(row, energy, short) for row, energy, short in steps if energy is not None]
    extern = [one for one in measured if _step(one[0]) == "extern"]
    kept = extern[:1] or _apart(measured)
    if not kept:
        return Drawn(None)
    return Drawn(sum(energy for _, energy, _ in kept), any(short for _, _, short in kept), of_steps=True)


def _told(row: Row) -> tuple[float | None, bool]:
    """Joules, and whether they are rounded. The exact column first."""
    for text in (row["consumedenergyraw"], row["consumedenergy"], *_in_tres(row)):
        joules = energy_j(text)
        if joules is not None:
            return joules, is_rounded(text)
    return None, False


def _in_tres(row: Row) -> list[str]:
    return [tres(row[column]).get("energy", "") for column in ("alloctres", "tresusageintot")]


def _step(row: Row) -> str:
    return (row["jobid"] or row["jobidraw"]).partition(".")[2]


def _apart(measured: Sequence[tuple[Row, float, bool]]) -> list[tuple[Row, float, bool]]:
    """Steps that share no time with each other, the one that drew most first."""
    kept: list[tuple[Row, float, bool]] = []
    for one in sorted(measured, key=lambda one: (-one[1], one[0].line)):
        if not _at_once([one[0], *(other[0] for other in kept)], only_first=True):
            kept.append(one)
    return kept


def _at_once(rows: Sequence[Row], *, only_first: bool = False) -> bool:
    """Whether two of them ran at the same time. Where a row tells no times, they may have."""
    times = [(row["start"], row["end"]) for row in rows]
    firsts = range(1) if only_first else range(len(rows))
    return any(
        j != k and (not all((*times[j], *times[k])) or (times[j][0] < times[k][1] and times[k][0] < times[j][1]))
        for j in firsts
        for k in range(len(rows))
        if (elapsed_s(rows[j]["elapsed"]) or 1) and (elapsed_s(rows[k]["elapsed"]) or 1)
    )
