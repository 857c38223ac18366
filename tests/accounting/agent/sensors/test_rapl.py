"""RAPL zones: which are read, which would count twice, and what a locked counter says."""

import os
from pathlib import Path

import pytest

from accounting.agent.sensors.base import SensorUnavailable
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rapl import RaplSensor
from tests.accounting.agent.fake_hardware import FakeHost


def two_dies(folder: Path, *, second_uj: int) -> FakeHost:
    host = FakeHost(folder, rapl=False)
    host._add_zone("intel-rapl:0", "package-0-die-0", start_uj=5_000_000_000)
    host._add_zone("intel-rapl:1", "package-0-die-1", start_uj=second_uj)
    return host


class TestZones:
    def test_reads_packages_and_dram_and_leaves_out_what_they_contain_or_repeat(self, tmp_path: Path) -> None:
        devices = RaplSensor(FakeHost(tmp_path, sockets=2).here).devices()
        assert [(d.device, d.kind, d.tdp_w) for d in devices] == [
            ("cpu-0", "cpu", 125.0),
            ("memory-0", "memory", None),
            ("cpu-1", "cpu", 125.0),
            ("memory-1", "memory", None),
        ]

    def test_leaves_out_a_kind_that_another_sensor_covers(self, tmp_path: Path) -> None:
        devices = RaplSensor(FakeHost(tmp_path).here, covered={"memory"}).devices()
        assert [d.device for d in devices] == ["cpu-0"]

    def test_a_die_that_mirrors_its_neighbour_is_left_out(self, tmp_path: Path) -> None:
        sensor = RaplSensor(two_dies(tmp_path, second_uj=5_000_200_000).here)
        assert [d.device for d in sensor.devices()] == ["cpu-0-die-0"]
        assert len(sensor.notes()) == 1

    def test_a_die_with_a_counter_of_its_own_is_read(self, tmp_path: Path) -> None:
        sensor = RaplSensor(two_dies(tmp_path, second_uj=9_000_000_000).here)
        assert [d.device for d in sensor.devices()] == ["cpu-0-die-0", "cpu-0-die-1"]

    def test_counters_may_be_bridged_as_far_as_their_range(self, tmp_path: Path) -> None:
        sensor = RaplSensor(FakeHost(tmp_path).here)
        assert sensor.counter_ranges_j()["cpu-0"] == pytest.approx(262_143.32885)


class TestUnavailable:
    def test_a_machine_without_counters_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(SensorUnavailable, match="no package zone") as refused:
            RaplSensor(Machine(proc=tmp_path, powercap=tmp_path / "none"))
        assert "modprobe" in refused.value.remedy

    def test_a_counter_kept_for_root_says_how_to_be_let_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host = FakeHost(tmp_path)
        locked = host.here.powercap / "intel-rapl:0" / "energy_uj"
        read_text = Path.read_text

        def refuse(path: Path, *args: object, **kwargs: object) -> str:
            """Tests may run as root, whom no file mode stops."""
            if path == locked:
                raise PermissionError(13, os.strerror(13), str(path))
            return read_text(path)

        monkeypatch.setattr(Path, "read_text", refuse)
        with pytest.raises(SensorUnavailable, match="CVE-2020-8694") as refused:
            RaplSensor(host.here)
        assert str(locked) in refused.value.reason
        assert "CAP_DAC_READ_SEARCH" in refused.value.remedy
