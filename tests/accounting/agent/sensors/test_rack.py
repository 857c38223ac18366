"""Which sensors are chosen, and that no device is ever read by two of them."""

import sys
from pathlib import Path

import pytest

from accounting.agent.sensors import nvml
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack, UnknownSensor
from tests.accounting.agent.fake_hardware import FakeDriver, FakeHost, h100


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "has_driver", lambda: False)


def opened(here: Machine, *names: str) -> Rack:
    rack = Rack(names, here=here)
    rack.open_missing()
    return rack


def devices(rack: Rack) -> dict[str, str]:
    return {device.device: name for name, sensor in rack.open.items() for device in sensor.devices()}


class TestAuto:
    def test_meters_cover_what_they_can_and_a_model_fills_nothing_they_cover(self, tmp_path: Path) -> None:
        rack = opened(FakeHost(tmp_path).here, "auto")
        assert devices(rack) == {"cpu-0": "rapl", "memory-0": "rapl"}
        assert rack.states() == {
            "nvml": "no NVIDIA driver here (libnvidia-ml.so.1 cannot be loaded)",
            "rapl": "ok",
            "codecarbon": "not needed: cpu and memory covered by rapl",
            "procstat": "not needed: cpu and memory covered by rapl",
        }

    def test_a_model_fills_the_memory_that_rapl_does_not_show(self, tmp_path: Path) -> None:
        host = FakeHost(tmp_path, rapl=False)
        host._add_zone("intel-rapl:0", "package-0", start_uj=1)
        assert devices(opened(host.here, "auto")) == {"cpu-0": "rapl", "memory": "codecarbon"}

    def test_without_codecarbon_the_built_in_model_stands_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("codecarbon", "codecarbon.external.hardware"):
            monkeypatch.setitem(sys.modules, name, None)
        rack = opened(FakeHost(tmp_path, rapl=False).here, "auto")
        assert devices(rack) == {"cpu-0": "procstat", "memory": "procstat"}
        assert "not installed" in rack.states()["codecarbon"]

    def test_whatever_the_order_asked_a_meter_goes_first(self, tmp_path: Path) -> None:
        assert devices(opened(FakeHost(tmp_path).here, "procstat", "rapl")) == {"cpu-0": "rapl", "memory-0": "rapl"}

    def test_a_driver_that_appears_later_is_taken_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rack = opened(FakeHost(tmp_path).here, "auto")
        assert not rack.open_missing()
        monkeypatch.setattr(nvml, "has_driver", lambda: True)
        monkeypatch.setitem(sys.modules, "pynvml", FakeDriver(h100(1)))
        assert rack.open_missing()
        assert rack.states()["nvml"] == "ok"


class TestFail:
    def test_a_failed_meter_leaves_its_devices_to_the_model_until_it_is_back(self, tmp_path: Path) -> None:
        rack = opened(FakeHost(tmp_path).here, "rapl", "procstat")
        rack.fail("rapl", OSError("no such file"))
        assert rack.states()["rapl"] == "OSError: no such file"
        assert rack.open_missing()
        assert devices(rack) == {"cpu-0": "rapl", "memory-0": "rapl"}


class TestNames:
    def test_refuses_a_name_that_stands_for_no_sensor(self) -> None:
        with pytest.raises(UnknownSensor, match="'wattmeter'"):
            Rack(["wattmeter"], here=Machine())

    def test_tells_a_replay_without_its_path(self, tmp_path: Path) -> None:
        rack = opened(Machine(), f"replay:{tmp_path / 'secret-project.csv'}")
        assert list(rack.states()) == ["replay"]
