"""What holds for every sensor: units, counters that only rise, devices as declared, and None where nothing is known.

A bench puts known hardware under each sensor: 10 s at a known power, again and again.
"""

import os
import sys
from abc import ABC, abstractmethod
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from accounting.agent.sensors import nvml
from accounting.agent.sensors.base import Reading, Sensor
from accounting.agent.sensors.codecarbon import CodecarbonSensor
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.nvml import NvmlSensor
from accounting.agent.sensors.procstat import ProcstatSensor
from accounting.agent.sensors.rack import LIVE
from accounting.agent.sensors.rapl import RaplSensor
from accounting.agent.sensors.replay import ReplaySensor
from tests.accounting.agent.fake_hardware import FakeDriver, FakeHost, h100

STEP_S = 10.0


class Bench(ABC):
    """One sensor over hardware whose truth is known. `power_w` and `counted_j` are that truth for one step."""

    of: ClassVar[type[Sensor]]
    sensor: Sensor
    power_w: dict[str, float]
    counted_j: dict[str, float]

    @abstractmethod
    def step(self) -> None:
        """Let 10 s pass at the known power."""


class NvmlBench(Bench):
    of = NvmlSensor

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.driver = FakeDriver(h100(1), h100(2))
        patch.setattr(nvml, "has_driver", lambda: True)
        patch.setitem(sys.modules, "pynvml", self.driver)
        self.sensor = NvmlSensor(Machine())
        devices = [f"gpu-{gpu['uuid']}" for gpu in self.driver.gpus]
        self.power_w = dict.fromkeys(devices, 250.0)
        self.counted_j = dict.fromkeys(devices, 2500.0)  # 250 W * 10 s

    def step(self) -> None:
        for gpu in self.driver.gpus:
            gpu["energy_mj"] += 2_500_000


class RaplBench(Bench):
    """The package counters wrap after the second step: 4000 J below their range, 1500 J a step from 150 W."""

    of = RaplSensor

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.host, self.now_s = FakeHost(folder, sockets=2), 50.0
        self.sensor = RaplSensor(replace(self.host.here, monotonic=lambda: self.now_s))
        self.power_w = {"cpu-0": 150.0, "cpu-1": 60.0, "memory-0": 8.0, "memory-1": 8.0}
        self.counted_j = {device: watts * STEP_S for device, watts in self.power_w.items()}

    def step(self) -> None:
        self.now_s += STEP_S
        self.host.burn("package-0", 1500.0)
        self.host.burn("package-1", 600.0)
        self.host.burn("dram", 80.0)


class ProcstatBench(Bench):
    """30 % load: TEADS has 0.32 at 10 % and 0.75 at 50 %, so 0.535 of 4 threads * 4 W = 8.56 W."""

    of = ProcstatSensor

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.host = FakeHost(folder)
        self.sensor = ProcstatSensor(self.host.here)
        self.power_w = {"cpu-0": 8.56, "memory": 25.598}  # 0.3725 W/GB * 68.719 GB
        self.counted_j = {}

    def step(self) -> None:
        self.host.work(load=0.3, seconds=STEP_S)


class CodecarbonBench(Bench):
    """50 % load on a 125 W CPU: 125 * (0.1 + 0.9 * 0.5^3) = 26.5625 W; 64 GiB is 4 DIMMs of 5 W."""

    of = CodecarbonSensor

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.host = FakeHost(folder)
        (self.host.here.proc / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")  # codecarbon looks itself up
        patch.setattr(psutil, "PROCFS_PATH", str(self.host.here.proc))
        self.sensor = CodecarbonSensor(self.host.here)
        self.power_w = {"cpu-0": 26.5625, "memory": 20.0}
        self.counted_j = {}

    def step(self) -> None:
        self.host.work(load=0.5, seconds=STEP_S)


class ReplayBench(Bench):
    of = ReplaySensor

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        lines = ["measured_at,device,power_w,energy_j,utilization,memory_used_bytes,job,kind,model,tdp_w"]
        for n in range(8):
            lines.append(f"2026-03-01T08:00:{n * 7:02}Z,gpu-0,300,{1000 + n * 3000},0.5,1024,train-1,gpu,A100,400")
            lines.append(f"2026-03-01T08:00:{n * 7:02}Z,cpu-0,90,,,,,,,")
        (folder / "trace.csv").write_text("\n".join(lines) + "\n")
        self.sensor = ReplaySensor(folder / "trace.csv", speed=0.7, monotonic=lambda: self.now_s)
        self.power_w = {"gpu-0": 300.0, "cpu-0": 90.0}
        self.counted_j = {"gpu-0": 3000.0}

    def step(self) -> None:
        self.now_s += STEP_S


BENCHES = (NvmlBench, RaplBench, ProcstatBench, CodecarbonBench, ReplayBench)


@pytest.fixture(params=BENCHES, ids=lambda bench: bench.__name__)
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return request.param(tmp_path, monkeypatch)  # type: ignore[no-any-return]


def read_steps(bench: Bench, steps: int) -> list[dict[str, Reading]]:
    """One reading before any time has passed, then one after each step."""
    read = [list(bench.sensor.read())]
    for _ in range(steps):
        bench.step()
        read.append(list(bench.sensor.read()))
    for readings in read:
        assert len({reading.device for reading in readings}) == len(readings)  # a device speaks once a reading
    return [{reading.device: reading for reading in readings} for readings in read]


class TestEverySensor:
    def test_has_a_bench(self) -> None:
        assert {bench.of for bench in BENCHES} == {*LIVE, ReplaySensor}

    def test_reads_exactly_the_devices_it_declares(self, bench: Bench) -> None:
        declared = [device.device for device in bench.sensor.devices()]
        read = {device for step in read_steps(bench, 2) for device in step}
        assert sorted(declared) == sorted(read) == sorted(bench.power_w)

    def test_power_is_in_watts(self, bench: Bench) -> None:
        for step in read_steps(bench, 4)[1:]:
            assert {d: r.power_w for d, r in step.items()} == pytest.approx(bench.power_w, rel=1e-3)

    def test_energy_is_in_joules_and_only_rises_even_where_the_hardware_wraps(self, bench: Bench) -> None:
        steps = read_steps(bench, 5)[1:]
        for before, after in pairwise(steps):
            for device in bench.power_w:
                first, second = before[device].energy_j, after[device].energy_j
                if device in bench.counted_j:
                    assert first is not None and second is not None
                    assert second - first == pytest.approx(bench.counted_j[device], abs=1e-3)
                else:
                    assert first is None and second is None

    def test_utilization_is_a_share_and_memory_is_in_bytes(self, bench: Bench) -> None:
        for reading in read_steps(bench, 2)[-1].values():
            assert reading.utilization is None or 0 < reading.utilization <= 1
            assert reading.memory_used_bytes is None or isinstance(reading.memory_used_bytes, int)

    def test_the_first_reading_says_nothing_of_an_interval_that_has_not_been(self, bench: Bench) -> None:
        for reading in bench.sensor.read():
            assert reading.power_w is None or reading.power_w == pytest.approx(bench.power_w[reading.device], rel=1e-3)
            assert reading.power_w != 0

    def test_says_whether_it_measures_or_models_and_what_it_speaks_of(self, bench: Bench) -> None:
        kinds = {device.kind for device in bench.sensor.devices()}
        assert kinds <= (bench.sensor.kinds or kinds)
        modelled = isinstance(bench.sensor, (ProcstatSensor, CodecarbonSensor))
        assert bench.sensor.status == ("modelled" if modelled else "measured")

    def test_device_names_fit_the_ledger(self, bench: Bench) -> None:
        assert all(0 < len(device.device) <= 120 for device in bench.sensor.devices())

    def test_can_be_closed(self, bench: Bench) -> None:
        bench.sensor.close()
