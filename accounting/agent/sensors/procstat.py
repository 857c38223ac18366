"""CPU and memory power from load, for a machine with no power sensor and nothing installed. Always modelled.

CPU: the TEADS curve (Benjamin Davy, "Building an AWS EC2 carbon emissions dataset", 2021; the same four points are the
Impact Framework's `teads-curve`), a share of TDP at 0, 10, 50 and 100 % load with straight lines between.
TDP: given, else 4 W per hardware thread, codecarbon 3.3.2's own fallback (`codecarbon.core.cpu`).
Memory: 0.3725 W per GB installed ("Green Algorithms", 2021, doi 10.1002/advs.202100707).
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import ClassVar

from accounting.agent.sensors.base import Reading, Sensor, SensorUnavailable
from accounting.agent.sensors.machine import CpuTimes, Machine
from accounting.agent.wire import DeviceInfo, DeviceKind, Source, Status

TEADS_CURVE = ((0.0, 0.12), (0.1, 0.32), (0.5, 0.75), (1.0, 1.02))  # (load, share of TDP)
TDP_PER_THREAD_W = 4.0
MEMORY_W_PER_GB = 0.3725


def cpu_power_w(load: float, tdp_w: float) -> float:
    """Power of all CPUs at `load` (0..1).

    Raises:
        ValueError: the load is outside 0..1.
    """
    for (low, share_low), (high, share_high) in pairwise(TEADS_CURVE):
        if low <= load <= high:
            return tdp_w * (share_low + (share_high - share_low) * (load - low) / (high - low))
    raise ValueError(f"load {load} is not between 0 and 1")


class ProcstatSensor(Sensor):
    """Devices `cpu-0` (every socket together) and `memory`, less the kinds a meter already covers."""

    name: ClassVar[str] = "procstat"
    source: ClassVar[Source] = "model"
    status: ClassVar[Status] = "modelled"
    kinds: ClassVar[frozenset[DeviceKind]] = frozenset({"cpu", "memory"})

    def __init__(self, here: Machine, *, covered: Collection[DeviceKind] = ()) -> None:
        self._here = here
        self._tdp_w = here.cpu_tdp_w or TDP_PER_THREAD_W * self._here.cpu_threads()
        self._wants_cpu, self._memory = "cpu" not in covered, None
        self._before: CpuTimes | None = None  # taken by the first reading, so that no load includes our own start
        if "memory" not in covered:
            self._memory = self._here.memory_bytes()
        try:
            here.cpu_times()
        except (OSError, ValueError) as error:
            raise SensorUnavailable(
                f"no CPU times: {error}",
                "CPU power is modelled from /proc/stat: run the agent on Linux, with /proc mounted",
            ) from error

    def devices(self) -> Sequence[DeviceInfo]:
        found = []
        if self._wants_cpu:
            found.append(DeviceInfo("cpu-0", "cpu", model=self._here.cpu_model(), tdp_w=self._tdp_w))
        if self._memory:
            found.append(DeviceInfo("memory", "memory", memory_bytes=self._memory[0]))
        return found

    def read(self) -> Sequence[Reading]:
        readings = []
        if self._wants_cpu:
            now = self._here.cpu_times()
            load = now.load_since(self._before) if self._before else None
            if load is not None or self._before is None:
                self._before = now
            if load is not None:
                readings.append(Reading("cpu-0", power_w=cpu_power_w(load, self._tdp_w), utilization=load))
        memory = self._here.memory_bytes() if self._memory else None
        if memory:
            readings.append(Reading("memory", MEMORY_W_PER_GB * memory[0] / 1e9, memory_used_bytes=memory[1]))
        return readings

    def notes(self) -> Sequence[str]:
        if self._here.cpu_tdp_w or not self._wants_cpu:
            return ()
        return (f"CPU TDP unknown: {self._tdp_w:g} W taken at 4 W a thread; say it with --cpu-tdp-w",)
