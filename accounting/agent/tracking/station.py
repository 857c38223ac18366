"""What a process has once for a server and token: who meters here, the meter where nobody does, and marks under way.

Nothing here raises into the caller, and nothing waits for the server longer than it says. Whether an agent posts for
this machine is the server's to say (it knows agents of other users and of the container's host); until it has said so,
readings are kept on disk and not posted.
"""

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from accounting.agent.clock import Clock, machine_boot_id, rfc3339
from accounting.agent.courier import backoff_s
from accounting.agent.post import Client, Kind, Outcome
from accounting.agent.tracking import marks
from accounting.agent.tracking.asking import Asker, Refused, Unanswered
from accounting.agent.tracking.marks import Mark
from accounting.agent.tracking.meter import Meter, devices_here
from accounting.agent.wire import DeviceInfo, DeviceKind, TelemetryBatch

Measure = Literal["auto", "always", "never"]
ASK_S = 1.0  # how long a job's start waits for the server's word
ASK_AGAIN_S = 30.0  # an agent may have been started since
FIRST_READING_S = 2.0  # how long a job's start waits for the sensors
ALIVE_EVERY_S = 10.0
KINDS: Mapping[str, DeviceKind] = {"cpu": "cpu", "gpu": "gpu", "memory": "memory", "node": "node"}

log = logging.getLogger("greenai.track")


@dataclass(frozen=True, slots=True)
class Known:
    """What the server says of this machine. `devices` as it knows them, where an agent posts."""

    metered: Literal["here", "elsewhere", "no"]
    host: str
    lasting: bool
    devices: tuple[DeviceInfo, ...]
    asked_s: float


class Station:
    def __init__(self, client: Client, asker: Asker, *, host: str | None, folder: Path, interval_s: float) -> None:
        self.host = host or socket.gethostname()
        self.problem = ""  # why the ledger will lack something, for people
        self._client, self._asker, self._folder, self._interval_s = client, asker, folder, interval_s
        self._pid = os.getpid()
        self._known: Known | None = None
        self._here: tuple[DeviceInfo, ...] | None = None
        self._meter: Meter | None = None
        self._metering = 0
        self._posting = False  # the server has said that nobody else meters here
        self._changed = threading.Condition()
        self._pending: dict[str, Mark] = {mark.id: mark for mark in marks.left_behind(folder)}
        self._open: dict[str, Mark] = {}
        self._resolved: dict[str, Mark] = {}
        self._attempts, self._not_before_s, self._failures = 0, 0.0, 0
        self._told_to_wait_until_s = 0.0
        self._noted_s = time.monotonic()
        self._closed = False
        threading.Thread(target=self._deliver, name="greenai-marks", daemon=True).start()

    # --- metering -------------------------------------------------------------------------------------------------

    def begin(self, measure: Measure, *, meters: bool) -> bool:
        """A job starts: meter from here on where nobody else does. Returns whether `end` is to be told `metered`."""
        known = self._ask(ASK_S) if measure == "auto" else None
        if not meters or measure == "never" or (known and known.metered != "no"):
            return False
        with self._changed:
            self._metering += 1
            if self._meter is None:
                post = self.post_readings if measure == "auto" else self._client.post
                self._meter = Meter(post=post, host=self.host, folder=self._folder, interval_s=self._interval_s)
            meter = self._meter
        meter.begun.wait(FIRST_READING_S)
        meter.read_now()
        return True

    def end(self, *, metered: bool) -> Meter | None:
        """A job ended. The meter to `join`, where this was the last job that it metered."""
        if not metered:
            return None
        with self._changed:
            self._metering -= 1
            meter = self._meter
            if meter is None:
                return None
            if self._metering:
                meter.read_now()
                return None
            self._meter = None
        meter.stop()
        return meter

    def post_readings(self, batch: TelemetryBatch) -> Outcome:
        """Post what this machine was measured to draw, unless someone else posts that. No word yet: later."""
        known = self._ask(self._client.timeout_s)
        if known is None:
            return Outcome(Kind.BUSY, f"no word from {self._asker.server} yet about who meters this machine")
        if known.metered == "here" and known.host != self.host:
            return Outcome(Kind.REFUSED, f"an agent meters this machine as {known.host}")
        if known.metered == "elsewhere" and not (self._posting and not known.lasting):  # two of us must not both yield
            return Outcome(Kind.REFUSED, "an agent under another owner's token meters this machine")
        self._posting = True
        return self._client.post(batch)

    def _ask(self, timeout_s: float) -> Known | None:
        """What the server says, at most ASK_AGAIN_S old; None: no answer. An older server does not know, so nobody."""
        known = self._known
        if known and time.monotonic() - known.asked_s < ASK_AGAIN_S:
            return known
        try:
            told = self._asker.json("/api/v1/metering", timeout_s=timeout_s, host=self.host, boot=machine_boot_id())
            self._known = _known(told)
        except Unanswered as error:
            log.info("%s", error)
            return known
        except Refused as refused:
            if refused.status != 404:
                self._complain(f"the server refuses to say who meters this machine: {refused}")
                return known
            self._known = Known("no", self.host, False, (), time.monotonic())
        if self._known.metered == "elsewhere":
            self._complain(
                f"an agent under another owner's token meters {self.host}: this job's energy is not told apart. "
                "Use a token of the owner of that agent, or set GREENAI_JOB_ID for it to read"
            )
        return self._known

    # --- marks ----------------------------------------------------------------------------------------------------

    def left(self) -> int:
        """Marks that the server does not have yet."""
        with self._changed:
            return len(self._pending)

    def put(self, mark: Mark) -> None:
        """Keep a mark, new or changed, and have it sent. Cheap: one small file."""
        with self._changed:
            mark = self._as_resolved(mark)
            if mark.ended_at is None:
                self._open[mark.id] = mark
            else:
                self._open.pop(mark.id, None)
            self._pending[mark.id] = mark
            self._note(mark)
            self._changed.notify_all()

    def flush(self, limit_s: float) -> bool:
        """Wait until every mark is delivered, an attempt from now on fails, or the limit. Whether all are."""
        end_s = time.monotonic() + limit_s
        with self._changed:
            attempts = self._attempts
            self._not_before_s = self._told_to_wait_until_s
            self._changed.notify_all()
            while self._pending and time.monotonic() < end_s:
                if self._not_before_s > end_s or (self._attempts > attempts and self._failures):
                    break
                self._changed.wait(min(end_s - time.monotonic(), 0.2))
            return not self._pending

    def close(self) -> None:
        """End the delivery of marks; what is not delivered stays in its files."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _deliver(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._is_due():
                    self._changed.wait(self._pause_s())
                    self._note_alive()
                if self._closed:
                    return
                mark = next(iter(self._pending.values()))
            try:
                self._settle(mark, self._send(mark))
            except Exception as defect:  # whatever it is, the job goes on and the file stays
                log.warning("a mark of job %s could not be sent", mark.job.get("job"), exc_info=True)
                self._settle(mark, Outcome(Kind.BUSY, f"{type(defect).__name__}: {defect}"))

    def _is_due(self) -> bool:
        return bool(self._pending) and time.monotonic() >= self._not_before_s

    def _pause_s(self) -> float:
        if not self._pending:
            return ALIVE_EVERY_S
        return min(max(self._not_before_s - time.monotonic(), 0.01), ALIVE_EVERY_S)

    def _send(self, mark: Mark) -> Outcome:
        if mark.devices is None:
            mark = self._resolve(mark)
        if mark.devices is None and not mark.own and self._known is None:
            return Outcome(Kind.BUSY, f"no answer from {self._asker.server}")
        return self._client.post(mark.batch(self._here or ()))

    def _resolve(self, mark: Mark) -> Mark:
        """The same mark with the devices that its process holds, which stay its devices to the end."""
        known = None if mark.own else self._ask(self._client.timeout_s)
        if known is None and not mark.own:
            return mark
        if known and known.metered == "elsewhere":
            held = replace(mark, devices=())  # the job becomes known, and its energy stays with nobody
        elif known and known.metered == "here":
            held = _held(mark, known.devices, host=known.host)
        else:
            here = self._devices_here()
            held = _held(mark, here, host=self.host) if here else mark
        with self._changed:
            self._resolved[mark.id] = held
            if mark.id in self._open:
                self._open[mark.id] = self._as_resolved(self._open[mark.id])
                self._note(self._open[mark.id])
        return held

    def _as_resolved(self, mark: Mark) -> Mark:
        held = self._resolved.get(mark.id)
        return replace(mark, host=held.host, devices=held.devices) if held else mark

    def _settle(self, mark: Mark, outcome: Outcome) -> None:
        with self._changed:
            self._attempts += 1
            for_good = outcome.kind in (Kind.DELIVERED, Kind.REFUSED, Kind.TOO_LARGE)
            problem = marks.refusal(outcome)
            if problem:
                self._complain(
                    f"job {mark.job['job']} is not marked in the ledger{'' if for_good else ' yet'}: {problem}"
                )
            if not for_good:
                self._failures += 1
                jitter_s = backoff_s(self._failures - 1, chance=random.random)
                self._told_to_wait_until_s = time.monotonic() + (outcome.retry_after_s or 0.0)
                self._not_before_s = self._told_to_wait_until_s + jitter_s
            else:
                self._failures, self._not_before_s, self._told_to_wait_until_s = 0, 0.0, 0.0
                if self._pending.get(mark.id) is mark:
                    del self._pending[mark.id]
                    if mark.ended_at is not None:
                        (marks.set_aside if problem else marks.forget)(self._folder, mark)
                        self._resolved.pop(mark.id, None)
            self._changed.notify_all()

    def _devices_here(self) -> tuple[DeviceInfo, ...]:
        if self._here is None:
            self._here = tuple(devices_here())
        return self._here

    def _note_alive(self) -> None:
        """Where a process that is killed from here on will have its marks closed."""
        if time.monotonic() - self._noted_s < ALIVE_EVERY_S:
            return
        self._noted_s, now = time.monotonic(), rfc3339(Clock().now())
        for mark in list(self._open.values()):
            fresh = replace(mark, alive_at=now)
            self._open[mark.id] = fresh
            self._note(fresh)

    def _note(self, mark: Mark) -> None:
        try:
            marks.write(self._folder, mark)
        except OSError as error:
            self._complain(f"{self._folder} keeps no mark ({error}): what the server does not take now is lost")

    def _complain(self, what: str) -> None:
        """Say it once."""
        if what != self.problem:
            self.problem = what
            log.warning("%s", what)


def _known(told: Mapping[str, Any]) -> Known:
    """Raises:
    Unanswered: this is not how the server speaks.
    """
    try:
        devices = tuple(
            DeviceInfo(one["device"], KINDS.get(one["kind"], "other"), model=one["model"]) for one in told["devices"]
        )
        if told["metered"] not in ("here", "elsewhere", "no"):
            raise ValueError(told["metered"])
        lasting = bool(told.get("lasting", True))
        return Known(told["metered"], str(told["host"]), lasting, devices, time.monotonic())
    except (KeyError, TypeError, ValueError) as error:
        raise Unanswered(f"the answer about this machine cannot be read: {error!r}") from error


def _held(mark: Mark, devices: tuple[DeviceInfo, ...], *, host: str) -> Mark:
    """The same mark on the devices that its process uses."""
    gpus = [one.device for one in devices if one.kind == "gpu" and (mark.gpus is None or one.device in mark.gpus)]
    others = [one.device for one in devices if one.kind != "gpu" and mark.others]
    return replace(mark, host=host, devices=tuple(gpus + others))
