"""This machine as Linux shows it: CPU model, sockets, memory, CPU time; and where its counters lie."""

import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Clock ticks since boot over all CPUs. Time stolen by other virtual machines is in `total` only."""

    busy: int
    total: int

    def load_since(self, before: "CpuTimes") -> float | None:
        """Share of the CPUs' time spent working since `before`, 0..1; None when no time has passed."""
        passed = self.total - before.total
        if passed <= 0:
            return None
        return min(max((self.busy - before.busy) / passed, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to read from, and what the operator says of the hardware. Others are for tests and benchmarks."""

    proc: Path = Path("/proc")
    powercap: Path = Path("/sys/class/powercap")
    cpu_tdp_w: float | None = None  # of all sockets together
    monotonic: Callable[[], float] = time.monotonic

    def cpu_times(self) -> CpuTimes:
        """Read the first line of /proc/stat.

        Raises:
            OSError: there is no /proc/stat here.
            ValueError: it has another shape.
        """
        first = (self.proc / "stat").read_text().split("\n", 1)[0].split()
        if first[:1] != ["cpu"] or len(first) < 9:
            raise ValueError(f"{self.proc / 'stat'} does not begin with a cpu line of 8 numbers: {first[:9]}")
        # guest and guest_nice, the numbers after these, are already counted in user and nice
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, first[1:9])
        busy = user + nice + system + irq + softirq
        return CpuTimes(busy=busy, total=busy + idle + iowait + steal)

    def cpu_model(self) -> str:
        """The CPU's name as its vendor writes it, or the architecture where the kernel does not say."""
        found = re.search(r"^model name\s*:\s*(.+)$", self._text("cpuinfo"), re.MULTILINE)
        return found.group(1).strip() if found else platform.processor() or platform.machine()

    def cpu_sockets(self) -> int:
        return len(set(re.findall(r"^physical id\s*:\s*(\d+)$", self._text("cpuinfo"), re.MULTILINE))) or 1

    def cpu_threads(self) -> int:
        return len(re.findall(r"^processor\s*:", self._text("cpuinfo"), re.MULTILINE)) or os.cpu_count() or 1

    def memory_bytes(self) -> tuple[int, int] | None:
        """(installed, in use), where in use leaves out what the kernel could free; None without /proc/meminfo."""
        kib = dict(re.findall(r"^(MemTotal|MemAvailable):\s*(\d+) kB$", self._text("meminfo"), re.MULTILINE))
        if "MemTotal" not in kib or "MemAvailable" not in kib:
            return None
        total = int(kib["MemTotal"]) * 1024
        return total, total - int(kib["MemAvailable"]) * 1024

    def _text(self, name: str) -> str:
        try:
            return (self.proc / name).read_text()
        except OSError:
            return ""
