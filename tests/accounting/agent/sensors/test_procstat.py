"""The built-in model: the published curve, point by point, and the facts of the machine that feed it."""

from pathlib import Path

import pytest

from accounting.agent.sensors.base import SensorUnavailable
from accounting.agent.sensors.machine import CpuTimes, Machine
from accounting.agent.sensors.procstat import ProcstatSensor, cpu_power_w
from tests.accounting.agent.fake_hardware import CPU_MODEL, FakeHost


class TestCpuPower:
    @pytest.mark.parametrize(
        ("load", "watts"),
        [
            (0.0, 12.0),
            (0.05, 22.0),  # halfway from 0.12 to 0.32
            (0.1, 32.0),
            (0.3, 53.5),  # halfway from 0.32 to 0.75
            (0.5, 75.0),
            (0.75, 88.5),  # halfway from 0.75 to 1.02
            (1.0, 102.0),
        ],
    )
    def test_follows_the_teads_curve_of_a_100_w_cpu(self, load: float, watts: float) -> None:
        assert cpu_power_w(load, 100.0) == pytest.approx(watts)

    @pytest.mark.parametrize("load", [-0.01, 1.01, float("nan")])
    def test_refuses_a_load_that_is_none(self, load: float) -> None:
        with pytest.raises(ValueError, match="not between 0 and 1"):
            cpu_power_w(load, 100.0)


class TestProcstatSensor:
    def test_says_when_the_tdp_is_a_guess_and_takes_the_operators_word(self, tmp_path: Path) -> None:
        here = FakeHost(tmp_path).here
        assert "--cpu-tdp-w" in ProcstatSensor(here).notes()[0]
        told = ProcstatSensor(Machine(proc=here.proc, powercap=here.powercap, cpu_tdp_w=150.0))
        assert told.notes() == ()
        assert told.devices()[0].tdp_w == 150.0

    def test_fills_only_what_is_not_covered(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path)
        sensor = ProcstatSensor(host.here, covered={"cpu"})
        host.work(load=0.5, seconds=5)
        assert [d.device for d in sensor.devices()] == [r.device for r in sensor.read()] == ["memory"]

    def test_a_system_without_proc_says_what_it_needs(self, tmp_path: Path) -> None:
        with pytest.raises(SensorUnavailable, match="no CPU times") as refused:
            ProcstatSensor(Machine(proc=tmp_path))
        assert "Linux" in refused.value.remedy


class TestMachine:
    def test_reads_model_sockets_threads_and_memory(self, tmp_path: Path) -> None:
        here = FakeHost(tmp_path, sockets=2).here
        assert (here.cpu_model(), here.cpu_sockets(), here.cpu_threads()) == (CPU_MODEL, 2, 8)
        assert here.memory_bytes() == (64 << 30, 16 << 30)

    def test_stolen_time_is_neither_work_nor_rest_of_ours(self, tmp_path: Path) -> None:
        (tmp_path / "stat").write_text("cpu  100 0 50 800 50 5 5 990 60 0\n")
        # busy 100+0+50+5+5; total adds idle 800, iowait 50, steal 990; guest 60 is already in user
        assert Machine(proc=tmp_path).cpu_times() == CpuTimes(busy=160, total=2000)

    def test_no_interval_is_no_load(self) -> None:
        assert CpuTimes(5, 10).load_since(CpuTimes(5, 10)) is None
        assert CpuTimes(15, 30).load_since(CpuTimes(5, 10)) == 0.5

    @pytest.mark.parametrize("text", ["", "cpu 1 2 3\n", "intr 5 5 5 5 5 5 5 5 5\n"])
    def test_refuses_another_shape(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "stat").write_text(text)
        with pytest.raises(ValueError, match="does not begin with a cpu line"):
            Machine(proc=tmp_path).cpu_times()
