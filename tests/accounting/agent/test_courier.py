"""From the spool to the server: order, refusals, waiting, and that nothing leaves the spool without a 200."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accounting.agent import courier as courier_module
from accounting.agent.courier import Announcement, Courier, backoff_s
from accounting.agent.logs import log_to_stdout
from accounting.agent.post import Client, Outcome, Token
from accounting.agent.spool import Spool
from accounting.agent.wire import MAX_SAMPLES, DeviceInfo, DeviceSample, JobInfo, TelemetryBatch
from tests.accounting.agent.conftest import TurnedClock
from tests.accounting.agent.scripted_server import TOKEN, Answer, ScriptedServer

CPU = DeviceInfo("cpu-0", "cpu", model="Xeon")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path, machine_boot="boot")
    yield spool
    spool.close()


@pytest.fixture
def courier(spool: Spool, server: ScriptedServer, clock: TurnedClock) -> Courier:
    return make(spool, server, clock)


def make(spool: Spool, server: ScriptedServer, clock: TurnedClock, *, timeout_s: float = 5.0) -> Courier:
    client = Client(server.url, Token(lambda: TOKEN, "a test"), timeout_s=timeout_s)
    return Courier(spool, client.post, agent_id="greenai-agent", host="node-1", clock=clock, chance=lambda: 1.0)


def measure(spool: Spool, count: int, *, first: int = 0) -> None:
    rows = [DeviceSample("cpu-0", f"t{first + n:05}", power_w=1.0) for n in range(count)]
    spool.append(rows, now_s=1.0, marks={})


def sent_sizes(server: ScriptedServer) -> list[int]:
    return [len(batch["device_samples"]) for batch in server.batches]


def deliver_all(courier: Courier, clock: TurnedClock, *, steps: int = 200) -> None:
    for _ in range(steps):
        wait_s = courier.step()
        if wait_s is None:
            return
        clock.advance(wait_s)
    raise AssertionError(f"not delivered in {steps} steps")


class TestDelivery:
    def test_says_who_it_is_and_describes_its_devices_once(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        courier.announce(Announcement((CPU,), (), {"rapl": "ok", "nvml": "no driver"}))
        measure(spool, 2)
        courier.step()
        clock.advance(5)
        measure(spool, 1, first=2)
        courier.step()
        first, second = server.batches
        assert first["agent"] == {
            "id": "greenai-agent",
            "host": "node-1",
            "boot_id": spool.stream,
            "version": "0.1.0",
            "sent_at": "2026-11-20T12:00:00.000000Z",
            "dropped": 0,
            "sensors": {"rapl": "ok", "nvml": "no driver"},
        }
        assert first["devices"] == [{"device": "cpu-0", "kind": "cpu", "model": "Xeon", "units": 1, "total": False}]
        assert second["devices"] == []
        assert [s["seq"] for s in first["device_samples"] + second["device_samples"]] == [1, 2, 3]

    def test_announces_itself_even_before_anything_is_measured(self, courier: Courier, server: ScriptedServer) -> None:
        courier.announce(Announcement((), (), {"nvml": "no driver"}))
        courier.step()
        assert server.batches[0]["agent"]["sensors"] == {"nvml": "no driver"}
        assert server.batches[0]["device_samples"] == []

    def test_describes_again_what_has_changed(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        courier.announce(Announcement((CPU,)))
        courier.step()
        clock.advance(5)
        courier.announce(Announcement((CPU,), (JobInfo("48213", team="vision"),)))
        courier.step()
        assert [batch["devices"] for batch in server.batches][1] == []
        assert server.batches[1]["jobs"] == [{"job": "48213", "name": "", "kind": "", "model": "", "team": "vision"}]

    def test_describes_again_after_a_post_that_failed(
        self, courier: Courier, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        server.script = [Answer(503)]
        courier.announce(Announcement((CPU,)))
        deliver_all(courier, clock)
        assert [len(batch["devices"]) for batch in server.batches] == [1, 1]

    def test_less_than_a_full_batch_waits_five_seconds(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        measure(spool, 1)
        assert courier.step() == 5.0
        measure(spool, 1, first=1)
        clock.advance(1)
        assert courier.step() == pytest.approx(4.0)
        assert sent_sizes(server) == [1]

    def test_every_other_batch_of_a_backlog_is_the_newest_so_that_live_stays_live(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        measure(spool, 2000)
        deliver_all(courier, clock)
        firsts = [batch["device_samples"][0]["seq"] for batch in server.batches]
        assert firsts == [2000, 1, 1500, 501]
        assert sorted(seq for _, seq in server.samples) == list(range(1, 2001))

    def test_a_day_of_backlog_is_delivered_within_five_minutes_whole(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        measure(spool, 8640)  # 24 h at a sample every 10 s
        began = clock.monotonic
        deliver_all(courier, clock)
        assert len(server.samples) == 8640
        assert clock.monotonic - began < 300


class TestFailure:
    def test_nothing_leaves_the_spool_before_a_200(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        measure(spool, 3)
        server.script = [Answer(503), Answer(502), Answer(429), Answer(500), Answer(body=b"<html>")]
        for _ in range(5):
            clock.advance(courier.step() or 0)
            assert spool.counts()["waiting"] == 3
        courier.step()
        assert spool.counts() == {"waiting": 0, "parked": 0, "dropped": 0}
        assert spool.facts()["last_error"] == ""

    def test_a_lost_reply_is_sent_again_with_the_same_numbers(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        measure(spool, 3)
        server.script = [Answer(reply=False), Answer(reply=False)]
        deliver_all(courier, clock)
        assert sent_sizes(server) == [3, 3, 3]
        assert len(server.samples) == 3
        assert server.conflicts == []

    def test_a_silent_server_costs_one_timeout(self, spool: Spool, server: ScriptedServer, clock: TurnedClock) -> None:
        measure(spool, 1)
        server.script = [Answer(delay_s=30, take=False)]
        courier = make(spool, server, clock, timeout_s=0.2)
        deliver_all(courier, clock)
        assert len(server.batches) == 2

    def test_waits_longer_after_every_failure_up_to_a_minute(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        measure(spool, 1)
        server.script = [Answer(503)] * 8
        waits = []
        for _ in range(8):
            waits.append(round(courier.step() or 0.0, 6))
            clock.advance(waits[-1])
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60]  # with chance 1, the whole of the jitter

    def test_obeys_retry_after(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        measure(spool, 1)
        server.script = [Answer(429, headers={"Retry-After": "120"})]
        assert courier.step() == pytest.approx(120.0 + 60.0)  # with chance 1, the whole of the jitter on top

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_a_wrong_token_keeps_everything_and_asks_once_a_minute(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock, status: int
    ) -> None:
        measure(spool, 3)
        server.script = [Answer(status)]
        assert courier.step() == pytest.approx(60.0)
        assert spool.counts() == {"waiting": 3, "parked": 0, "dropped": 0}
        clock.advance(60)
        courier.step()
        assert spool.counts()["waiting"] == 0

    def test_a_batch_that_is_too_large_is_halved_until_it_fits(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        server.rule = lambda batch: Answer(413) if len(batch["device_samples"]) > 130 else None
        measure(spool, 600)
        deliver_all(courier, clock)
        assert sent_sizes(server)[:3] == [500, 250, 125]
        assert len(server.samples) == 600
        assert spool.counts()["parked"] == 0

    def test_what_the_server_will_never_take_is_parked_and_the_rest_goes_on(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        def refuse_the_third(batch: dict[str, Any]) -> Answer | None:
            return Answer(400, body=b"no") if any(s["seq"] == 3 for s in batch["device_samples"]) else None

        server.rule = refuse_the_third
        measure(spool, 1)
        courier.step()
        clock.advance(5)
        measure(spool, 3, first=1)
        courier.step()
        clock.advance(5)
        measure(spool, 2, first=4)
        courier.step()
        assert spool.counts() == {"waiting": 0, "parked": 3, "dropped": 0}
        assert sorted(seq for _, seq in server.samples) == [1, 5, 6]

    def test_one_sample_that_is_too_large_is_parked(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        server.rule = lambda batch: Answer(413) if batch["device_samples"] else None
        measure(spool, 1)
        deliver_all(courier, clock)
        assert spool.counts()["parked"] == 1

    def test_a_spool_that_fails_does_not_end_the_courier(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        measure(spool, 1)
        spool.close()
        assert courier.step() == pytest.approx(1.0)

    def test_a_defect_stops_the_agent_instead_of_leaving_it_to_measure_for_nobody(
        self, spool: Spool, clock: TurnedClock
    ) -> None:
        def defective(batch: TelemetryBatch) -> Outcome:
            raise LookupError("a defect")

        courier, stop = Courier(spool, defective, agent_id="a", host="h", clock=clock), threading.Event()
        measure(spool, 1)
        courier.run(stop)
        assert stop.is_set()
        assert isinstance(courier.defect, LookupError)


class TestWords:
    def test_says_what_is_wrong_once_and_that_it_is_well_again(
        self,
        courier: Courier,
        spool: Spool,
        server: ScriptedServer,
        clock: TurnedClock,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        log_to_stdout(as_json=False)
        measure(spool, 1)
        server.script = [Answer(503, body=b"maintenance\n")] * 4
        deliver_all(courier, clock)
        lines = [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()]
        assert lines == ["warning HTTP 503: maintenance", "info    delivering to the server; 1 samples in this batch"]

    def test_tells_what_the_server_rejected_and_never_the_token(
        self, courier: Courier, spool: Spool, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log_to_stdout(as_json=True)
        measure(spool, 1)
        error = b'{"list":"device_samples","index":0,"field":"power_w","code":"absurd","detail":"1e12 W"}'
        reply = b'{"accepted":0,"duplicates":0,"conflicts":0,"rejected":1,"errors":[' + error + b"]}"
        server.script = [Answer(body=reply, take=False)]
        courier.step()
        out = capsys.readouterr().out
        assert "the server rejected 1 and found 0 in conflict; the first: power_w 1e12 W" in out
        assert TOKEN not in out


class TestDrain:
    def test_delivers_all_without_pauses(
        self, courier: Courier, spool: Spool, server: ScriptedServer, clock: TurnedClock
    ) -> None:
        measure(spool, 1200)
        assert courier.drain(deadline_s=3.0)
        assert sum(sent_sizes(server)) == 1200
        assert clock.monotonic == 100.0

    def test_gives_up_at_the_first_failure(self, courier: Courier, spool: Spool, server: ScriptedServer) -> None:
        measure(spool, 1)
        server.script = [Answer(503)] * 3
        assert not courier.drain(deadline_s=3.0)
        assert len(server.batches) == 1


class TestBackoff:
    @pytest.mark.parametrize(("failures", "most"), [(0, 1.0), (3, 8.0), (6, 60.0), (500, 60.0)])
    def test_spreads_over_the_whole_interval(self, failures: int, most: float) -> None:
        spread: list[Callable[[], float]] = [lambda: 0.0, lambda: 0.5, lambda: 1.0]
        assert [backoff_s(failures, chance=chance) for chance in spread] == [0.0, most / 2, most]

    def test_a_batch_fits_the_wire(self) -> None:
        assert courier_module.BATCH <= MAX_SAMPLES
