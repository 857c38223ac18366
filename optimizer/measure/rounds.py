"""The child's side of an honest comparison: warm up, sleep, rounds in random order, sleep.

Each round gives every variant one window of work and, apart from it, its units timed alone, in an order drawn anew:
whatever the machine does meanwhile falls on all of them alike, and each round is one paired reading.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from optimizer.measure.latency import time_each

WARM_UP_PASSES = 3
IDLE_S = 1.5

Say = Callable[..., None]  # (event name, **fields)


@dataclass
class Arm:
    """One variant, ready to work. `singles` hold one unit each; None where every batch of a pass does already."""

    position: int
    work: Callable[[Any], Any]
    batches: Sequence[Any]
    units_per_batch: int
    singles: Sequence[Any] | None


@dataclass
class Mark:
    """Handed out by a window for the one thing its holder has to say."""

    units: float = 0.0


class Windows:
    """Marks stretches of time for the parent's meter."""

    def __init__(self, say: Say) -> None:
        self._say = say

    @contextmanager
    def mark(self, kind: str, *, position: int | None = None, round: int | None = None) -> Iterator[Mark]:
        """Say the window when its block ends; a block that raises is no window."""
        mark = Mark()
        cpu_s, start_ns = time.process_time(), time.monotonic_ns()
        yield mark
        end_ns, cpu_s = time.monotonic_ns(), time.process_time() - cpu_s
        self._say(
            "window", kind=kind, position=position, round=round, start_ns=start_ns, end_ns=end_ns, units=mark.units,
            cpu_s=cpu_s,
        )  # fmt: skip

    def idle(self) -> None:
        with self.mark("idle"):
            time.sleep(IDLE_S)


def run_rounds(
    arms: Sequence[Arm], *, rounds: int, seed: int, window_s: float, say: Say, failed: Callable[[int, Exception], None],
    progress: Callable[[float, str], None],
) -> None:  # fmt: skip
    """Measure all arms. An arm that raises is reported to `failed`, which may raise to end the run, and is left out."""
    windows, order = Windows(say), np.random.default_rng(seed)
    going = {arm.position: arm for arm in arms}
    for arm in arms:
        _attempt(going, arm, failed, partial(_warm_up, arm))
        progress(0.0, "warming up")
    gc.collect()
    gc.freeze()  # what is here stays: collecting between rounds looks at what came since
    gc.disable()  # and never within one
    try:
        windows.idle()
        for number in range(rounds):
            for i in order.permutation(len(arms)):
                if (arm := arms[i]).position in going:
                    _attempt(going, arm, failed, partial(_round, arm, number, window_s, windows, say))
            gc.collect()
            progress((number + 1) / rounds, f"round {number + 1} of {rounds}")
        windows.idle()
    finally:
        gc.enable()
        gc.unfreeze()


def _round(arm: Arm, number: int, window_s: float, windows: Windows, say: Say) -> None:
    seconds: list[float] = []
    with windows.mark("work", position=arm.position, round=number) as mark:
        ends = time.monotonic() + window_s
        while True:  # whole passes only: every window does the same mixture of work
            seconds += _pass(arm)
            if time.monotonic() >= ends:
                break
        mark.units = len(seconds) * arm.units_per_batch
    seconds = seconds[: len(arm.batches)] if arm.singles is None else time_each(arm.work, arm.singles)
    say("latency", position=arm.position, round=number, seconds=seconds)


def _warm_up(arm: Arm) -> None:
    for _ in range(WARM_UP_PASSES):
        _pass(arm)


def _pass(arm: Arm) -> list[float]:
    return time_each(arm.work, arm.batches)


def _attempt(
    going: dict[int, Arm], arm: Arm, failed: Callable[[int, Exception], None], action: Callable[[], Any]
) -> None:
    try:
        action()
    except Exception as error:
        going.pop(arm.position)
        failed(arm.position, error)
