"""Which job holds a device: texts as kernels write them, job files, and which word wins."""

from pathlib import Path

import pytest

from accounting.agent.jobs import JobFinder, job_from_cgroup, parse_job_file
from accounting.agent.wire import JobInfo

SLURM_V1 = """\
12:pids:/system.slice/slurmd.service
11:devices:/slurm/uid_1001/job_48213/step_0/task_0
10:memory:/slurm/uid_1001/job_48213/step_0/task_0
1:name=systemd:/system.slice/slurmd.service
"""
SLURM_V1_SEVERAL_DAEMONS = "4:cpuset:/slurm_gpu07/uid_1001/job_991/step_batch\n"
SLURM_V2 = "0::/system.slice/slurmstepd.scope/job_48213/step_0/user/task_0\n"
SLURM_V2_SEVERAL_DAEMONS = "0::/system.slice/gpu07_slurmstepd.scope/job_77/step_extern/user/task_special\n"
SLURM_V2_ENDS_AT_JOB = "0::/system.slice/slurmstepd.scope/job_48213\n"
SLURM_26 = "0::/system.slice/slurmstepd.scope/s5K1KKYAYG5D00/step_0/user/task_0\n"
POD_V1 = "11:memory:/kubepods/burstable/pod2f3c0de1-6a5b-4c7d-8e9f-0123456789ab/4f5e6d7c8b9a\n"
POD_V1_GUARANTEED = "11:memory:/kubepods/pod2f3c0de1-6a5b-4c7d-8e9f-0123456789ab/4f5e6d7c8b9a\n"
POD_V2 = (
    "0::/kubepods.slice/kubepods-besteffort.slice/"
    "kubepods-besteffort-pod2f3c0de1_6a5b_4c7d_8e9f_0123456789ab.slice/cri-containerd-4f5e6d7c8b9a.scope\n"
)
POD_NESTED = (
    "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
    "kubelet-kubepods-burstable-pod2f3c0de1_6a5b_4c7d_8e9f_0123456789ab.slice/cri-o-4f5e.scope\n"
)
POD_STATIC = "11:memory:/kubepods/burstable/pod8f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f/4f5e6d7c8b9a\n"
POD = "2f3c0de1-6a5b-4c7d-8e9f-0123456789ab"


class TestJobFromCgroup:
    @pytest.mark.parametrize(
        ("text", "job"),
        [
            (SLURM_V1, "48213"),
            (SLURM_V1_SEVERAL_DAEMONS, "991"),
            (SLURM_V2, "48213"),
            (SLURM_V2_SEVERAL_DAEMONS, "77"),
            (SLURM_V2_ENDS_AT_JOB, "48213"),
            (SLURM_26, "s5K1KKYAYG5D00"),
            (POD_V1, POD),
            (POD_V1_GUARANTEED, POD),
            (POD_V2, POD),
            (POD_NESTED, POD),
            (POD_STATIC, "8f1c2d3e4a5b6c7d8e9f0a1b2c3d4e5f"),
        ],
    )
    def test_reads_what_kernels_write(self, text: str, job: str) -> None:
        assert job_from_cgroup(text) == job

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0::/user.slice/user-1000.slice/session-3.scope\n",
            "0::/system.slice/job_12.service\n",  # not Slurm's
            "0::/system.slice/slurmd.service\n",  # the daemon itself
            "0::/system.slice/slurmstepd.scope/system\n",
            "0::/docker/4f5e6d7c8b9a\n",
            "0::/home/pod2f3c0de1-6a5b-4c7d-8e9f-0123456789ab/x\n",  # not Kubernetes'
        ],
    )
    def test_names_no_job_where_there_is_none(self, text: str) -> None:
        assert job_from_cgroup(text) is None


class TestParseJobFile:
    def test_reads_a_key_and_what_follows(self) -> None:
        text = "48213\nteam=vision\nkind=training\nmodel=resnet-50\nname=nightly = run\n"
        assert parse_job_file(text) == JobInfo(
            "48213", team="vision", kind="training", model="resnet-50", name="nightly = run"
        )

    def test_an_empty_file_names_no_job(self) -> None:
        assert parse_job_file("\n \n") is None

    @pytest.mark.parametrize("text", ["x" * 201, "a\x00b", "48213\nowner=me", "48213\nteam"])
    def test_refuses_what_is_no_job(self, text: str) -> None:
        with pytest.raises(ValueError, match="not"):
            parse_job_file(text)


class TestHolders:
    DEVICES = ("cpu-0", "gpu-a", "gpu-b")

    def finder(self, tmp_path: Path, **given: object) -> JobFinder:
        proc = tmp_path / "proc"
        for pid, text in {1: SLURM_V2, 2: SLURM_V2, 3: POD_V2, 4: "0::/user.slice\n"}.items():
            (proc / str(pid)).mkdir(parents=True, exist_ok=True)
            (proc / str(pid) / "cgroup").write_text(text)
        return JobFinder(proc=proc, **given)  # type: ignore[arg-type]

    def test_a_gpu_belongs_to_the_one_job_whose_processes_it_runs(self, tmp_path: Path) -> None:
        held = self.finder(tmp_path).holders(self.DEVICES, {"gpu-a": [1, 2], "gpu-b": [3]})
        assert held == {"gpu-a": "48213", "gpu-b": POD}

    @pytest.mark.parametrize("pids", [[1, 3], [1, 4], [99], []])
    def test_a_shared_or_unknown_gpu_belongs_to_none(self, tmp_path: Path, pids: list[int]) -> None:
        assert self.finder(tmp_path).holders(self.DEVICES, {"gpu-a": pids}) == {}

    def test_the_environment_names_the_job_of_what_nobody_else_claims(self, tmp_path: Path) -> None:
        held = self.finder(tmp_path, env_job="mine").holders(self.DEVICES, {"gpu-a": [1]})
        assert held == {"cpu-0": "mine", "gpu-a": "48213", "gpu-b": "mine"}

    def test_a_job_file_is_read_at_every_tick_and_wins(self, tmp_path: Path) -> None:
        file = tmp_path / "job"
        finder = self.finder(tmp_path, path=file, env_job="mine")
        assert finder.holders(["cpu-0"], {}) == {"cpu-0": "mine"}
        file.write_text("epilog\nteam=vision\n")
        assert finder.holders(["cpu-0", "gpu-a"], {"gpu-a": [1]}) == {"cpu-0": "epilog", "gpu-a": "epilog"}
        assert finder.described() == [JobInfo("epilog", team="vision")]
        file.write_text("")
        assert finder.holders(["cpu-0"], {}) == {"cpu-0": "mine"}
        assert finder.described() == []

    def test_a_folder_names_the_job_of_each_device(self, tmp_path: Path) -> None:
        folder = tmp_path / "jobs"
        folder.mkdir()
        (folder / "gpu-a").write_text("one")
        (folder / "all").write_text("rest")
        held = self.finder(tmp_path, path=folder).holders(self.DEVICES, {})
        assert held == {"cpu-0": "rest", "gpu-a": "one", "gpu-b": "rest"}

    def test_a_file_that_cannot_be_understood_is_told_and_names_no_job(self, tmp_path: Path) -> None:
        file = tmp_path / "job"
        file.write_bytes(b"\xff\xfe")
        finder = self.finder(tmp_path, path=file)
        assert finder.holders(["cpu-0"], {}) == {}
        assert str(file) in finder.trouble
