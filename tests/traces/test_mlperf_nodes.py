"""Raw 2 s node power through the agent's replay, the ingest and the ledger, held against the published AC figures.

MLPerf Training v4.0 with power: 7 runs on nodes of 8 H100, with holes beyond 10 s and idle time around the runs. The
files are not part of the product; beside them stands a small trace of the same shape whose sums are worked by hand.
"""

import csv
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from django.db.models import Sum

from accounting.access import issue_token
from accounting.agent.courier import Courier
from accounting.agent.jobs import JobFinder
from accounting.agent.loop import Loop
from accounting.agent.post import Kind, Outcome
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack
from accounting.agent.spool import Spool
from accounting.agent.wire import AgentInfo, JobMark, TelemetryBatch, encode
from accounting.ingest.store import latest_accepted, store
from accounting.ingest.validate import parse
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import DirtyHour, EnergyHour, Site
from tests.accounting.agent.conftest import TurnedClock

pytestmark = pytest.mark.django_db
DATA = Path(__file__).parents[3] / "shared" / "data"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Run:
    """One benchmark run: its nodes' (ms, W) readings, its window, and what was published of it."""

    key: str
    nodes: dict[str, list[tuple[int, float]]]
    start_ms: int
    stop_ms: int
    kwh: float

    def seconds_within(self, *, longer_than_s: float) -> tuple[float, float]:
        """(time between the first and last reading, time of holes), of all nodes, as far as they lie in the window."""
        told_ms = hole_ms = 0
        for readings in self.nodes.values():
            for (a, _), (b, _) in pairwise(readings):
                inside_ms = max(min(b, self.stop_ms) - max(a, self.start_ms), 0)
                told_ms += inside_ms
                hole_ms += inside_ms if b - a > longer_than_s * 1000 else 0
        return told_ms / 1000, hole_ms / 1000

    def holes_outside_s(self, *, longer_than_s: float) -> float:
        long = [
            b - a for node in self.nodes.values() for (a, _), (b, _) in pairwise(node) if b - a > longer_than_s * 1e3
        ]
        return sum(long) / 1000 - self.seconds_within(longer_than_s=longer_than_s)[1]


def written(folder: Path, runs: list[Run]) -> Path:
    """The trace as the replay sensor reads it."""
    path = folder / "nodes.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["measured_at", "device", "power_w", "kind"])
        for run in runs:
            for node, readings in run.nodes.items():
                table.writerows([_at(ms), f"{run.key}:{node}", watts, "node"] for ms, watts in readings)
    return path


def _at(ms: int) -> str:
    return (EPOCH + timedelta(milliseconds=ms)).isoformat()


def replay_into_the_ledger(folder: Path, runs: list[Run]) -> None:
    """The agent plays the trace into a server that reads its bytes; marks say when each run held its nodes."""
    clock = TurnedClock()
    token, _ = issue_token(name="replay", scopes=["ingest"], site=Site.objects.create(name="Lab", slug="lab"))

    def post(batch: TelemetryBatch) -> Outcome:
        checked, errors = parse(encode(batch), latest=latest_accepted(clock.now()))
        reply = store(checked, token=token, now=clock.now(), errors=errors)
        assert (reply.rejected, reply.conflicts) == (0, 0)
        return Outcome(Kind.DELIVERED, reply=reply)

    spool = Spool(None, machine_boot="boot")
    courier = Courier(spool, post, agent_id="replay", host="cluster", clock=clock)
    rack = Rack([f"replay:{written(folder, runs)}"], here=Machine())
    loop = Loop(rack, spool, courier, interval_s=5.0, jobs=JobFinder(), clock=clock)
    loop.tick()
    assert rack.open, rack.unavailable
    while not all(sensor.finished for sensor in rack.open.values()):
        loop.tick()
    assert courier.drain(deadline_s=60.0)
    spool.close()
    marks = [
        JobMark(run.key, _at(run.start_ms), _at(run.stop_ms), device=f"{run.key}:{node}")
        for run in runs
        for node in run.nodes
    ]
    store(TelemetryBatch(agent=AgentInfo("replay", "cluster", "b"), job_marks=marks), token=token, now=clock.now())
    while DirtyHour.objects.exists():
        rebuild_dirty(now=clock.now())


def kwh(run: Run) -> float:
    joules = EnergyHour.objects.filter(job__key=run.key).aggregate(e=Sum("device_energy_j"))["e"]
    return float(joules) / 3.6e6


def covered_s(run: Run) -> float:
    return float(EnergyHour.objects.filter(job__key=run.key).aggregate(s=Sum("covered_s"))["s"])


def missing_s(run: Run) -> float:
    of_run = EnergyHour.objects.filter(device__key__startswith=f"{run.key}:")
    return float(of_run.aggregate(s=Sum("missing_s"))["s"])


def a_run() -> Run:
    """2300 W before and after, 7000 W from 20 s to 320 s, a reading every 2 s, none from 100 to 120 s."""
    start_ms = 1_715_266_092_200
    seconds = [s for s in range(0, 341, 2) if not 100 < s < 120]
    readings = [(start_ms + s * 1000, 7000.0 if 20 <= s <= 320 else 2300.0) for s in seconds]
    # 7000 W x 300 s = 2.1 MJ = 0.583333 kWh
    return Run("steady", {"node_0": readings}, start_ms + 20_000, start_ms + 320_000, 2.1 / 3.6)


def limit(settings, seconds: float) -> None:
    settings.GREENAI = {**settings.GREENAI, "max_gap_s": seconds}


class TestASteadyRun:
    def test_comes_to_its_power_times_its_time_and_idle_around_it_stays_out(self, settings, tmp_path: Path) -> None:
        limit(settings, 30.0)
        run = a_run()
        replay_into_the_ledger(tmp_path, [run])
        assert kwh(run) == pytest.approx(run.kwh, rel=1e-9)
        assert missing_s(run) == 0.0

    def test_at_a_shorter_limit_its_hole_is_missing_and_nothing_else(self, settings, tmp_path: Path) -> None:
        # 280 s of 300 are covered, 20 s missing: 7000 W x 280 s = 1.96 MJ
        limit(settings, 10.0)
        run = a_run()
        replay_into_the_ledger(tmp_path, [run])
        assert (covered_s(run), missing_s(run)) == (280.0, 20.0)
        assert kwh(run) == pytest.approx(1.96 / 3.6, rel=1e-9)


@pytest.fixture(scope="module")
def published() -> list[Run]:
    """The seven runs; a second reading of the same node at the same moment is left out (there are three)."""
    names = ("mlperf_node_power_2s.csv", "mlperf_node_power_windows.csv", "mlperf_train_v4_power_runs.csv")
    if missing := [name for name in names if not (DATA / name).exists()]:
        pytest.skip(f"the public traces are not beside this checkout: {', '.join(missing)}")
    samples, windows, runs = (list(csv.DictReader((DATA / name).read_text().splitlines())) for name in names)
    nodes: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in samples:
        nodes[row["run_id"]][row["node"]].setdefault(int(row["time_unix_ms"]), float(row["node_power_w"]))
    ac_kwh = {row["run_id"]: float(row["node_energy_kwh"]) for row in runs if row["meter"] == "AC"}
    return [
        Run(
            key=window["run_id"],
            nodes={node: sorted(readings.items()) for node, readings in nodes[window["run_id"]].items()},
            start_ms=int(window["run_start_unix_ms"]),
            stop_ms=int(window["run_stop_unix_ms"]),
            kwh=ac_kwh[window["run_id"]],
        )
        for window in windows
    ]


class TestPublishedRuns:
    def test_come_within_seven_thousandths_of_their_ac_meters(self, published, settings, tmp_path: Path) -> None:
        limit(settings, 30.0)
        replay_into_the_ledger(tmp_path, published)
        off = {run.key: kwh(run) / run.kwh - 1 for run in published}
        assert len(off) == 7 and max(map(abs, off.values())) <= 0.007, off

    def test_at_ten_seconds_covered_and_missing_are_the_window(self, published, settings, tmp_path: Path) -> None:
        limit(settings, 10.0)
        replay_into_the_ledger(tmp_path, published)
        holes_s = 0.0
        for run in published:
            told_s, hole_s = run.seconds_within(longer_than_s=10.0)
            holes_s += hole_s
            missing = missing_s(run) - run.holes_outside_s(longer_than_s=10.0)
            assert round(covered_s(run) + missing, 3) == round(told_s, 3), run.key
            assert round(missing, 3) == round(hole_s, 3), run.key
        assert holes_s > 0  # else the limit was not tried
