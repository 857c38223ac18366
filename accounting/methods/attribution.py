"""Whose energy it was: splits a device's time at job boundaries.

Policy: explicit marks win over the label that a reading carries; time that no job held stays with no job. A job that
holds a device alone owns all its energy, idle draw included: reserved is used (ISO/IEC 21031). How several jobs at
once share a device is in `sharing`. Shares always add up to the whole.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from accounting.methods.energy import Bools, Ints

NO_JOB = 0
_MARK, _LABEL = 0, 1


@dataclass(frozen=True, slots=True)
class Hold:
    """A job held the device during [start_us, end_us)."""

    job: int
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch in which the same jobs held the device. No jobs: nobody did."""

    start_us: int
    end_us: int
    jobs: tuple[int, ...]  # rising, each once


def label_holds(at_us: Ints, job: Ints, covered: Bools) -> list[Hold]:
    """Read holds off the readings' own job labels (`NO_JOB` where there is none).

    A label speaks for the interval that ends at its reading, and only where that interval is covered: nobody knows who
    held the device in a hole.
    """
    held_by = np.where(covered, job[1:], NO_JOB)
    turns = np.flatnonzero(np.diff(held_by)) + 1
    starts = np.concatenate(([0], turns)) if held_by.size else turns
    ends = np.append(starts[1:], held_by.size)
    return [
        Hold(int(held_by[a]), int(at_us[a]), int(at_us[b]))
        for a, b in zip(starts, ends, strict=False)
        if held_by[a] != NO_JOB
    ]


def segments(start_us: int, end_us: int, *, marks: Iterable[Hold], labels: Iterable[Hold]) -> list[Segment]:
    """Cut [start_us, end_us) wherever the set of jobs changes. The pieces follow each other and leave nothing out."""
    turns = _turns(start_us, end_us, marks, _MARK) + _turns(start_us, end_us, labels, _LABEL)
    holding: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    pieces: list[Segment] = []
    since_us = start_us
    for at_us, kind, job, change in [*sorted(turns), (end_us, _MARK, NO_JOB, 0)]:
        if at_us > since_us:
            _append(pieces, Segment(since_us, at_us, tuple(sorted(+holding[_MARK] or +holding[_LABEL]))))
            since_us = at_us
        holding[kind][job] += change
    return pieces


def share_equally(amount: float, among: int) -> list[float]:
    """Split into equal parts whose sum, added in order, is the amount to the last bit.

    Raises:
        ValueError: there is nobody to share among.
    """
    if among < 1:
        raise ValueError(f"cannot share among {among}: keep what nobody held on the row without a job")
    part = amount / among
    shares = [part] * (among - 1)
    return [*shares, amount - sum(shares)]


def _turns(start_us: int, end_us: int, holds: Iterable[Hold], kind: int) -> list[tuple[int, int, int, int]]:
    """When each hold begins and ends within the window: (at_us, kind, job, +1 or -1)."""
    clipped = [(max(h.start_us, start_us), min(h.end_us, end_us), h.job) for h in holds]
    inside = [(a, b, job) for a, b, job in clipped if a < b]
    return [(a, kind, job, 1) for a, _, job in inside] + [(b, kind, job, -1) for _, b, job in inside]


def _append(pieces: list[Segment], piece: Segment) -> None:
    if pieces and pieces[-1].jobs == piece.jobs:
        pieces[-1] = Segment(pieces[-1].start_us, piece.end_us, piece.jobs)
    else:
        pieces.append(piece)
