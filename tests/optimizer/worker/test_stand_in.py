"""Where no agent meters a machine its worker does, and an experiment's energy is in the ledger once either way."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounting.access import issue_token
from accounting.access.visibility import EVERYTHING
from accounting.agent.post import Kind, Outcome
from accounting.agent.sensors.base import Reading, Sensor
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack
from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, TelemetryBatch, TelemetryReply
from accounting.ingest.store import store
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import Agent, DirtyHour, LedgerHour
from accounting.reports.live import _silent
from optimizer.worker import run, stand_in
from optimizer.worker.stand_in import StandIn, agent_is_alive
from tests.optimizer.rows import NOW, a_machine, an_experiment, later
from tests.optimizer.worker.conftest import GOOD

pytestmark = pytest.mark.django_db
WATTS = 40.0


class Steady(Sensor):
    """One processor that draws 40 W."""

    name, source, status, kinds = "steady", "agent", "measured", frozenset({"cpu"})

    def devices(self):
        return [DeviceInfo("cpu-0", "cpu", tdp_w=65.0)]

    def read(self):
        return [Reading("cpu-0", power_w=WATTS)]


class Server:
    """Keeps what is posted from any thread; `take_in` stores it as the real server would."""

    def __init__(self, site):
        self.token, _ = issue_token(name="machine", scopes=["ingest"], site=site)
        self.batches, self.lock = [], threading.Lock()

    def post(self, batch):
        with self.lock:
            self.batches.append(batch)
        return Outcome(Kind.DELIVERED, reply=TelemetryReply(0, 0, 0, 0))

    def take_in(self):
        """The samples first: then whole-host marks find the devices, as a second try of theirs does."""
        for batch in sorted(self.batches, key=lambda batch: bool(batch.job_marks)):
            store(batch, token=self.token, now=timezone.now())
        while DirtyHour.objects.exists():
            rebuild_dirty(now=timezone.now())

    @property
    def samples(self):
        return [sample for batch in self.batches for sample in batch.device_samples]


@pytest.fixture
def steady(monkeypatch):
    monkeypatch.setattr(stand_in, "INTERVAL_S", 0.05)

    def rack():
        made = Rack([], here=Machine())
        made.open["steady"], made._openers["steady"] = Steady(), Steady
        return made

    monkeypatch.setattr(stand_in, "open_rack", rack)


@pytest.fixture
def server(machine, monkeypatch):
    made = Server(machine.host.site)
    monkeypatch.setattr(run, "post_to", lambda server: made.post)
    return made


def run_one(machine, child_says):
    child_says(GOOD)
    experiment = an_experiment(hardware=machine, repeats=8)
    assert run.run_experiment(experiment.pk, hardware_key=machine.key, clock=timezone.now) == "finished"
    experiment.refresh_from_db()
    return experiment


def heard_of(machine, *, seconds_ago, key="greenai-agent"):
    at = timezone.now() - timedelta(seconds=seconds_ago)
    Agent.objects.create(host=machine.host, key=key, first_seen_at=at, last_seen_at=at)


class TestAnExperimentWithoutAnAgent:
    def test_is_metered_by_its_worker_from_before_its_start_to_after_its_end(self, machine, server, steady, child_says):
        experiment = run_one(machine, child_says)
        server.take_in()
        of_job = LedgerHour.objects.filter(job=experiment.job)
        held_s = sum(of_job.values_list("covered_s", flat=True))
        (mark,) = {(m.started_at_us, m.ended_at_us) for m in experiment.job.marks.all()}
        # the first readings come after the mark opened; from there to its end every second is covered
        assert 0 < held_s <= (mark[1] - mark[0]) / 1e6
        assert max(s.measured_at for s in server.samples) > datetime.fromtimestamp(mark[1] / 1e6, UTC).isoformat()
        # 40 W for as long, in kWh
        assert sum(of_job.values_list("it_energy_kwh", flat=True)) == pytest.approx(WATTS * held_s / 3.6e6, rel=1e-6)
        assert "ledger" not in experiment.explanation

    def test_counts_once_where_an_agent_starts_meanwhile(self, machine, server, steady, child_says):
        experiment = run_one(machine, child_says)
        stamps = sorted(sample.measured_at for sample in server.samples)[1:-1]
        between = [  # the agent's readings of the same device, between the worker's
            DeviceSample("cpu-0", _plus_a_millisecond(stamp), power_w=WATTS, seq=number)
            for number, stamp in enumerate(stamps, start=1)
        ]
        info = AgentInfo("greenai-agent", machine.host.name, "boot-1")
        server.post(TelemetryBatch(agent=info, device_samples=between))
        server.take_in()
        of_job = LedgerHour.objects.filter(job=experiment.job)
        held_s = sum(of_job.values_list("covered_s", flat=True))
        assert sum(of_job.values_list("it_energy_kwh", flat=True)) == pytest.approx(WATTS * held_s / 3.6e6, rel=1e-6)

    def test_says_how_much_waits_where_the_server_does_not_answer_and_posts_it_next_time(
        self, machine, steady, tmp_path
    ):
        folder = tmp_path / "spool"
        with StandIn(post=lambda _: Outcome(Kind.BUSY), host_name="box-1", folder=folder) as away:
            pass
        assert "wait for the server" in away.problem
        server = Server(machine.host.site)
        with StandIn(post=server.post, host_name="box-1", folder=folder) as back:
            pass
        assert back.problem == ""
        numbers = sorted(sample.seq for sample in server.samples)
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 6


class TestAnExperimentBesideAnAgent:
    def test_posts_marks_only(self, machine, server, steady, child_says):
        heard_of(machine, seconds_ago=30)
        run_one(machine, child_says)
        assert server.samples == [] and all(batch.job_marks for batch in server.batches)


class TestAgentIsAlive:
    def test_for_six_minutes_after_its_last_word(self):
        machine = a_machine()
        Agent.objects.create(host=machine.host, key="a", first_seen_at=NOW, last_seen_at=NOW)
        assert agent_is_alive("box-1", now=later(359)) and not agent_is_alive("box-1", now=later(361))
        assert not agent_is_alive("box-2", now=NOW)

    def test_a_stand_in_is_no_agent_and_its_silence_is_not_shown(self):
        machine = a_machine()
        Agent.objects.create(host=machine.host, key=Agent.STAND_IN_KEY, first_seen_at=NOW, last_seen_at=NOW)
        assert not agent_is_alive("box-1", now=NOW)
        assert _silent(EVERYTHING, before=later(600), now=later(601)) == []


def _plus_a_millisecond(stamp):
    return (datetime.fromisoformat(stamp) + timedelta(milliseconds=1)).isoformat()
