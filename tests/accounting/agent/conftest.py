"""What the agent's tests share: a server that does as it is told, and a clock that a test turns."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from accounting.agent.clock import Clock
from tests.accounting.agent.scripted_server import ScriptedServer, scripted_server


class TurnedClock(Clock):
    """All three clocks advance together, unless the wall clock is set."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.monotonic = 100.0

    def now(self) -> datetime:
        return self.wall

    def monotonic_s(self) -> float:
        return self.monotonic

    def uptime_s(self) -> float:
        return self.monotonic

    def sleep_s(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running
