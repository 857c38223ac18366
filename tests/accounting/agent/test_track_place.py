"""Which GPUs a process may use, which rank it is, and whose child."""

import os
from typing import Any

import pytest

from accounting.agent.sensors.base import SensorUnavailable
from accounting.agent.tracking import place
from accounting.agent.tracking.place import TRACKED_BY, Gpus, job_name, parent_tracks, rank, visible_gpus
from tests.accounting.agent.fake_hardware import FakeDriver, h100

PARENT = "GPU-00000001-0000-4000-8000-0123456789ab"


class Driver(FakeDriver):
    """With slices that can be asked for by name."""

    def nvmlDeviceGetHandleByUUID(self, name: bytes) -> str:
        if name != b"MIG-11111111-2222-3333-4444-555555555555":
            raise self.NVMLError(self.NVML_ERROR_NOT_FOUND)
        return "slice"

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> dict[str, Any]:
        return self.gpus[1]


@pytest.fixture
def nvml() -> Driver:
    return Driver(*(h100(number) for number in range(4)))


def name_of(number: int) -> str:
    return f"gpu-GPU-{number:08x}-0000-4000-8000-0123456789ab"


class TestVisibleGpus:
    @pytest.mark.parametrize(
        ("told", "numbers"),
        [
            ("0", {0}),
            ("1,3", {1, 3}),
            (" 2 , 0 ", {0, 2}),
            ("", set()),
            ("-1", set()),
            ("NoDevFiles", set()),
            ("1,9,2", {1}),  # as CUDA does: what names nothing ends the list
            ("GPU-00000002", {2}),  # the beginning of a name is enough where it is one GPU's
            ("GPU-0", set()),  # and not where it is several'
            (f"MIG-{PARENT}/1/0", {1}),
            ("MIG-11111111-2222-3333-4444-555555555555", {1}),
            ("MIG-99999999-2222-3333-4444-555555555555", set()),
        ],
    )
    def test_are_those_that_cuda_leaves_to_the_process(self, nvml: Driver, told: str, numbers: set[int]) -> None:
        found = visible_gpus({"CUDA_VISIBLE_DEVICES": told}, nvml=nvml)
        assert found == Gpus(frozenset(name_of(n) for n in numbers))
        assert all(found.holds(name_of(n)) == (n in numbers) for n in range(4))

    def test_are_all_where_nothing_is_said(self, nvml: Driver) -> None:
        assert visible_gpus({}, nvml=nvml).holds(name_of(3))

    def test_by_number_are_uncertain_where_the_models_differ(self, nvml: Driver) -> None:
        nvml.gpus[2]["name"] = "NVIDIA L4"
        assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in visible_gpus({"CUDA_VISIBLE_DEVICES": "0"}, nvml=nvml).problem
        ordered = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        assert visible_gpus(ordered, nvml=nvml).problem == ""

    def test_without_a_driver_are_none_rather_than_another_jobs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_driver() -> Any:
            raise SensorUnavailable("no driver", "")

        monkeypatch.setattr(place, "load_pynvml", no_driver)
        found = visible_gpus({"CUDA_VISIBLE_DEVICES": "0"})
        assert found.chosen == frozenset() and "its GPUs are not marked" in found.problem
        assert visible_gpus({"CUDA_VISIBLE_DEVICES": PARENT}) == Gpus(frozenset({f"gpu-{PARENT}"}))

    def test_of_a_driver_that_fails_are_none_and_nothing_is_raised(self, nvml: Driver) -> None:
        nvml.broken = 999
        assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0"}, nvml=nvml).chosen == frozenset()


class TestRank:
    @pytest.mark.parametrize(
        ("env", "speaks_for"),
        [
            ({}, (True, True)),
            ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "16"}, (True, True)),
            ({"RANK": "8", "LOCAL_RANK": "0", "WORLD_SIZE": "16"}, (False, True)),
            ({"RANK": "9", "LOCAL_RANK": "1", "WORLD_SIZE": "16"}, (False, False)),
            ({"SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_NTASKS": "4"}, (False, False)),
            ({"OMPI_COMM_WORLD_RANK": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}, (False, True)),
            ({"RANK": "x"}, (True, True)),
        ],
    )
    def test_one_speaks_for_the_job_and_one_for_each_host(
        self, env: dict[str, str], speaks_for: tuple[bool, bool]
    ) -> None:
        told = rank(env)
        assert (told.speaks_for_job, told.speaks_for_host) == speaks_for

    def test_a_launchers_none_is_no_name(self) -> None:
        assert job_name({"TORCHELASTIC_RUN_ID": "none"}) is None
        assert job_name({"TORCHELASTIC_RUN_ID": "run-7", "SLURM_JOB_ID": "48213"}) == "48213"


class TestParent:
    def test_tracks_for_its_children_while_it_lives(self) -> None:
        assert parent_tracks({TRACKED_BY: str(os.getppid())}, pid=os.getpid())
        assert not parent_tracks({TRACKED_BY: str(os.getpid())}, pid=os.getpid())
        assert not parent_tracks({TRACKED_BY: "999999999"}, pid=os.getpid())
        assert not parent_tracks({TRACKED_BY: "me"}, pid=os.getpid())
