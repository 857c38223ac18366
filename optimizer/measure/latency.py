"""Latency: how long one unit takes when it runs alone, timed one by one in the child."""

import time
from collections.abc import Callable, Sequence
from typing import Any

P50, P95 = 0.50, 0.95


def time_each(work: Callable[[Any], Any], batches: Sequence[Any]) -> list[float]:
    """Seconds of each call, in order."""
    seconds = []
    for batch in batches:
        start = time.perf_counter_ns()
        work(batch)
        seconds.append((time.perf_counter_ns() - start) / 1e9)
    return seconds
