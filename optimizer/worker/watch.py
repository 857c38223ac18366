"""One attempt, from starting the child to its last word: the parent meters, listens, reports and may break off."""

import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from django.db import DatabaseError, connection

from optimizer.experiments.claim import Lease, Progress, report
from optimizer.measure.energy import MeterLog, Recorder, find_meter
from optimizer.measure.protocol import Plan, Transcript
from optimizer.worker.sandbox import Child, confined

CHILD = [sys.executable, "-m", "optimizer.measure.child"]
LISTEN_S = 0.2
REPORT_EVERY_S = 1.0
MAX_SILENCE_S = 1200.0  # a step may be long, but a child that says nothing for so long hangs
ETA_FROM_PERCENT = 3.0

log = structlog.get_logger()


class AttemptFailed(Exception):
    """The attempt came to nothing; another may do better."""


class Hopeless(Exception):
    """The run as a whole cannot go on, and another attempt would end the same way."""

    def __init__(self, reason: str, failures: dict[int, str]) -> None:
        super().__init__(reason)
        self.failures = failures  # by position of the variant


class CancelRequested(Exception):
    """Someone asked for it to stop."""


class MachineStopping(Exception):
    """This worker was told to end."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A complete run: what the child said, what the meter saw, what the kernel granted."""

    transcript: Transcript
    log: MeterLog
    granted: dict[str, str]


class Watch:
    """Reports on one child about once a second, and raises when the attempt has to end."""

    def __init__(
        self,
        lease: Lease,
        *,
        grams_per_j: float | None,
        clock: Callable[[], datetime],
        stop: threading.Event,
        on_alive: Callable[[datetime], None],
    ) -> None:
        self._lease, self._grams_per_j, self._clock = lease, grams_per_j, clock
        self._stop, self._on_alive = stop, on_alive
        self._started_s = self._heard_s = time.monotonic()
        self._reported_s = -math.inf

    def run(self, plan: Plan, *, child: Child, recorder: Recorder) -> Heard:
        """Give the child its plan and follow it to its end.

        Raises:
            AttemptFailed, Hopeless, CancelRequested, MachineStopping: as they say.
            LeaseLost: another worker has the experiment.
            ProtocolError: the child said what no plan allows.
        """
        transcript = Transcript(plan)
        child.give(plan.to_json() + "\n")
        for said in child.lines(every_s=LISTEN_S):
            if said is not None:
                transcript.take(said[0], received_ns=said[1])
                self._heard_s = time.monotonic()
            self._look_up(transcript, recorder)
        if transcript.aborted:
            raise Hopeless(transcript.aborted, transcript.failures)
        if not transcript.done:
            raise AttemptFailed(f"the measuring process ended early: {child.exit_words()}")
        self._report(transcript, recorder)
        return Heard(transcript, recorder.log, child.granted)

    def _look_up(self, transcript: Transcript, recorder: Recorder) -> None:
        now_s = time.monotonic()
        if self._stop.is_set():
            raise MachineStopping
        if recorder.failure:
            raise AttemptFailed(f"the power meter stopped: {recorder.failure}")
        if now_s - self._heard_s > MAX_SILENCE_S:
            raise AttemptFailed(f"the measuring process said nothing for {MAX_SILENCE_S:.0f} s")
        if now_s - self._reported_s >= REPORT_EVERY_S:
            self._report(transcript, recorder)

    def _report(self, transcript: Transcript, recorder: Recorder) -> None:
        self._reported_s, at = time.monotonic(), self._clock()
        self._on_alive(at)
        energy_j, percent = recorder.log.total_j, transcript.percent
        progress = Progress(
            step=transcript.step or "Starting",
            percent=percent,
            eta_s=self._eta_s(percent),
            power_w=recorder.log.power_w(),
            energy_j=energy_j,
            co2e_g=None if self._grams_per_j is None else energy_j * self._grams_per_j,
        )
        try:
            if report(self._lease, progress, now=at):
                raise CancelRequested
        except DatabaseError as error:  # it may come back before the lease runs out; the next report tries again
            log.warning("progress could not be written", reason=str(error))
            connection.close()

    def _eta_s(self, percent: float) -> float | None:
        """The rest at the pace so far; None at first, when that says nothing."""
        if percent < ETA_FROM_PERCENT:
            return None
        return (time.monotonic() - self._started_s) * (100.0 - percent) / percent


def run_child(plan_for: Callable[[Path], Plan], watch: Watch, *, import_from: Path, hide: list[Path],
              keep: list[Path], take: Callable[[Heard, Path], None]) -> Heard:  # fmt: skip
    """Start a confined child, follow it, and let `take` copy out of its folder before that is gone.

    Args:
        plan_for: makes the plan, given the folder where the child may save models.
    """
    with Recorder(find_meter()) as recorder, confined(CHILD, import_from=import_from, hide=hide, keep=keep) as child:
        artifacts = child.folder / "artifacts"
        artifacts.mkdir()
        heard = watch.run(plan_for(artifacts), child=child, recorder=recorder)
        take(heard, artifacts)
    return heard
