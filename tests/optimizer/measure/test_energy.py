"""Reading this machine's meter, and the energy of a window."""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from accounting.agent.sensors.base import Reading
from accounting.agent.sensors.machine import Machine
from optimizer.measure.energy import CounterMeter, CpuModelMeter, MeterLog, Recorder, find_meter
from optimizer.measure.protocol import Window


def a_machine(root: Path, *, busy_ticks: int = 0, rapl_uj: int | None = None) -> Machine:
    """Two CPU threads of no known model, and one RAPL package if `rapl_uj` is given."""
    proc, powercap = root / "proc", root / "powercap"
    proc.mkdir(exist_ok=True)
    (proc / "stat").write_text(f"cpu  {busy_ticks} 0 0 1000 0 0 0 0 0 0\n")
    (proc / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Abacus\nprocessor\t: 1\nmodel name\t: Abacus\n")
    if rapl_uj is not None:
        package = powercap / "intel-rapl:0"
        package.mkdir(parents=True, exist_ok=True)
        (package / "name").write_text("package-0\n")
        (package / "max_energy_range_uj").write_text("262143328850\n")
        (package / "energy_uj").write_text(f"{rapl_uj}\n")
    return Machine(proc=proc, powercap=powercap)


class TestFindMeter:
    def test_takes_the_processors_own_counter_where_there_is_one(self, tmp_path: Path) -> None:
        meter = find_meter(a_machine(tmp_path, rapl_uj=5_000_000))
        assert (meter.status, meter.method) == ("MEASURED", "rapl counters of cpu-0")
        before = meter.read_j()
        a_machine(tmp_path, rapl_uj=7_500_000)
        assert meter.read_j() - before == pytest.approx(2.5)

    def test_models_and_says_so_where_there_is_none(self, tmp_path: Path) -> None:
        meter = find_meter(a_machine(tmp_path))
        # an unknown model with 2 threads: codecarbon's 4 W a thread
        assert (meter.status, meter.method) == ("MODELLED", "modelled: TDP 8 W x (0.1 + 0.9 CPU load)")


class TestCpuModelMeter:
    def test_adds_full_power_for_a_busy_second_of_every_thread(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter([0, 10_000_000_000])
        monkeypatch.setattr(time, "monotonic_ns", lambda: next(clock))
        meter = CpuModelMeter(8.0, a_machine(tmp_path))
        a_machine(tmp_path, busy_ticks=500)
        # 10 s: idle share 0.1 x 8 W x 10 s = 8 J; 500 ticks = 5 thread-seconds of 2 threads: 0.9 x 8 W x 2.5 s = 18 J
        assert meter.read_j() == pytest.approx(26.0)


class TestCounterMeter:
    def test_refuses_a_device_without_a_counter(self) -> None:
        class Half:
            name = "half"

            def devices(self) -> Sequence[object]:
                return ()

            def read(self) -> Sequence[Reading]:
                return (Reading("cpu-0", energy_j=1.0), Reading("cpu-1", power_w=5.0))

        with pytest.raises(ValueError, match="cpu-1 answers without an energy counter"):
            CounterMeter([Half()]).read_j()  # type: ignore[list-item]


def a_log() -> MeterLog:
    log = MeterLog("MEASURED", "x")
    for at_s, total_j in ((0, 100.0), (1, 110.0), (2, 110.0), (4, 150.0)):
        log.add(at_s * 10**9, total_j)
    return log


class TestMeterLog:
    def test_interpolates_between_readings(self) -> None:
        # from 0.5 s (105 J) to 3 s (110 + 40 x 1/2 = 130 J)
        assert a_log().energy_j(500_000_000, 3_000_000_000) == pytest.approx(25.0)

    def test_windows_side_by_side_add_up(self) -> None:
        log, cuts = a_log(), [0, 300_000_000, 1_700_000_000, 4_000_000_000]
        parts = [log.energy_j(start, end) or 0.0 for start, end in pairwise(cuts)]
        assert sum(parts) == pytest.approx(log.total_j) == pytest.approx(50.0)

    def test_knows_nothing_of_time_that_it_did_not_see(self) -> None:
        assert a_log().energy_j(3_000_000_000, 4_000_000_001) is None
        assert MeterLog("MEASURED", "x").energy_j(0, 1) is None

    def test_tells_the_draw_of_the_last_moments(self) -> None:
        assert a_log().power_w(over_s=2.0) == pytest.approx(20.0)  # 40 J in 2 s
        assert MeterLog("MEASURED", "x").power_w() is None

    def test_reads_a_window(self) -> None:
        window = Window("work", 0, 0, 0, 1_000_000_000, 1.0, 0.0)
        assert a_log().of(window) == pytest.approx(10.0)


class Steady:
    """A meter of exactly 3 W."""

    status, method = "MEASURED", "steady"

    def read_j(self) -> float:
        return 3.0 * time.monotonic_ns() / 1e9


class TestRecorder:
    def test_covers_every_moment_of_its_block(self) -> None:
        with Recorder(Steady(), interval_s=0.005) as recorder:  # type: ignore[arg-type]
            while recorder.log.power_w() is None:
                time.sleep(0.001)
            start = time.monotonic_ns()
            time.sleep(0.03)
            end = time.monotonic_ns()
        assert recorder.log.energy_j(start, end) == pytest.approx(3.0 * (end - start) / 1e9, rel=0.02)
        assert recorder.failure == ""

    def test_says_why_it_stopped_when_the_meter_fails(self) -> None:
        class Broken(Steady):
            def read_j(self) -> float:
                raise OSError("the counter is gone")

        with Recorder(Broken()) as recorder:  # type: ignore[arg-type]
            pass
        assert recorder.failure == "OSError: the counter is gone"

    def test_meters_this_very_machine(self) -> None:
        meter = find_meter()
        with Recorder(meter) as recorder:
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                pass
        assert recorder.log.total_j > 0
