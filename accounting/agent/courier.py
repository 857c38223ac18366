"""Takes samples from the spool to the server: how many, which first, how often, and what to do with a refusal."""

import logging
import random
import sqlite3
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from accounting.agent import VERSION
from accounting.agent.clock import Clock, rfc3339
from accounting.agent.post import Kind, Outcome
from accounting.agent.spool import Spool, Waiting
from accounting.agent.wire import AgentInfo, DeviceInfo, JobInfo, TelemetryBatch

BATCH = 500
POST_EVERY_S = 5.0  # while less than a full batch waits, where `--post-every` does not say another
EARLIEST = 0.8  # part of that time: agents that a cluster starts together drift apart
BACKLOG_PAUSE_S = 0.1  # between full batches, jittered, so that a returning fleet does not arrive as one
BACKOFF_FIRST_S, BACKOFF_MOST_S = 1.0, 60.0
GROW_AFTER = 20  # batches that fitted, before one twice as large is tried again
BARRED_S = 60.0
LAST_FLUSH_S = 2.5

log = logging.getLogger("greenai.agent")


@dataclass(frozen=True, slots=True)
class Announcement:
    """What an agent says of itself beside its samples; posted when it starts and whenever it changes."""

    devices: tuple[DeviceInfo, ...] = ()
    jobs: tuple[JobInfo, ...] = ()
    sensors: dict[str, str] = field(default_factory=dict)


def backoff_s(failures: int, *, chance: Callable[[], float]) -> float:
    """Exponential with full jitter: anywhere between 0 and 1, 2, 4 … 60 seconds. `chance` gives 0..1."""
    most_s: float = min(BACKOFF_FIRST_S * 2.0 ** min(failures, 10), BACKOFF_MOST_S)
    return most_s * chance()


def spread_s(told_s: float, *, chance: Callable[[], float]) -> float:
    """On top of what the server asked for, up to as much again: it told the whole fleet the same. At most a minute."""
    return min(told_s, BACKOFF_MOST_S) * chance()


class Courier:
    """One attempt a `step`; the thread around it only waits. Samples leave the spool on a 200, never before."""

    def __init__(
        self,
        spool: Spool,
        post: Callable[[TelemetryBatch], Outcome],
        *,
        agent_id: str,
        host: str,
        clock: Clock,
        post_every_s: float = POST_EVERY_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._spool, self._post, self._clock, self._chance = spool, post, clock, chance
        self._agent_id, self._host, self._post_every_s = agent_id, host, post_every_s
        self._announcement: Announcement | None = None  # until the first, only samples are posted
        self._announced: Announcement | None = None
        self._hurried = False
        self._limit, self._failures, self._not_before_s = BATCH, 0, 0.0
        self._told_until_s = 0.0  # the server asked for silence until then
        self._fitted = 0
        self._newest_next = False
        self._complaint = ""
        self.delivered = 0
        self.defect: Exception | None = None
        self.wake = threading.Event()

    def announce(self, announcement: Announcement) -> None:
        self._announcement = announcement

    def hurry(self) -> None:
        """Nothing more will be measured: do not wait for a batch to fill."""
        self._hurried = True
        if not self._failures:
            self._not_before_s = 0.0
        self.wake.set()

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop, then once more what still waits, quickly.

        A defect here stops the whole agent, so that it is seen and restarted rather than measuring for nobody.
        """
        try:
            while not stop.is_set():
                self.wake.wait(self.step())
                self.wake.clear()
            self.drain(deadline_s=LAST_FLUSH_S)
        except Exception as defect:
            self.defect = defect
            log.critical("delivery broke down: %s", "".join(traceback.format_exception(defect)))
            stop.set()

    def step(self) -> float | None:
        """Make one attempt if it is time. Returns how long there is nothing to do; None: until woken."""
        early_s = self._not_before_s - self._clock.monotonic_s()
        if early_s > 0:
            return early_s
        try:
            waiting = self._choose()
            if waiting is None and self._announced == self._announcement:
                return None
            self._attempt(waiting)
        except sqlite3.Error as error:  # a full disk cannot even forget; what was delivered is recognised next time
            self._complain(f"the spool cannot be worked: {error}")
            self._back_off(None)
        return max(self._not_before_s - self._clock.monotonic_s(), 0.0)

    def drain(self, *, deadline_s: float) -> bool:
        """Post whatever waits, without pauses, until a failure or the deadline. Returns whether all is delivered.

        A server that asked for silence until later gets it: what waits stays on disk.
        """
        end_s = self._clock.monotonic_s() + deadline_s
        while max(self._clock.monotonic_s(), self._told_until_s) < end_s:
            if (silence_s := self._told_until_s - self._clock.monotonic_s()) > 0:
                self._clock.sleep_s(silence_s)
            self._not_before_s = 0.0
            failures = self._failures
            if self.step() is None:
                return True
            if self._failures > failures:
                return False
        return False

    def _choose(self) -> Waiting | None:
        """Oldest first; while more than one batch waits, every other one is the newest, so that live stays live."""
        self._newest_next = not self._newest_next and self._spool.holds(self._limit + 1)
        return self._spool.newest(self._limit) if self._newest_next else self._spool.oldest(self._limit)

    def _attempt(self, waiting: Waiting | None) -> None:
        announcement = self._announcement
        outcome = self._post(self._batch(waiting, announcement or Announcement()))
        if outcome.kind is Kind.DELIVERED:
            self._settle(waiting, outcome)
            self._announced = announcement
        elif waiting and outcome.kind is Kind.TOO_LARGE and len(waiting.ids) > 1:
            self._limit, self._fitted = max(len(waiting.ids) // 2, 1), 0
            self._complain(f"{outcome.detail}: {self._limit} samples at once from now on")
        elif waiting and outcome.kind in (Kind.TOO_LARGE, Kind.REFUSED):
            self._spool.park(waiting, outcome.detail)
            self._complain(f"{outcome.detail}: parked, `flush --parked` sends it again")
            self._pace(waiting)
        else:
            self._complain(outcome.detail)
            self._spool.note(last_error=outcome.detail, last_error_at=rfc3339(self._clock.now()))
            self._back_off(outcome)

    def _batch(self, waiting: Waiting | None, announcement: Announcement) -> TelemetryBatch:
        known = self._announced or Announcement()
        return TelemetryBatch(
            agent=AgentInfo(
                id=self._agent_id,
                host=self._host,
                boot_id=waiting.stream if waiting else self._spool.stream,
                version=VERSION,
                sent_at=rfc3339(self._clock.now()),
                dropped=self._spool.dropped,
                sensors=announcement.sensors,
            ),
            devices=list(announcement.devices) if announcement.devices != known.devices else [],
            jobs=list(announcement.jobs) if announcement.jobs != known.jobs else [],
            device_samples=list(waiting.samples) if waiting else [],
            device_uses=list(waiting.uses) if waiting else [],
        )

    def _settle(self, waiting: Waiting | None, outcome: Outcome) -> None:
        facts = {"last_delivered_at": rfc3339(self._clock.now()), "last_error": ""}
        if waiting:
            self._spool.acknowledge(waiting, **facts)
            self.delivered += len(waiting.ids)
            self._grow(len(waiting.ids))
        if self._complaint or not self._announced:
            log.info("delivering to the server; %d samples in this batch", len(waiting.ids) if waiting else 0)
        self._failures, self._complaint, self._told_until_s = 0, "", 0.0
        reply = outcome.reply
        if reply and (reply.rejected or reply.conflicts):
            first = f"; the first: {reply.errors[0].field} {reply.errors[0].detail}" if reply.errors else ""
            log.warning("the server rejected %d and found %d in conflict%s", reply.rejected, reply.conflicts, first)
        self._pace(waiting)

    def _grow(self, samples: int) -> None:
        """After a 413 smaller batches go for a while, not for ever: the limit may have been one sample's fault."""
        if self._limit < BATCH and samples >= self._limit:
            self._fitted += 1
            if self._fitted >= GROW_AFTER:
                self._limit, self._fitted = min(2 * self._limit, BATCH), 0

    def _pace(self, waiting: Waiting | None) -> None:
        behind = waiting is not None and self._spool.holds(self._limit)
        pause_s = (
            BACKLOG_PAUSE_S * self._chance()
            if behind or self._hurried
            else self._post_every_s * (EARLIEST + (1 - EARLIEST) * self._chance())
        )
        self._not_before_s = self._clock.monotonic_s() + pause_s

    def _back_off(self, outcome: Outcome | None) -> None:
        self._failures += 1
        least_s = (outcome.retry_after_s if outcome else None) or 0.0
        if outcome and outcome.kind is Kind.BARRED:
            least_s = max(least_s, BARRED_S / 2)
            on_top_s = BARRED_S / 2 * self._chance()
        else:
            on_top_s = max(backoff_s(self._failures - 1, chance=self._chance), spread_s(least_s, chance=self._chance))
        now_s = self._clock.monotonic_s()
        self._told_until_s = now_s + ((outcome.retry_after_s if outcome else None) or 0.0)
        self._not_before_s = now_s + least_s + on_top_s

    def _complain(self, what: str) -> None:
        """Say it once, until something else is wrong or all is well again."""
        if what != self._complaint:
            self._complaint = what
            log.warning("%s", what)
