"""Which sequence numbers of a poster have been taken: disjoint, rising, closed ranges [[first, last], …]. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_RANGES = 1000  # past it the lowest are forgotten; the key of a sample still tells a duplicate

Ranges = Sequence[Sequence[int]]


def taken_among(ranges: Ranges, seqs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each number, whether a range holds it."""
    if not ranges:
        return np.zeros(seqs.size, dtype=bool)
    firsts, lasts = np.asarray(ranges, dtype=np.int64).T
    at = np.searchsorted(firsts, seqs, side="right") - 1
    return (at >= 0) & (seqs <= lasts[np.maximum(at, 0)])


def with_taken(ranges: Ranges, seqs: NDArray[np.int64]) -> list[list[int]]:
    """The ranges with these numbers added, neighbours joined, the lowest forgotten past MOST_RANGES."""
    numbers = np.unique(seqs)
    breaks = np.flatnonzero(np.diff(numbers) > 1)
    firsts, lasts = np.append(numbers[:1], numbers[breaks + 1]), np.append(numbers[breaks], numbers[-1:])
    runs = [*map(list, ranges), *np.column_stack((firsts, lasts)).tolist()]
    joined: list[list[int]] = []
    for first, last in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return joined[-MOST_RANGES:]
