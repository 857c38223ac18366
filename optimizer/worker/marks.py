"""An experiment's own energy in the ledger: the machine's agent meters it, the worker only says when it was.

Marks go to the server's own telemetry address, in a thread, so that a slow server never holds up a measurement. What
could not be delivered stays in a small file and is sent before the next experiment; a mark that a killed worker left
open is closed there at its last sign of life, so that nothing later is booked under the experiment.
"""

import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog

from accounting.agent.post import Kind, Outcome
from accounting.agent.wire import JobInfo, JobMark, TelemetryBatch

RETRY_FIRST_S, RETRY_MOST_S = 1.0, 15.0
LAST_DELIVERY_S = 15.0
NOTE_EVERY_S = 5.0

log = structlog.get_logger()
Post = Callable[[TelemetryBatch], Outcome]


@dataclass(frozen=True, slots=True)
class Mark:
    """One attempt's hold on every device of its host. Times are RFC 3339."""

    job: str
    name: str
    kind: str
    model: str
    team: str
    project: str | None
    host: str
    started_at: str
    alive_at: str
    ended_at: str | None = None

    def batch(self) -> TelemetryBatch:
        """The job's own times are columns that `experiments.claim` keeps: attempts come and go within them."""
        job = JobInfo(
            job=self.job, name=self.name, kind=self.kind, model=self.model, team=self.team, project=self.project
        )
        hold = JobMark(job=self.job, started_at=self.started_at, ended_at=self.ended_at, host=self.host, team=self.team)
        return TelemetryBatch(jobs=[job], job_marks=[hold])


class Marker:
    """Posts the start of a mark at once and its end when told. Use it as a context manager around one attempt."""

    def __init__(self, mark: Mark, *, post: Post | None, journal: Path) -> None:
        """`post` None: nowhere to post to, which is said and does no harm. `journal` is a file of this mark's own."""
        self.problem = "" if post else "Its energy is not marked in the ledger: no GREENAI_TOKEN_FILE is set"
        self._mark, self._post, self._journal = mark, post, journal
        self._noted_s = 0.0
        self._waiting: queue.Queue[Mark | None] = queue.Queue()
        self._give_up = threading.Event()
        self._thread = threading.Thread(target=self._deliver, name="job-marks", daemon=True)

    def __enter__(self) -> "Marker":
        self._note()
        if self._post:
            self._thread.start()
            self._waiting.put(self._mark)
        return self

    def alive(self, at: datetime) -> None:
        """Note a sign of life, where a killed worker's mark will be closed. Cheap: a write every few seconds."""
        self._mark = replace(self._mark, alive_at=at.isoformat())
        if time.monotonic() - self._noted_s >= NOTE_EVERY_S:
            self._note()

    def end(self, at: datetime) -> None:
        """Say that the machine is free again, and wait a little for the delivery."""
        self._mark = replace(self._mark, ended_at=at.isoformat(), alive_at=at.isoformat())
        self._note()
        if self._post is None:
            self._journal.unlink(missing_ok=True)
            return
        self._waiting.put(self._mark)
        self._waiting.put(None)
        self._thread.join(LAST_DELIVERY_S)
        self._give_up.set()

    def __exit__(self, *_: object) -> None:
        self._give_up.set()

    def _deliver(self) -> None:
        assert self._post is not None
        while (mark := self._waiting.get()) is not None:
            self.problem = f"Its energy is not marked in the ledger yet: no answer from the server about {mark.job}"
            wait_s = RETRY_FIRST_S
            while problem := refusal(self._post(mark.batch())):
                if self._give_up.wait(wait_s) or not self._waiting.empty():
                    break  # the newer mark says everything this one does
                wait_s = min(wait_s * 2, RETRY_MOST_S)
            self.problem = problem
            if not self.problem and mark.ended_at:
                self._journal.unlink(missing_ok=True)

    def _note(self) -> None:
        self._noted_s = time.monotonic()
        write_note(self._journal, self._mark)


def write_note(journal: Path, mark: Mark) -> None:
    journal.parent.mkdir(parents=True, exist_ok=True)
    fresh = journal.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(mark)))
    fresh.replace(journal)


def send_left_over(folder: Path, *, post: Post | None) -> None:
    """Send what earlier attempts could not; close what a killed worker left open at its last sign of life."""
    for journal in sorted(folder.glob("*.json")) if post and folder.is_dir() else ():
        try:
            mark = Mark(**json.loads(journal.read_text()))
        except (ValueError, TypeError) as error:
            log.warning("a note about a mark cannot be read and is dropped", file=str(journal), reason=str(error))
            journal.unlink()
            continue
        problem = refusal(post(replace(mark, ended_at=mark.ended_at or mark.alive_at).batch()))
        if problem:
            log.warning("a mark still waits", job=mark.job, reason=problem)
            continue
        journal.unlink()


def refusal(outcome: Outcome) -> str:
    """Why a mark was not taken, for people; empty when it was."""
    if outcome.kind != Kind.DELIVERED or outcome.reply is None:
        return f"Its energy is not marked in the ledger: {outcome.detail or outcome.kind.value}"
    errors = [error for error in outcome.reply.errors if error.list in ("job_marks", "jobs")]
    return f"Its energy is not marked in the ledger: {errors[0].detail}" if errors else ""
