"""The measured child: `python -m optimizer.measure.child`, plan on stdin, events on stdout (see `protocol`).

It runs other people's models, so it is to be started without credentials and without network; it needs to read the
plan's folders, to write into `artifacts` (and into `folder`, the first time), and a temporary folder for a socket.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import nn

from optimizer.measure import build, memory
from optimizer.measure.build import Progress, Recipe
from optimizer.measure.protocol import MAX_LINE_BYTES, Plan, PlannedVariant
from optimizer.measure.rounds import Arm, Windows, run_rounds
from optimizer.training.data import Workload, load_workload
from optimizer.training.seed import seed_everything

REASON_LENGTH = 1000


class BaselineFailed(RuntimeError):
    """Without the unchanged model there is nothing to compare with."""


class Speaker:
    """Writes events, and keeps the percentage from falling."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._percent = out, 0.0

    def say(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, "at_ns": time.monotonic_ns(), **fields}, allow_nan=False)
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"event {event!r} is {len(line)} bytes long: {MAX_LINE_BYTES} at most")
        self._out.write(line + "\n")
        self._out.flush()

    def stage(self, start: float, end: float, what: str = "") -> Progress:
        """A progress callback for the part of the run between two percentages."""

        def progress(fraction: float, text: str) -> None:
            self._percent = max(self._percent, start + (end - start) * min(1.0, fraction))
            self.say("progress", step=f"{what}{text}", percent=round(self._percent, 2))

        return progress


class Run:
    """One plan from start to end. A variant that fails is reported and left out; the baseline may not fail."""

    def __init__(self, plan: Plan, speaker: Speaker) -> None:
        self.plan, self.speaker, self.say = plan, speaker, speaker.say
        self.artifacts = Path(plan.artifacts)
        self.going: dict[int, tuple[Recipe, nn.Module]] = {}
        self.workload: Workload

    def run(self) -> None:
        self._open()
        made_by = 60.0 if self.workload.kind == "training" else 20.0
        self._for_each(self.plan.variants, self._make, "building", 1.0, made_by)
        self._for_each(self._planned_and_going(), self._score, "checking quality", made_by, made_by + 15.0)
        run_rounds(
            [self._arm(*variant) for variant in self.going.values()],
            rounds=self.plan.repeats,
            seed=self.plan.seed,
            window_s=self.plan.window_s or self.workload.window_s,
            say=self.say,
            failed=lambda position, error: self._failed(position, "measuring", error),
            progress=self.speaker.stage(made_by + 15.0, 92.0),
        )
        self._for_each(self._planned_and_going(), self._weigh, "reading peak memory", 92.0, 100.0)
        self.speaker.stage(100.0, 100.0)(1.0, "measured")
        self.say("done")

    def _open(self) -> None:
        self.speaker.stage(0.0, 1.0)(0.0, "opening the workload")
        # One core is left to the meter and to whatever else runs: threads that wait for a core taken away from one of
        # them make a window many times longer, and its energy with it.
        torch.set_num_threads(self.plan.threads or max(1, len(os.sched_getaffinity(0)) - 1))
        seed_everything(self.plan.seed)
        self.artifacts.mkdir(parents=True, exist_ok=True)
        self.workload = load_workload(self.plan.workload, folder=self.plan.folder)
        self.workload.model  # noqa: B018  read (or trained) now, so that no variant pays for it
        self.say(
            "started", pid=os.getpid(), threads=torch.get_num_threads(), torch=torch.__version__,
            workload=self.workload.key, kind=self.workload.kind, unit=self.workload.unit,
            quality_metric=self.workload.quality_metric,
        )  # fmt: skip

    def _make(self, planned: PlannedVariant, progress: Progress) -> None:
        recipe = Recipe.of(planned, self.workload)
        began_s = time.monotonic()
        with Windows(self.say).mark("build", position=recipe.position):
            facts = recipe.make(self.workload, self.artifacts, progress)
        one_off_s = time.monotonic() - began_s
        self.going[recipe.position] = recipe, recipe.open(self.workload, self.artifacts)
        size_bytes = (self.artifacts / recipe.file_name).stat().st_size
        self.say(
            "built", position=recipe.position, artifact=recipe.file_name, size_bytes=size_bytes, one_off_s=one_off_s,
            facts=facts,
        )  # fmt: skip

    def _score(self, planned: PlannedVariant, progress: Progress) -> None:
        reading = self.workload.quality(self.going[planned.position][1])
        self.say("quality", position=planned.position, mean=reading.mean, scores=reading.scores)

    def _weigh(self, planned: PlannedVariant, progress: Progress) -> None:
        recipe = self.going[planned.position][0]
        peaks = memory.fresh_peaks(
            build.peak_of,
            (recipe, self.plan.workload, self.plan.folder, self.plan.artifacts, torch.get_num_threads()),
            preload=build.modules_of(self.workload, [recipe for recipe, _ in self.going.values()]),
        )
        self.say("memory", position=planned.position, peak_bytes=peaks)

    def _arm(self, recipe: Recipe, model: nn.Module) -> Arm:
        work, units = recipe.worker(self.workload, model), self.workload.units_per_batch
        singles = self.workload.singles if units > 1 else None
        return Arm(recipe.position, work, self.workload.batches, units, singles)

    def _planned_and_going(self) -> list[PlannedVariant]:
        return [planned for planned in self.plan.variants if planned.position in self.going]

    def _for_each(
        self, variants: Sequence[PlannedVariant], action: Callable[[PlannedVariant, Progress], None], step: str,
        start: float, end: float,
    ) -> None:  # fmt: skip
        share = (end - start) / max(1, len(variants))
        for i, planned in enumerate(variants):
            unchanged = planned.position == self.plan.baseline
            what = "unchanged model" if unchanged else f"variant {planned.position} ({planned.technique})"
            progress = self.speaker.stage(start + share * i, start + share * (i + 1), f"{what}: ")
            progress(0.0, step)
            try:
                action(planned, progress)
            except Exception as error:
                self._failed(planned.position, step, error)

    def _failed(self, position: int, step: str, error: Exception) -> None:
        traceback.print_exception(error)
        reason = f"{type(error).__name__}: {error}"[:REASON_LENGTH]
        if position == self.plan.baseline:
            raise BaselineFailed(f"the unchanged model failed at {step}: {reason}") from error
        self.going.pop(position, None)
        self.say("failed", position=position, step=step, reason=reason)


def main() -> int:
    # Whatever a library prints goes to stderr: stdout carries events only.
    speaker = Speaker(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)
    try:
        Run(Plan.from_json(sys.stdin.read()), speaker).run()
    except Exception as error:
        traceback.print_exception(error)
        speaker.say("aborted", reason=f"{type(error).__name__}: {error}"[:REASON_LENGTH])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
