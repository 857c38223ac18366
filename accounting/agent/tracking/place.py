"""Where this process stands: its rank among those of a distributed job, the GPUs it may use, its parent.

Everything comes from the environment that launchers set: torchrun, Slurm, Open MPI, Intel MPI.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accounting.agent.sensors.base import SensorUnavailable
from accounting.agent.sensors.nvml import load_pynvml

RANK = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
LOCAL_RANK = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID")
WORLD_SIZE = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
JOB_NAME = ("GREENAI_JOB_ID", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID")
NO_NAME = {"", "none"}  # torchrun without --rdzv-id says none
TRACKED_BY = "GREENAI_TRACKED_BY"  # process id of the parent whose job this process belongs to
FULL_UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OLD_MIG = re.compile(r"MIG-(GPU-[0-9a-f-]{36})/\d+/\d+")


@dataclass(frozen=True, slots=True)
class Rank:
    """Which of a job's processes this is. None: not told."""

    of_job: int | None = None
    of_host: int | None = None
    processes: int = 1

    @property
    def speaks_for_job(self) -> bool:
        """One process alone says when the job began and ended."""
        return not self.of_job

    @property
    def speaks_for_host(self) -> bool:
        """One process of each host meters it and marks what is not a GPU."""
        return not self.of_host


def rank(env: Mapping[str, str]) -> Rank:
    return Rank(_number(env, RANK), _number(env, LOCAL_RANK), _number(env, WORLD_SIZE) or 1)


def job_name(env: Mapping[str, str]) -> str | None:
    """The scheduler's name for the job, which all its processes share."""
    return next((env[name] for name in JOB_NAME if env.get(name, "").lower() not in NO_NAME), None)


def parent_tracks(env: Mapping[str, str], *, pid: int) -> bool:
    """Whether this process is a child (a data loader's worker, a spawned rank) of one that tracks the job."""
    told = env.get(TRACKED_BY, "")
    return told.isdigit() and int(told) != pid and is_alive(int(told))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True, slots=True)
class Gpus:
    """Devices by the agent's names for them. `chosen` None: all that the machine has."""

    chosen: frozenset[str] | None = None
    problem: str = ""

    def holds(self, device: str) -> bool:
        return self.chosen is None or device in self.chosen


def visible_gpus(env: Mapping[str, str], *, nvml: Any = None) -> Gpus:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves to this process; of a MIG slice the GPU that it is part of.

    Numbers count as nvidia-smi does, which CUDA does too where all GPUs are of one model or CUDA_DEVICE_ORDER says
    PCI_BUS_ID. Like CUDA, an entry that names nothing ends the list. A GPU that cannot be told is not marked: energy
    that is missing is shown, where another job's would not be.
    """
    told = env.get("CUDA_VISIBLE_DEVICES")
    if told is None:
        return Gpus()
    words = [word.strip() for word in told.split(",") if word.strip()]
    if not words or words[0] in ("-1", "NoDevFiles"):
        return Gpus(frozenset())
    try:
        names = _Names(nvml or _open_nvml())
    except Exception as error:  # whatever a driver does, it must not end the job
        full = [match[0] for word in words if (match := FULL_UUID.search(word)) and not word.startswith("MIG-")]
        full += [match[1] for word in words if (match := OLD_MIG.fullmatch(word))]
        problem = "" if len(full) == len(words) else f"CUDA_VISIBLE_DEVICES={told}: {error}, so its GPUs are not marked"
        return Gpus(frozenset(f"gpu-{uuid}" for uuid in full), problem)
    found = []
    for word in words:
        if (uuid := names.uuid_of(word)) is None:
            break
        found.append(f"gpu-{uuid}")
    mixed = names.are_mixed and any(word.isdigit() for word in words) and env.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
    problem = "GPUs of several models: set CUDA_DEVICE_ORDER=PCI_BUS_ID so that their numbers are certain"
    return Gpus(frozenset(found), problem if mixed else "")


class _Names:
    """What the driver calls its GPUs."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        self._uuids = [_text(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
        self.are_mixed = len({_text(nvml.nvmlDeviceGetName(handle)) for handle in handles}) > 1

    def uuid_of(self, word: str) -> str | None:
        if word.isdigit():
            return self._uuids[int(word)] if int(word) < len(self._uuids) else None
        if match := OLD_MIG.fullmatch(word):
            return match[1]
        if word.startswith("MIG-"):
            return self._parent_of(word)
        found = [uuid for uuid in self._uuids if uuid.startswith(word)]
        return found[0] if len(found) == 1 else None

    def _parent_of(self, mig_uuid: str) -> str | None:
        try:
            slice_ = self._nvml.nvmlDeviceGetHandleByUUID(mig_uuid.encode())
            parent = self._nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(slice_)
            return _text(self._nvml.nvmlDeviceGetUUID(parent))
        except self._nvml.NVMLError:
            return None


def _open_nvml() -> Any:
    """Initialised and left so: the driver counts, and the sensors beside it do the same.

    Raises:
        SensorUnavailable: no driver, no binding, or the driver does not answer.
    """
    archive = Path(__file__).parents[3]
    if archive.is_file() and (bundled := f"{archive}/bundled") not in sys.path:  # imported out of greenai-agent.pyz
        sys.path.append(bundled)
    nvml = load_pynvml()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise SensorUnavailable(f"the NVIDIA driver answers {str(error)!r}", "see whether nvidia-smi works") from error
    return nvml


def _number(env: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    return next((int(env[name]) for name in names if env.get(name, "").isdigit()), None)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
