"""What a sender owes the server, in the manner of the Prometheus remote-write sender tests, held against the agent.

Each case is a script of answers. Whatever the script: every sample arrives, none twice, none changed; nothing is sent
before the server said, nor all at once by a fleet; what the server will never take does not hold up the rest.
"""

import itertools
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.agent.courier import BATCH, GROW_AFTER, POST_EVERY_S, Courier
from accounting.agent.post import Client, Outcome, Token
from accounting.agent.spool import Spool
from accounting.agent.tracking.asking import Asker
from accounting.agent.tracking.marks import Mark
from accounting.agent.tracking.station import Station
from accounting.agent.wire import DeviceSample, TelemetryBatch
from tests.accounting.agent.conftest import TurnedClock
from tests.accounting.agent.scripted_server import TOKEN, Answer, ScriptedServer, scripted_server

HOUR_S = 3600.0
ROUNDING_S = 1e-6


@dataclass
class Sender:
    """An agent's courier whose clock a test turns, at a real server that answers by script."""

    server: ScriptedServer
    spool: Spool
    clock: TurnedClock
    courier: Courier
    sent_at_s: list[float] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    measured: int = 0

    def measure(self, count: int) -> None:
        first = self.measured
        rows = [DeviceSample("gpu-0", f"t{first + n:06}", power_w=float(first + n)) for n in range(count)]
        self.spool.append(rows, now_s=1.0, marks={})
        self.measured += count

    def run(self, *, most_s: float = 40 * HOUR_S) -> None:
        """Until nothing waits."""
        end_s = self.clock.monotonic + most_s
        while (wait_s := self.courier.step()) is not None:
            self.clock.advance(wait_s)
            assert self.clock.monotonic < end_s, f"not delivered in {most_s} s"

    def waits_s(self) -> list[float]:
        return [b - a for a, b in itertools.pairwise(self.sent_at_s)]

    def assert_all_arrived_once(self) -> None:
        numbers = sorted(seq for _, seq in self.server.samples)
        assert numbers == list(range(1, self.measured + 1))
        assert self.server.conflicts == []
        assert [self.server.samples[key]["power_w"] for key in sorted(self.server.samples)] == [
            float(n) for n in range(self.measured)
        ]
        assert self.spool.counts() == {"waiting": 0, "parked": 0, "dropped": 0}

    def assert_never_earlier_than_told(self) -> None:
        for outcome, wait_s in zip(self.outcomes, self.waits_s(), strict=False):
            assert wait_s >= (outcome.retry_after_s or 0.0) - ROUNDING_S


@contextmanager
def a_sender(
    server: ScriptedServer,
    folder: Path,
    *,
    chance: random.Random,
    timeout_s: float = 5.0,
    post_every_s: float = POST_EVERY_S,
) -> Iterator[Sender]:
    clock, spool = TurnedClock(), Spool(folder, machine_boot="boot")
    client = Client(server.url, Token(lambda: TOKEN, "a test"), timeout_s=timeout_s)

    def post(batch: TelemetryBatch) -> Outcome:
        sender.sent_at_s.append(clock.monotonic)
        sender.outcomes.append(client.post(batch))
        return sender.outcomes[-1]

    courier = Courier(
        spool, post, agent_id="agent", host="node-1", clock=clock, post_every_s=post_every_s, chance=chance.random
    )
    sender = Sender(server, spool, clock, courier)
    try:
        yield sender
    finally:
        spool.close()


@pytest.fixture
def sender(server: ScriptedServer, tmp_path: Path) -> Iterator[Sender]:
    with a_sender(server, tmp_path, chance=random.Random(7)) as made:
        yield made


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


def told(seconds: str, *, status: int = 429) -> Answer:
    return Answer(status, headers={"Retry-After": seconds})


SCRIPTS = {
    "retries_5xx": [Answer(500), Answer(502), Answer(503), Answer(504)],
    "retries_429": [Answer(429)] * 3,
    "retries_408_and_425": [Answer(408), Answer(425)],
    "retries_after_a_lost_reply": [Answer(reply=False)] * 3,
    "retries_after_a_reply_that_no_server_of_ours_gave": [Answer(body=b"<html>Sign in</html>"), Answer(204)],
    "obeys_retry_after_in_seconds": [told("30"), told("7", status=503)],
    "obeys_retry_after_as_a_date": [told("Fri, 20 Nov 2099 12:00:00 GMT")],
    "bounds_an_absurd_retry_after": [told("9" * 400), told("31536000")],
    "outlives_a_retry_after_that_is_none": [told("soon"), told("-5"), told("²"), told("1e9"), told("")],
    "splits_what_is_too_large": [Answer(413), Answer(413)],
    "keeps_all_while_a_token_is_wrong": [Answer(401), Answer(403), Answer(404)],
    "follows_no_redirect": [Answer(307, headers={"Location": "http://127.0.0.1:9/"})],
    "everything_at_once": [
        Answer(503), Answer(reply=False), told("3"), Answer(413), Answer(500), Answer(401), Answer(reply=False),
    ],
}  # fmt: skip


class TestEveryScript:
    @pytest.mark.parametrize("name", SCRIPTS)
    def test_ends_with_every_sample_there_once(self, sender: Sender, name: str) -> None:
        sender.server.script = list(SCRIPTS[name])
        sender.measure(1200)
        sender.run()
        sender.assert_all_arrived_once()
        sender.assert_never_earlier_than_told()
        assert max(sender.waits_s()) <= HOUR_S + 60 + ROUNDING_S

    @settings(max_examples=40, deadline=None)
    @given(
        script=st.lists(
            st.sampled_from([
                Answer(429), Answer(500), Answer(503), Answer(413), Answer(401), Answer(reply=False), Answer(take=True),
                told("0"), told("2"), told("90", status=503), told("nonsense"), Answer(body=b"{}"),
            ]),
            max_size=14,
        ),
        measured=st.lists(st.integers(1, 700), min_size=1, max_size=4),
        seed=st.integers(0, 2**32),
    )  # fmt: skip
    def test_of_any_kind_and_length_does(self, script: list[Answer], measured: list[int], seed: int) -> None:
        with scripted_server() as server, TemporaryDirectory() as folder:
            server.script = list(script)
            with a_sender(server, Path(folder), chance=random.Random(seed)) as sender:
                for count in measured:
                    sender.measure(count)
                    sender.clock.advance(sender.courier.step() or 0.0)
                sender.run()
                sender.assert_all_arrived_once()
                sender.assert_never_earlier_than_told()


class TestBackoff:
    def test_grows_to_a_minute_and_no_further(self, sender: Sender) -> None:
        sender.server.script = [Answer(503)] * 60
        sender.measure(1)
        sender.run()
        waits = sender.waits_s()
        most = [min(2.0**n, 60.0) for n in range(60)]
        assert all(0 <= wait <= limit for wait, limit in zip(waits, most, strict=True))
        late = waits[10:]
        assert max(late) > 45 and min(late) < 15  # full jitter: anywhere in the minute, not near its end

    def test_begins_anew_after_a_success(self, sender: Sender) -> None:
        sender.server.script = [Answer(503)] * 8 + [Answer()] + [Answer(503)]
        sender.measure(1)
        sender.run()
        sender.measure(1)
        sender.run()
        assert sender.waits_s()[-1] <= 1.0

    def test_a_dead_server_is_asked_at_most_twice_a_minute_in_the_long_run(self, sender: Sender) -> None:
        sender.server.script = [Answer(500)] * 400
        sender.measure(1)
        sender.run()
        waits = sender.waits_s()[10:]
        assert sum(waits) / len(waits) == pytest.approx(30.0, rel=0.15)


class TestRetryAfter:
    @pytest.mark.parametrize("status", [429, 503])
    def test_is_a_floor_and_jitter_comes_on_top(self, sender: Sender, status: int) -> None:
        sender.server.script = [told("120", status=status)] * 50
        sender.measure(1)
        sender.run()
        waits = sender.waits_s()
        assert min(waits) >= 120 and max(waits) <= 120 + 60
        assert max(waits) - min(waits) > 30

    def test_as_a_date_counts_by_the_servers_clock_where_ours_is_wrong(self, sender: Sender) -> None:
        servers_now = datetime(2031, 5, 1, 12, 0, 0)  # the server's answer says both
        stamp = "%a, %d %b %Y %H:%M:%S GMT"
        later = servers_now + timedelta(seconds=90)
        headers = {"Retry-After": later.strftime(stamp), "Date": servers_now.strftime(stamp)}
        sender.server.script = [Answer(503, headers=headers)]
        sender.measure(1)
        sender.run()
        assert sender.outcomes[0].retry_after_s == 90.0
        assert 90 <= sender.waits_s()[0] <= 150

    def test_is_obeyed_at_the_end_too(self, sender: Sender) -> None:
        """An agent that stops flushes what waits, unless it was told to be silent for longer than that may take."""
        sender.server.script = [told("60")]
        sender.measure(1)
        sender.courier.step()
        assert not sender.courier.drain(deadline_s=2.5)
        assert (len(sender.sent_at_s), sender.spool.counts()["waiting"]) == (1, 1)
        assert sender.courier.drain(deadline_s=90)
        sender.assert_all_arrived_once()
        sender.assert_never_earlier_than_told()


class TestFleet:
    def returned(self, server: ScriptedServer, tmp_path: Path, answer: Answer, agents: int = 60) -> list[float]:
        """When each of a fleet, refused at the same moment, asks again."""
        again = []
        for n in range(agents):
            with a_sender(server, tmp_path / str(n), chance=random.Random(n)) as sender:
                server.script = [answer]
                sender.measure(1)
                sender.run()
                again.append(sender.waits_s()[0])
        return sorted(again)

    def test_told_the_same_does_not_return_as_one(self, server: ScriptedServer, tmp_path: Path) -> None:
        again = self.returned(server, tmp_path, told("60"))
        assert again[0] >= 60
        assert most_within(again, window_s=1.0) <= 6  # 60 agents over a minute: one a second, by chance a few

    def test_started_at_once_drifts_apart(self, server: ScriptedServer, tmp_path: Path) -> None:
        tenth = []
        for n in range(40):
            with a_sender(server, tmp_path / str(n), chance=random.Random(n)) as sender:
                for _ in range(10):
                    sender.measure(1)
                    sender.clock.advance(sender.courier.step() or 0.0)
                assert all(0.8 * POST_EVERY_S <= wait_s <= POST_EVERY_S for wait_s in sender.waits_s())
                tenth.append(sender.sent_at_s[-1])
        assert max(tenth) - min(tenth) > 2.0


def test_posts_as_often_as_it_was_asked_and_all_of_it(server: ScriptedServer, tmp_path: Path) -> None:
    # a reading of 8 devices every 5 s for ten minutes, a post every 48 to 60 s: 10 to 13 posts instead of 120
    with a_sender(server, tmp_path, chance=random.Random(3), post_every_s=60.0) as sender:
        for _ in range(120):
            sender.measure(8)
            sender.courier.step()
            sender.clock.advance(5.0)
        assert 10 <= len(sender.sent_at_s) <= 13
        assert all(48.0 <= wait_s <= 65.0 for wait_s in sender.waits_s())
        sender.run()
        sender.assert_all_arrived_once()


def most_within(moments: list[float], *, window_s: float) -> int:
    return max(sum(first <= one < first + window_s for one in moments) for first in moments)


class TestBatching:
    def test_halves_until_it_fits_and_grows_again_later(self, sender: Sender) -> None:
        sender.server.script = [Answer(413), Answer(413)]
        sender.measure(BATCH * (GROW_AFTER + 10))
        sender.run()
        sizes = [len(batch["device_samples"]) for batch in sender.server.batches]
        assert sizes[:3] == [500, 250, 125]
        assert max(sizes[3:]) == BATCH
        sender.assert_all_arrived_once()

    def test_one_sample_that_never_fits_is_put_aside_and_the_rest_goes_on(self, sender: Sender) -> None:
        def refuse_the_ninth(batch: dict[str, object]) -> Answer | None:
            return Answer(413) if any(s["seq"] == 9 for s in batch["device_samples"]) else None  # type: ignore[attr-defined]

        sender.server.rule = refuse_the_ninth
        sender.measure(40)
        sender.run()
        assert sorted(seq for _, seq in sender.server.samples) == [n for n in range(1, 41) if n != 9]
        assert sender.spool.counts()["parked"] == 1

    def test_never_sends_more_than_the_wire_allows(self, sender: Sender) -> None:
        sender.measure(5000)
        sender.run()
        assert {len(batch["device_samples"]) for batch in sender.server.batches} == {BATCH}


class TestMarksOfJobs:
    """What `track` says of a job goes by the same rules, in a thread of its own and by the real clock."""

    @pytest.fixture
    def station(self, server: ScriptedServer, tmp_path: Path) -> Iterator[Station]:
        token = Token(lambda: TOKEN, "a test")
        client, asker = Client(server.url, token, timeout_s=1.0), Asker(server.url, token)
        made = Station(client, asker, host="node-1", folder=tmp_path, interval_s=5.0)
        yield made
        made.close()

    def a_mark(self) -> Mark:
        moments = ("2026-11-20T12:00:00Z", "2026-11-20T12:01:00Z", "2026-11-20T12:01:00Z")
        return Mark("one", {"job": "train-42"}, "node-1", *moments, devices=("gpu-0",))

    @pytest.mark.parametrize(
        "name", ["retries_5xx", "retries_429", "retries_after_a_lost_reply", "follows_no_redirect"]
    )
    def test_wait_on_disk_until_they_are_taken(
        self, server: ScriptedServer, station: Station, tmp_path: Path, name: str
    ) -> None:
        server.script = list(SCRIPTS[name])[:1]
        station.put(self.a_mark())
        station.flush(0.0)
        assert list(tmp_path.glob("*.mark.json"))
        end_s = time.monotonic() + 20
        while station.left() and time.monotonic() < end_s:
            station.flush(1.0)
        assert [mark["ended_at"] for batch in server.batches[1:] for mark in batch["job_marks"]] == [
            "2026-11-20T12:01:00Z"
        ]
        assert list(tmp_path.glob("*.mark.json")) == []

    def test_are_not_sent_before_the_server_said_so(self, server: ScriptedServer, station: Station) -> None:
        server.script = [told("2")]
        station.put(self.a_mark())
        while not server.batches:
            time.sleep(0.01)
        refused_s = time.monotonic()
        assert not station.flush(0.5)  # the end of a job gives up at once rather than press
        assert len(server.batches) == 1 and time.monotonic() - refused_s < 1.5
        while len(server.batches) < 2:
            assert time.monotonic() - refused_s < 10
            time.sleep(0.01)
        assert time.monotonic() - refused_s >= 1.9

    def test_that_are_refused_for_good_are_kept_aside_and_said(
        self, server: ScriptedServer, station: Station, tmp_path: Path
    ) -> None:
        server.script = [Answer(400, body=b"no")]
        station.put(self.a_mark())
        assert station.flush(5.0)
        assert "HTTP 400: no" in station.problem
        assert [path.name for path in tmp_path.glob("*.json")] == ["one.refused.json"]


class TestOrderingAndDuplicates:
    def test_samples_of_a_batch_are_in_the_order_of_their_numbers_or_its_reverse(self, sender: Sender) -> None:
        sender.server.script = [Answer(503), Answer(reply=False)]
        sender.measure(1700)
        sender.run()
        for batch in sender.server.batches:
            numbers = [sample["seq"] for sample in batch["device_samples"]]
            assert numbers in (sorted(numbers), sorted(numbers, reverse=True))

    def test_a_lost_reply_makes_duplicates_and_never_another_number(self, sender: Sender) -> None:
        sender.server.script = [Answer(reply=False)] * 5
        sender.measure(10)
        sender.run()
        sent = [tuple((s["seq"], s["power_w"]) for s in batch["device_samples"]) for batch in sender.server.batches]
        assert len(sent) == 6 and set(sent) == {tuple((n + 1, float(n)) for n in range(10))}
        sender.assert_all_arrived_once()

    def test_an_answer_that_comes_too_late_changes_nothing(self, server: ScriptedServer, tmp_path: Path) -> None:
        server.script = [Answer(delay_s=20)]  # taken, and answered after the sender has given up
        with a_sender(server, tmp_path, chance=random.Random(1), timeout_s=0.2) as sender:
            sender.measure(10)
            sender.run()
            sender.assert_all_arrived_once()
        assert len(server.batches) == 2
