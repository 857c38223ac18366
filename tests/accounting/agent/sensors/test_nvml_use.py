"""What each process used of a GPU, and what the agent makes of it for jobs that share one."""

import sys
from pathlib import Path

import pytest

from accounting.agent.jobs import JobFinder
from accounting.agent.sensors import nvml
from accounting.agent.sensors.base import ProcessUse
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.nvml import NvmlSensor
from accounting.agent.sharing import uses_now
from accounting.agent.spool import Spool
from accounting.agent.wire import DeviceSample, DeviceUse
from tests.accounting.agent.fake_hardware import FakeDriver, h100

GPU = "gpu-GPU-00000001-0000-4000-8000-0123456789ab"
AT = "2026-11-20T12:00:00Z"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    fake = FakeDriver(h100(1))
    monkeypatch.setattr(nvml, "has_driver", lambda: True)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def process(proc: Path, pid: int, **environment: str) -> int:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cgroup").write_text("0::/user.slice\n")
    (proc / str(pid) / "environ").write_bytes(b"".join(f"{k}={v}\0".encode() for k, v in environment.items()))
    return pid


class TestUses:
    def test_are_the_mean_of_what_the_driver_sampled_since_last_asked(self, driver: FakeDriver) -> None:
        # 60 and 20 % are 0.4; a process without a sample did nothing
        driver.gpus[0] |= {"pids": [1, 2, 3], "uses": [(1, 100, 60), (1, 200, 20), (2, 200, 30)]}
        sensor = NvmlSensor(Machine())
        assert sensor.uses() == {GPU: [ProcessUse(1, 0.4), ProcessUse(2, 0.3), ProcessUse(3, 0.0)]}
        driver.gpus[0]["uses"].append((1, 300, 90))
        assert sensor.uses()[GPU][0] == ProcessUse(1, 0.9)
        assert sensor.uses()[GPU][0] == ProcessUse(1, 0.0)  # nothing newer

    def test_are_not_told_where_the_driver_does_not_support_it(self, driver: FakeDriver) -> None:
        driver.gpus[0]["pids"] = [1]
        assert NvmlSensor(Machine()).uses() == {GPU: [ProcessUse(1, None)]}

    def test_of_slices_tell_the_slice_and_its_size(self, driver: FakeDriver) -> None:
        slices = [{"id": 1, "size": 3, "pids": [7]}, {"id": 5, "size": 2, "pids": [8, 9]}]
        driver.gpus[0] |= {"mig": [1, 1], "slices": slices}
        assert NvmlSensor(Machine()).uses()[GPU] == [
            ProcessUse(7, None, "gi-1-0", 3 / 7),
            ProcessUse(8, None, "gi-5-1", 2 / 7),
            ProcessUse(9, None, "gi-5-1", 2 / 7),
        ]


class TestUsesOfJobs:
    def test_add_up_the_processes_of_each_job(self, driver: FakeDriver, tmp_path: Path) -> None:
        pids = [
            process(tmp_path, 1, SLURM_JOB_ID="11"),
            process(tmp_path, 2, SLURM_JOB_ID="11"),
            process(tmp_path, 3, GREENAI_JOB_ID="mine"),
            process(tmp_path, 4),
        ]
        driver.gpus[0] |= {"pids": pids, "uses": [(1, 100, 30), (2, 100, 20), (3, 100, 10), (4, 100, 5)]}
        got = uses_now(sensors=[NvmlSensor(Machine())], jobs=JobFinder(proc=tmp_path), at=AT)
        assert got == [DeviceUse(GPU, "11", AT, 0.5), DeviceUse(GPU, "mine", AT, 0.1)]

    def test_are_not_posted_where_one_job_has_the_gpu(self, driver: FakeDriver, tmp_path: Path) -> None:
        driver.gpus[0] |= {"pids": [process(tmp_path, 1, SLURM_JOB_ID="11")], "uses": [(1, 100, 30)]}
        assert uses_now(sensors=[NvmlSensor(Machine())], jobs=JobFinder(proc=tmp_path), at=AT) == []

    def test_no_job_is_said_to_hold_a_gpu_that_two_share(self, tmp_path: Path) -> None:
        pids = [process(tmp_path, 1, SLURM_JOB_ID="11"), process(tmp_path, 2, SLURM_JOB_ID="12")]
        finder = JobFinder(proc=tmp_path, env_job="the agent's own")
        assert finder.holders([GPU], {GPU: pids}) == {}
        assert finder.holders([GPU], {GPU: pids[:1]}) == {GPU: "11"}
        assert finder.holders([GPU], {GPU: []}) == {GPU: "the agent's own"}


class TestSpool:
    def test_keeps_uses_with_the_sample_of_their_device_until_it_is_delivered(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, machine_boot="boot")
        use = DeviceUse(GPU, "11", AT, 0.5)
        samples = [DeviceSample("cpu-0", AT, power_w=1.0), DeviceSample(GPU, AT, power_w=2.0)]
        spool.append(samples, now_s=0.0, marks={}, uses=[use])
        waiting = spool.oldest(10)
        assert waiting is not None and waiting.uses == (use,) and len(waiting.samples) == 2
        spool.acknowledge(waiting)
        assert spool.oldest(10) is None
        spool.close()
