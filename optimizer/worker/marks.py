"""An experiment's own energy in the ledger: the machine's agent (or stand_in.py) meters it, marks say when it was.

Marks go to the server's own telemetry address, in a thread, so that a slow server never holds up a measurement. What
could not be delivered stays in a small file and is sent again with every sign of life; a mark that a killed worker left
open is closed there at its last sign of life, so that nothing later is booked under the experiment.
"""

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog

from accounting.agent.post import Client, ConfigurationError, Kind, Outcome, Token
from accounting.agent.wire import JobInfo, JobMark, TelemetryBatch
from optimizer.models import Hardware

RETRY_FIRST_S, RETRY_MOST_S = 1.0, 15.0
LAST_DELIVERY_S = 15.0
NOTE_EVERY_S = 5.0
THIS_PROCESS = uuid.uuid4().hex

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
    process: str = THIS_PROCESS  # whose mark it is, so that a later one knows an open mark for left behind

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
        self._wake, self._given_up = threading.Event(), False
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

    def end(self, at: datetime, *, patience_s: float = LAST_DELIVERY_S) -> None:
        """Say that the machine is free again, and wait a little for the delivery."""
        self._mark = replace(self._mark, ended_at=at.isoformat(), alive_at=at.isoformat())
        self._note()
        if self._post is None:
            self._journal.unlink(missing_ok=True)
            return
        self._waiting.put(self._mark)
        self._waiting.put(None)
        self._wake.set()
        self._thread.join(patience_s)

    def __exit__(self, *_: object) -> None:
        self._given_up = True
        self._wake.set()

    def _deliver(self) -> None:
        assert self._post is not None
        while (mark := self._waiting.get()) is not None:
            self.problem = f"Its energy is not marked in the ledger yet: no answer from the server about {mark.job}"
            wait_s = RETRY_FIRST_S
            while problem := refusal(self._post(mark.batch())):
                self._wake.wait(wait_s)
                self._wake.clear()
                if self._given_up or self._mark.ended_at != mark.ended_at:
                    break  # the newer mark says everything this one does
                wait_s = min(wait_s * 2, RETRY_MOST_S)
            self.problem = problem
            if not self.problem and mark.ended_at:
                self._journal.unlink(missing_ok=True)

    def _note(self) -> None:
        self._noted_s = time.monotonic()
        write_note(self._journal, self._mark)


def post_to(server: str) -> Post | None:
    """How to reach the server's telemetry address with this machine's token; None where no token is given."""
    try:
        return Client(server, Token.find(None)).post
    except ConfigurationError as error:
        log.warning("experiments are not marked in the ledger", reason=str(error))
        return None


def folder_of(hardware: Hardware, data_dir: Path) -> Path:
    """Where this machine's notes lie."""
    return data_dir / "worker" / hardware.key


def write_note(journal: Path, mark: Mark) -> None:
    journal.parent.mkdir(parents=True, exist_ok=True)
    fresh = journal.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(mark)))
    fresh.replace(journal)


def send_left_over(folder: Path, *, post: Post) -> None:
    """Send what earlier attempts could not; close what a killed worker left open at its last sign of life.

    The mark of the attempt that runs in this very process is left alone.
    """
    for journal in sorted(folder.glob("*.json")):
        try:
            mark = Mark(**json.loads(journal.read_text()))
        except FileNotFoundError:  # delivered meanwhile
            continue
        except (ValueError, TypeError) as error:
            log.warning("a note about a mark cannot be read and is dropped", file=str(journal), reason=str(error))
            journal.unlink()
            continue
        if mark.process == THIS_PROCESS and mark.ended_at is None:
            continue
        problem = refusal(post(replace(mark, ended_at=mark.ended_at or mark.alive_at).batch()))
        if problem:
            log.warning("a mark still waits", job=mark.job, reason=problem)
            continue
        journal.unlink(missing_ok=True)


def refusal(outcome: Outcome) -> str:
    """Why a mark was not taken, for people; empty when it was."""
    if outcome.kind != Kind.DELIVERED or outcome.reply is None:
        return f"Its energy is not marked in the ledger: {outcome.detail or outcome.kind.value}"
    errors = [error for error in outcome.reply.errors if error.list in ("job_marks", "jobs")]
    return f"Its energy is not marked in the ledger: {errors[0].detail}" if errors else ""
