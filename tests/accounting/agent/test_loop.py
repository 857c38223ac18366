"""The loop over real sensors on fake hardware: stamps, pacing, counters over restarts, and one failure at a time."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pynvml
import pytest

from accounting.agent.courier import Courier
from accounting.agent.jobs import JobFinder
from accounting.agent.loop import Loop
from accounting.agent.post import Kind, Outcome
from accounting.agent.sensors import nvml
from accounting.agent.sensors.rack import Rack
from accounting.agent.spool import Spool
from accounting.agent.wire import DeviceSample
from tests.accounting.agent.conftest import TurnedClock
from tests.accounting.agent.fake_hardware import FakeDriver, FakeHost, h100

GPU = "gpu-GPU-00000001-0000-4000-8000-0123456789ab"


class Host:
    """A machine with RAPL and one GPU, on which the agent can be started again and again."""

    def __init__(self, folder: Path, clock: TurnedClock, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.clock = folder, clock
        self.hardware, self.driver = FakeHost(folder / "hw"), FakeDriver(h100(1))
        patch.setattr(nvml, "has_driver", lambda: True)
        patch.setitem(sys.modules, "pynvml", self.driver)
        self.lives: list[Spool] = []

    def start(self, *sensors: str, boot: str = "boot", interval_s: float = 5.0, **jobs: object) -> Loop:
        """Start the agent, as after a kill: nothing of the life before was closed."""
        self.spool = Spool(self.folder / "spool", machine_boot=boot)
        self.lives.append(self.spool)
        here = replace(self.hardware.here, monotonic=self.clock.monotonic_s)
        rack = Rack(sensors or ("nvml", "rapl"), here=here)
        offline = Courier(self.spool, lambda batch: Outcome(Kind.BUSY), agent_id="a", host="h", clock=self.clock)
        finder = JobFinder(proc=self.hardware.here.proc, **jobs)  # type: ignore[arg-type]
        return Loop(rack, self.spool, offline, interval_s=interval_s, jobs=finder, clock=self.clock)

    def use(self, *, cpu_j: float = 500.0, gpu_j: float = 1250.0, seconds: float = 5.0) -> None:
        self.hardware.burn("package-0", cpu_j)
        self.driver.gpus[0]["energy_mj"] += round(gpu_j * 1000)
        self.clock.advance(seconds)

    def refuse_writes(self) -> None:
        """The disk takes no sample, for a reason that dropping older ones does not cure."""
        abort = "BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        self.spool._file.db.execute(f"CREATE TEMP TRIGGER broken BEFORE INSERT ON main.sample {abort}")

    def take_writes(self) -> None:
        self.spool._file.db.execute("DROP TRIGGER broken")

    def kept(self, device: str | None = None) -> list[DeviceSample]:
        waiting, kept = self.spool.oldest(10_000), []
        while waiting:
            kept += [s for s in waiting.samples if device in (None, s.device)]
            self.spool.acknowledge(waiting)
            waiting = self.spool.oldest(10_000)
        return kept


@pytest.fixture
def host(tmp_path: Path, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    host = Host(tmp_path, clock, monkeypatch)
    yield host
    for spool in host.lives:
        spool.close()


class TestTick:
    def test_stamps_what_it_read_with_time_source_and_status(self, host: Host) -> None:
        host.start().tick()
        assert host.kept(GPU) == [
            DeviceSample(
                GPU,
                "2026-11-20T12:00:00.000000Z",
                power_w=250.0,
                energy_j=1_000_000.0,
                utilization=0.75,
                memory_used_bytes=10 << 30,
                source="agent",
                status="measured",
                seq=1,
            )
        ]

    def test_a_counters_mean_power_comes_with_the_second_reading(self, host: Host) -> None:
        loop = host.start()
        loop.tick()
        host.use(cpu_j=600.0)
        loop.tick()
        first, second = host.kept("cpu-0")
        assert first.power_w is None
        assert second.power_w == pytest.approx(120.0)  # 600 J in 5 s

    def test_reads_no_sooner_than_the_interval_and_never_catches_up_in_a_burst(self, host: Host) -> None:
        loop = host.start("nvml")
        for seconds in (0, 1, 3.9, 0.1, 5, 23, 0, 1.9, 0.1):
            host.clock.advance(seconds)
            loop.tick()
        assert [s.measured_at[14:19] for s in host.kept()] == ["00:00", "00:05", "00:10", "00:33", "00:35"]

    def test_what_a_driver_calls_nan_was_not_measured(self, host: Host) -> None:
        host.driver.gpus[0]["power_mw"] = float("nan")
        loop = host.start("nvml")
        loop.tick()
        assert host.kept()[0].power_w is None
        del host.driver.gpus[0]["energy_mj"]
        host.clock.advance(5)
        loop.tick()
        assert host.kept() == []  # neither power nor energy: nothing to say

    def test_names_the_job_that_holds_the_device(self, host: Host) -> None:
        (host.hardware.here.proc / "4711").mkdir()
        (host.hardware.here.proc / "4711" / "cgroup").write_text("0::/system.slice/slurmstepd.scope/job_48213/step_0\n")
        host.driver.gpus[0]["pids"] = [4711]
        loop = host.start(env_job="mine")
        loop.tick()
        assert {s.device: s.job for s in host.kept()} == {GPU: "48213", "cpu-0": "mine", "memory-0": "mine"}


class TestRestart:
    def test_goes_on_in_the_same_stream_with_counters_that_span_the_hole(self, host: Host) -> None:
        host.start().tick()
        stream = host.spool.stream
        host.use(cpu_j=4200.0, gpu_j=9000.0, seconds=60)  # the package counter wraps 4000 J on
        host.start().tick()
        assert host.spool.stream == stream
        kept = host.kept()
        assert [s.seq for s in kept] == [1, 2, 3, 4, 5, 6]
        cpu = [s.energy_j or 0 for s in kept if s.device == "cpu-0"]
        gpu = [s.energy_j or 0 for s in kept if s.device == GPU]
        assert cpu[1] - cpu[0] == pytest.approx(4200.0)
        assert gpu[1] - gpu[0] == pytest.approx(9000.0)

    def test_a_hole_too_long_for_a_wrapping_counter_begins_a_new_stream(self, host: Host) -> None:
        host.start().tick()
        stream = host.spool.stream
        host.use(seconds=3600)
        host.start().tick()
        assert host.spool.stream != stream
        assert [(s.seq, s.measured_at[11:13]) for s in host.kept("cpu-0")] == [(2, "12"), (2, "13")]

    def test_a_reboot_begins_a_new_stream(self, host: Host) -> None:
        host.start(boot="boot-1").tick()
        stream = host.spool.stream
        host.start(boot="boot-2").tick()
        assert host.spool.stream != stream


class TestTrouble:
    def test_a_reloaded_driver_begins_a_new_stream(self, host: Host) -> None:
        loop = host.start("nvml")
        loop.tick()
        stream = host.spool.stream
        host.use(gpu_j=-900_000.0)
        loop.tick()
        assert host.spool.stream != stream
        assert [s.seq for s in host.kept()] == [1, 1]

    def test_a_clock_set_back_begins_a_new_stream(self, host: Host) -> None:
        loop = host.start("nvml")
        loop.tick()
        stream = host.spool.stream
        host.use()
        host.clock.wall -= timedelta(hours=1)
        loop.tick()
        assert host.spool.stream != stream
        host.use()
        host.clock.wall += timedelta(hours=1)
        loop.tick()
        assert [s.measured_at[11:19] for s in host.kept()] == ["12:00:00", "11:00:05", "12:00:10"]

    def test_one_sensor_that_fails_does_not_stop_the_other_and_is_tried_again(self, host: Host) -> None:
        loop = host.start()
        loop.tick()
        host.driver.broken = pynvml.NVML_ERROR_UNKNOWN
        host.use()
        loop.tick()
        host.driver.broken = None
        for _ in range(12):
            host.use()
            loop.tick()
        devices = [s.device for s in host.kept()]
        assert devices.count("cpu-0") == 14
        assert 2 <= devices.count(GPU) < 14

    def test_a_disk_that_takes_nothing_costs_samples_only(self, host: Host) -> None:
        loop = host.start("nvml")
        loop.tick()
        host.refuse_writes()
        for _ in range(3):
            host.use()
            loop.tick()
        assert host.spool.dropped == 3
        host.take_writes()
        host.use()
        loop.tick()
        assert [s.seq for s in host.kept()] == [1, 2]

    def test_a_break_that_could_not_be_written_is_not_forgotten(self, host: Host) -> None:
        loop = host.start("nvml")
        loop.tick()
        stream = host.spool.stream
        host.refuse_writes()
        host.use(gpu_j=-900_000.0)
        loop.tick()
        assert host.spool.stream == stream  # nothing was written, so nothing changed
        host.take_writes()
        host.use()
        loop.tick()
        assert host.spool.stream != stream
        assert [s.seq for s in host.kept()] == [1, 1]
