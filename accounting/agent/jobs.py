"""Which job holds a device now. The best word wins: a job file, then the GPU's processes, then GREENAI_JOB_ID.

A process belongs to the job of its control group; else to that which its own environment names. Where the processes of
several jobs are on a device, none of them holds it alone: what each uses is told beside the sample.

A sample names the job that holds its device when it is taken, so a job's edges are known to one interval.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from accounting.agent.wire import JobInfo

MAX_FILE_BYTES = 4096
MAX_KEY = 200
ENVIRONMENT = ("SLURM_JOB_ID", "GREENAI_JOB_ID")
FIELDS = ("name", "kind", "model", "team", "project")

SLURM = re.compile(r"/job_(\d+)(?=/|$)", re.MULTILINE)  # cgroup v1, and v2 up to Slurm 25
SLURM_26 = re.compile(r"slurmstepd\.scope/(s[0-9A-Z]{13})(?=/|$)", re.MULTILINE)  # by SLUID
POD = re.compile(r"kubepods[^\n]*?[-/]pod([0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12})(?=[/.]|$)", re.MULTILINE)


def job_from_cgroup(text: str) -> str | None:
    """The scheduler's name for the job, from a /proc/<pid>/cgroup: a Slurm job id, or a Kubernetes pod's uid."""
    if "slurm" in text and (found := SLURM.search(text) or SLURM_26.search(text)):
        return found.group(1)
    if found := POD.search(text):
        digits = re.sub(r"[-_]", "", found.group(1))
        if not re.search(r"[-_]", found.group(1)):
            return digits  # a static pod's uid is a bare hash
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return None


def parse_job_file(text: str) -> JobInfo | None:
    """The job's key on the first line; `name=`, `kind=`, `model=`, `team=` and `project=` may follow, a line each.

    Raises:
        ValueError: the key is too long, or a line is none of these.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    if len(lines[0]) > MAX_KEY or not lines[0].isprintable():
        raise ValueError(f"not a job key of at most {MAX_KEY} printable characters: {lines[0][:40]!r}")
    described: dict[str, str] = {}
    for line in lines[1:]:
        name, separator, value = line.partition("=")
        if not separator or name not in FIELDS:
            raise ValueError(f"{line[:40]!r} is not one of {'=, '.join(FIELDS)}=")
        described[name] = value
    return JobInfo(lines[0], **described)


@dataclass(slots=True)
class JobFinder:
    """Asked at every tick. `path` is one file for the whole host, or a folder with a file a device and `all`."""

    env_job: str | None = None
    path: Path | None = None
    proc: Path = Path("/proc")
    trouble: str = ""
    _described: dict[str, JobInfo] = field(default_factory=dict)
    _of_pid: dict[int, str | None] = field(default_factory=dict)  # as found since the last tick began

    def holders(self, devices: Iterable[str], processes: Mapping[str, Sequence[int]]) -> dict[str, str]:
        """Device -> key of the job that holds it; a device that no job holds, or several do, is absent."""
        self.trouble, self._described, self._of_pid = "", {}, {}
        host_job = self._from_file(self.path) if self.path and not self.path.is_dir() else self._in_folder("all")
        held = {}
        for device in devices:
            key = self._in_folder(device) or host_job or self._of_processes(processes.get(device, ()))
            if key:
                held[device] = key
        return held

    def described(self) -> list[JobInfo]:
        """What the job files say of their jobs, beyond the key."""
        return list(self._described.values())

    def _in_folder(self, name: str) -> str | None:
        if self.path is None or not self.path.is_dir() or "/" in name:
            return None
        return self._from_file(self.path / name)

    def _from_file(self, path: Path) -> str | None:
        try:
            with path.open("rb") as file:
                job = parse_job_file(file.read(MAX_FILE_BYTES).decode())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self.trouble = f"{path} names no job: {error}"
            return None
        if job is None:
            return None
        if job != JobInfo(job.job):
            self._described[job.job] = job
        return job.job

    def job_of(self, pid: int) -> str | None:
        """The job of a process, by its control group, else by its environment (which only its user may read)."""
        if pid not in self._of_pid:
            self._of_pid[pid] = self._find(pid)
        return self._of_pid[pid]

    def _find(self, pid: int) -> str | None:
        try:
            found = job_from_cgroup(self._read(pid, "cgroup"))
        except OSError:
            found = None
        return found or self._named_by(pid)

    def _read(self, pid: int, name: str) -> str:
        """Raises:
        OSError: the process is gone, or another user's.
        """
        with open(f"{self.proc}/{pid}/{name}", "rb") as file:  # every GPU's processes, every second: no Path objects
            return file.read().decode(errors="replace")

    def _named_by(self, pid: int) -> str | None:
        try:
            text = self._read(pid, "environ")
        except OSError:
            return None
        set_to = dict(entry.partition("=")[::2] for entry in text.split("\0"))
        named = next((set_to[name] for name in ENVIRONMENT if set_to.get(name)), None)
        return named if named and len(named) <= MAX_KEY and named.isprintable() else None

    def _of_processes(self, pids: Sequence[int]) -> str | None:
        """The one job of all of them, else the agent's own; None where they are of several jobs."""
        found = {self.job_of(pid) for pid in pids}
        jobs = found - {None}
        if len(jobs) > 1:
            return None
        return jobs.pop() if len(found) == 1 and jobs else self.env_job
