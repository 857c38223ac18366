"""GPUs through the driver's binding: what each answer becomes, and what one lost GPU costs."""

import sys

import pynvml
import pytest

from accounting.agent.sensors import nvml
from accounting.agent.sensors.base import Reading, SensorUnavailable
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.nvml import NvmlSensor
from accounting.agent.wire import DeviceInfo
from tests.accounting.agent.fake_hardware import FakeDriver, h100


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    fake = FakeDriver(h100(1), h100(2))
    monkeypatch.setattr(nvml, "has_driver", lambda: True)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


class TestNvml:
    def test_describes_a_gpu_by_its_uuid(self, driver: FakeDriver) -> None:
        assert NvmlSensor(Machine()).devices()[0] == DeviceInfo(
            "gpu-GPU-00000001-0000-4000-8000-0123456789ab",
            "gpu",
            model="NVIDIA H100 80GB HBM3",
            tdp_w=700.0,
            memory_bytes=80 << 30,
        )

    def test_turns_milliwatts_and_millijoules_into_watts_and_joules(self, driver: FakeDriver) -> None:
        assert NvmlSensor(Machine()).read()[0] == Reading(
            "gpu-GPU-00000001-0000-4000-8000-0123456789ab",
            power_w=250.0,
            energy_j=1_000_000.0,
            utilization=0.75,
            memory_used_bytes=10 << 30,
        )

    def test_what_a_gpu_does_not_support_is_none_and_a_true_zero_is_zero(self, driver: FakeDriver) -> None:
        del driver.gpus[0]["energy_mj"], driver.gpus[0]["limit_mw"], driver.gpus[0]["memory"]
        driver.gpus[0]["percent"] = 0
        sensor = NvmlSensor(Machine())
        assert sensor.devices()[0].tdp_w is None
        reading = sensor.read()[0]
        assert (reading.energy_j, reading.utilization, reading.memory_used_bytes) == (None, 0.0, None)

    def test_a_split_gpu_is_noted(self, driver: FakeDriver) -> None:
        driver.gpus[1]["mig"] = [1, 1]
        del driver.gpus[1]["percent"]
        sensor = NvmlSensor(Machine())
        assert [note.split(":")[0] for note in sensor.notes()] == [
            "gpu-GPU-00000002-0000-4000-8000-0123456789ab is split by MIG"
        ]
        assert sensor.read()[1].utilization is None
        assert sensor.read()[1].power_w == 250.0

    def test_one_gpu_off_the_bus_does_not_silence_the_other(self, driver: FakeDriver) -> None:
        sensor = NvmlSensor(Machine())
        driver.gpus[0]["lost"] = pynvml.NVML_ERROR_GPU_IS_LOST
        assert [reading.device[-36:-28] for reading in sensor.read()] == ["00000002"]
        again = NvmlSensor(Machine())
        assert len(again.devices()) == 1
        assert again.notes() == ["GPU 0 answers 'GPU is lost'"]

    def test_a_driver_that_went_away_is_a_failure_not_a_zero(self, driver: FakeDriver) -> None:
        sensor = NvmlSensor(Machine())
        driver.broken = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
        with pytest.raises(pynvml.NVMLError):
            sensor.read()
        sensor.close()  # not even closing raises then

    def test_names_the_processes_on_each_gpu(self, driver: FakeDriver) -> None:
        driver.gpus[0]["pids"] = [4711, 4712]
        assert list(NvmlSensor(Machine()).processes().values()) == [[4711, 4712], []]

    def test_says_why_it_does_not_work(self, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
        driver.broken = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
        with pytest.raises(SensorUnavailable, match="version mismatch") as refused:
            NvmlSensor(Machine())
        assert "nvidia-smi" in refused.value.remedy
        driver.broken, driver.gpus = None, []
        with pytest.raises(SensorUnavailable, match="shows no GPU"):
            NvmlSensor(Machine())
        monkeypatch.setitem(sys.modules, "pynvml", None)
        with pytest.raises(SensorUnavailable) as refused:
            NvmlSensor(Machine())
        assert refused.value.remedy == "pip install nvidia-ml-py"
        monkeypatch.setattr(nvml, "has_driver", lambda: False)
        with pytest.raises(SensorUnavailable, match="no NVIDIA driver here"):
            NvmlSensor(Machine())
