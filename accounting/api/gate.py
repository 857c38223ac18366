"""How many posts of measurements one process stores at once: enough to keep the database busy, not all its threads.

Who finds it full waits a moment, if few are waiting already; the rest are told to come back, each at a slightly other
time. So pages keep threads of their own, memory is bounded, and a stuck database holds up no more than this.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings

from accounting.api.problem import Problem, retry_after

PATIENCE_S = 1.0  # half of what the least patient client grants
LISTENING_S = 1.6  # CodeCarbon's tracker listens for two seconds


class Gate:
    """At most `at_once` inside and `waiting` before it."""

    def __init__(self, *, at_once: int, waiting: int, patience_s: float = PATIENCE_S) -> None:
        self._free = threading.Semaphore(at_once)
        self._may_wait = threading.Semaphore(waiting)
        self._patience_s = patience_s

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Inside for as long as the block takes.

        Raises:
            Problem: 503, when to come back.
        """
        if not self._free.acquire(blocking=False) and not self._wait():
            detail = "too many posts at once: send this again"
            raise Problem(503, "busy", detail, Retry_After=retry_after())
        try:
            yield
        finally:
            self._free.release()

    def _wait(self) -> bool:
        if not self._may_wait.acquire(blocking=False):
            return False
        try:
            return self._free.acquire(timeout=self._patience_s)
        finally:
            self._may_wait.release()


@cache
def patient_gate() -> Gate:
    """For clients that never send anything twice: few at once, and as many as may wait as long as they listen."""
    at_once = max(1, settings.GREENAI["ingest_at_once"] // 2)
    return Gate(at_once=at_once, waiting=16 * at_once, patience_s=LISTENING_S)


@cache
def ingest_gate() -> Gate:
    """The one of this process; every address that stores measurements goes through it."""
    return Gate(at_once=settings.GREENAI["ingest_at_once"], waiting=settings.GREENAI["ingest_waiting"])
