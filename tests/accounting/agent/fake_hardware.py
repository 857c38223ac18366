"""Hardware that a test turns: a sysfs and a procfs tree, and an NVIDIA driver. Fakes at the outer edge only."""

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pynvml

from accounting.agent.sensors.machine import Machine

CPU_MODEL = "Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz"


class FakeHost:
    """A host with `sockets` CPUs of 4 threads each, 64 GiB of memory, and (unless told otherwise) RAPL."""

    def __init__(self, root: Path, *, sockets: int = 1, rapl: bool = True, range_uj: int = 262_143_328_850) -> None:
        self.here = Machine(proc=root / "proc", powercap=root / "powercap")
        self.range_uj = range_uj
        self.counters: dict[Path, int] = {}
        self.busy, self.idle = 1000, 9000
        threads = "\n".join(
            f"processor\t: {n}\nmodel name\t: {CPU_MODEL}\nphysical id\t: {n // 4}\n" for n in range(4 * sockets)
        )
        self._write(self.here.proc / "cpuinfo", threads)
        self._write(self.here.proc / "meminfo", "MemTotal: 67108864 kB\nMemFree: 10 kB\nMemAvailable: 50331648 kB\n")
        self.work(load=0.0, seconds=0)
        self.here.powercap.mkdir()
        if rapl:
            self._add_zone("intel-rapl:9", "psys", start_uj=7)
            for socket in range(sockets):
                package = self._add_zone(f"intel-rapl:{socket}", f"package-{socket}", start_uj=range_uj - 4_000_000_000)
                self._write(package / "constraint_0_max_power_uw", "125000000")
                inner = f"intel-rapl:{socket}/intel-rapl:{socket}"
                self._add_zone(f"{inner}:0", "core", start_uj=5)
                self._add_zone(f"{inner}:1", "dram", start_uj=1_000_000 * (socket + 1))
            self._add_zone("intel-rapl-mmio:0", "package-0", start_uj=1)

    def work(self, *, load: float, seconds: float) -> None:
        """Pass time at 100 ticks a second with the CPUs this busy. Half a tick's guest time is already in user."""
        self.busy += round(100 * seconds * load)
        self.idle += round(100 * seconds * (1 - load))
        line = f"cpu  {self.busy - 30} 10 10 {self.idle - 100} 100 5 5 400 {self.busy // 2} 0"
        self._write(self.here.proc / "stat", f"{line}\ncpu0 1 2 3 4 5 6 7 8 9 0\n")

    def burn(self, zone: str, joules: float) -> None:
        """Add energy to every zone of this name, wrapping as the hardware does."""
        for folder, counter in self.counters.items():
            if (folder / "name").read_text() == zone + "\n":
                self.counters[folder] = (counter + round(joules * 1e6)) % self.range_uj
                self._write(folder / "energy_uj", f"{self.counters[folder]}\n")

    def _add_zone(self, path: str, name: str, *, start_uj: int) -> Path:
        folder = self.here.powercap / path
        self._write(folder / "name", f"{name}\n")
        self._write(folder / "max_energy_range_uj", f"{self.range_uj}\n")
        self._write(folder / "energy_uj", f"{start_uj}\n")
        self.counters[folder] = start_uj
        return folder

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class FakeDriver(ModuleType):
    """The NVML binding with its own errors and constants, over GPUs that are dicts. A missing entry: not supported."""

    NVMLError = pynvml.NVMLError
    NVML_ERROR_NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
    NVML_ERROR_NO_PERMISSION = pynvml.NVML_ERROR_NO_PERMISSION
    NVML_ERROR_FUNCTION_NOT_FOUND = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    NVML_ERROR_NO_DATA = pynvml.NVML_ERROR_NO_DATA
    NVML_ERROR_NOT_FOUND = pynvml.NVML_ERROR_NOT_FOUND
    NVML_SUCCESS = pynvml.NVML_SUCCESS

    def __init__(self, *gpus: dict[str, Any]) -> None:
        super().__init__("pynvml")
        self.gpus = list(gpus)
        self.broken: int | None = None  # an NVML error code that everything answers

    def nvmlInit(self) -> None:
        self._check()

    def nvmlShutdown(self) -> None:
        self._check()

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        self._check(self.gpus[index])
        return self.gpus[index]

    def nvmlDeviceGetUUID(self, gpu: dict[str, Any]) -> Any:
        return self._of(gpu, "uuid")

    def nvmlDeviceGetName(self, gpu: dict[str, Any]) -> Any:
        return self._of(gpu, "name")

    def nvmlDeviceGetPowerUsage(self, gpu: dict[str, Any]) -> Any:
        return self._of(gpu, "power_mw")

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: dict[str, Any]) -> Any:
        return self._of(gpu, "energy_mj")

    def nvmlDeviceGetPowerManagementDefaultLimit(self, gpu: dict[str, Any]) -> Any:
        return self._of(gpu, "limit_mw")

    def nvmlDeviceGetUtilizationRates(self, gpu: dict[str, Any]) -> Any:
        return SimpleNamespace(gpu=self._of(gpu, "percent"), memory=0)

    def nvmlDeviceGetMemoryInfo(self, gpu: dict[str, Any]) -> Any:
        total, used = self._of(gpu, "memory")
        return SimpleNamespace(total=total, used=used, free=total - used)

    def nvmlDeviceGetMigMode(self, gpu: dict[str, Any]) -> Any:
        return self._of(gpu, "mig")

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: dict[str, Any]) -> Any:
        return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in self._of(gpu, "pids")]

    def nvmlDeviceGetProcessUtilization(self, gpu: dict[str, Any], since_us: int) -> Any:
        """`uses`: (pid, time in us, percent). Nothing newer: the binding raises success."""
        newer = [use for use in self._of(gpu, "uses") if use[1] > since_us]
        if not newer:
            raise pynvml.NVMLError(pynvml.NVML_SUCCESS)
        return [SimpleNamespace(pid=pid, timeStamp=at, smUtil=percent) for pid, at, percent in newer]

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: dict[str, Any]) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: dict[str, Any], index: int) -> dict[str, Any]:
        if index >= len(self._of(gpu, "slices")):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return gpu["slices"][index]

    def nvmlDeviceGetAttributes(self, part: dict[str, Any]) -> Any:
        return SimpleNamespace(computeInstanceSliceCount=part["size"])

    def nvmlDeviceGetGpuInstanceId(self, part: dict[str, Any]) -> int:
        return part["id"]

    def _of(self, gpu: dict[str, Any], what: str) -> Any:
        self._check(gpu)
        if what not in gpu:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return gpu[what]

    def _check(self, gpu: dict[str, Any] | None = None) -> None:
        code = self.broken or (gpu or {}).get("lost")
        if code:
            raise pynvml.NVMLError(code)


def h100(number: int) -> dict[str, Any]:
    """A GPU that answers everything: 250 W, 1 MJ so far, 75 % busy, 10 of 80 GiB in use."""
    return {
        "uuid": f"GPU-{number:08x}-0000-4000-8000-0123456789ab",
        "name": b"NVIDIA H100 80GB HBM3",
        "power_mw": 250_000,
        "energy_mj": 1_000_000_000,
        "limit_mw": 700_000,
        "percent": 75,
        "memory": (80 << 30, 10 << 30),
        "mig": [0, 0],
        "pids": [],
    }
