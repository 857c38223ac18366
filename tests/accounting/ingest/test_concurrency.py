"""Several posters at once: nothing is counted twice, nothing is lost, nobody waits for ever."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections

from accounting.access import issue_token
from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, JobInfo, JobMark, TelemetryBatch, TelemetryReply
from accounting.ingest.store import store
from accounting.models import AgentStream, ApiToken, Device, Host, Job, Site
from accounting.models import DeviceSample as StoredSample

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
# The tests' SQLite database lives in memory, where threads cannot wait for each other; there the posts come in turn.
THREADS = 6 if connection.vendor == "postgresql" else 1


@pytest.fixture
def token(transactional_db: None) -> ApiToken:
    return issue_token(name="t", scopes=["ingest"], site=Site.objects.create(name="Paris", slug="paris"))[0]


def at_once(calls: list[Callable[[], TelemetryReply]]) -> list[TelemetryReply]:
    def run(call: Callable[[], TelemetryReply]) -> TelemetryReply:
        try:
            return call()
        finally:
            if THREADS > 1:
                connections.close_all()

    if THREADS == 1:
        return [run(call) for call in calls]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, calls))


def trace(agent: str, numbers: range) -> TelemetryBatch:
    samples = [
        DeviceSample(
            f"gpu-{n % 4}",
            (NOON - timedelta(hours=2) + timedelta(seconds=n)).isoformat(),
            power_w=float(n),
            job="j",
            seq=n,
        )
        for n in numbers
    ]
    devices = [DeviceInfo(f"gpu-{k}", "gpu") for k in range(4)]
    marks = [JobMark("j", (NOON - timedelta(hours=2)).isoformat(), device="gpu-0")]
    return TelemetryBatch(AgentInfo(agent, "node", "boot"), 1, devices, [JobInfo("j", name="J")], marks, samples)


class TestPostersAtOnce:
    def test_count_each_sample_of_one_agent_once(self, token: ApiToken) -> None:
        """Lost replies: the same batches again and again, overlapping, from the first moment on."""
        dice = random.Random(5)
        pieces = [range(start, start + 60) for start in range(0, 240, 20)] * 2
        dice.shuffle(pieces)
        replies = at_once([lambda piece=piece: store(trace("a", piece), token=token, now=NOON) for piece in pieces])
        assert sum(reply.accepted for reply in replies) == StoredSample.objects.count() == 280
        assert sum(reply.accepted + reply.duplicates for reply in replies) == 24 * 60
        assert sum(reply.conflicts + reply.rejected for reply in replies) == 0
        assert AgentStream.objects.get().taken == [[0, 279]]

    def test_agree_when_two_agents_read_the_same_devices(self, token: ApiToken) -> None:
        calls = [
            lambda agent=agent, start=start: store(trace(agent, range(start, start + 50)), token=token, now=NOON)
            for start in range(0, 200, 50)
            for agent in ("a", "b", "c")
        ]
        replies = at_once(calls)
        assert sum(reply.accepted for reply in replies) == StoredSample.objects.count() == 200
        assert sum(reply.duplicates for reply in replies) == 400
        assert (Host.objects.count(), Device.objects.count(), Job.objects.count()) == (1, 4, 1)
