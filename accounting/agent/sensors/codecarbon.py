"""CPU and memory power from codecarbon's hardware model, for whatever no meter covers. Always modelled.

Only its model classes are used: no tracker, so no place from an IP address, no network, no files and no log lines.
Its CPU curve is TDP * (0.1 + 0.9 * load^3) and its memory model counts DIMMs (codecarbon 3.3.2, `external/hardware.py`
and `external/ram.py`). Its TDP table is read with csv rather than pandas, which would triple the agent's memory.
"""

import csv
import logging
from collections.abc import Collection, Sequence
from importlib import import_module, resources
from typing import Any, ClassVar

from accounting.agent.sensors.base import Reading, Sensor, SensorUnavailable
from accounting.agent.sensors.machine import CpuTimes, Machine
from accounting.agent.wire import DeviceInfo, DeviceKind, Source, Status


class CodecarbonSensor(Sensor):
    """Devices `cpu-0` (every socket together) and `memory`, less the kinds a meter already covers."""

    name: ClassVar[str] = "codecarbon"
    source: ClassVar[Source] = "codecarbon"
    status: ClassVar[Status] = "modelled"
    kinds: ClassVar[frozenset[DeviceKind]] = frozenset({"cpu", "memory"})

    def __init__(self, here: Machine, *, covered: Collection[DeviceKind] = ()) -> None:
        self._here = here
        self._cpu: Any = None
        self._before: CpuTimes | None = None  # taken by the first reading, so that no load includes our own start
        self._memory_w: float | None = None
        self._notes: list[str] = []
        try:
            hardware, ram = _load_codecarbon()
            if "cpu" not in covered:
                self._model = self._here.cpu_model()
                self._tdp_w = here.cpu_tdp_w or self._find_tdp_w()
                self._cpu = hardware.CPU.from_utils("", "cpu_load", self._model, self._tdp_w)
                here.cpu_times()
            memory = self._here.memory_bytes()
            if "memory" not in covered and memory:
                self._memory_bytes = memory[0]
                self._memory_w = float(ram.RAM()._calculate_ram_power(memory[0] / 2**30))
        except ImportError as error:
            raise SensorUnavailable(f"codecarbon is not installed ({error})", "pip install codecarbon") from error
        except Exception as error:  # another release of codecarbon may have moved what is used here
            raise SensorUnavailable(
                f"codecarbon's model does not work here: {type(error).__name__}: {error}",
                "pip install 'codecarbon==3.3.2'; until then --sensor procstat models the same devices",
            ) from error

    def devices(self) -> Sequence[DeviceInfo]:
        found = []
        if self._cpu is not None:
            found.append(DeviceInfo("cpu-0", "cpu", model=self._model, tdp_w=self._tdp_w))
        if self._memory_w is not None:
            found.append(DeviceInfo("memory", "memory", memory_bytes=self._memory_bytes))
        return found

    def read(self) -> Sequence[Reading]:
        readings = []
        if self._cpu is not None:
            now = self._here.cpu_times()
            load = now.load_since(self._before) if self._before else None
            if self._before is None:
                self._before = now
                self._cpu.start()
            if load is not None:  # without an interval codecarbon would answer its idle floor
                self._before = now
                readings.append(Reading("cpu-0", float(self._cpu.total_power().W), utilization=load))
        if self._memory_w is not None:
            memory = self._here.memory_bytes()
            readings.append(Reading("memory", self._memory_w, memory_used_bytes=memory[1] if memory else None))
        return readings

    def notes(self) -> Sequence[str]:
        return self._notes

    def _find_tdp_w(self) -> float:
        cpu = import_module("codecarbon.core.cpu")
        rows = (resources.files("codecarbon") / "data/hardware/cpu_power.csv").read_text("utf-8").splitlines()
        table = {row["Name"]: row["TDP"] for row in csv.DictReader(rows)}
        match = cpu.TDP._get_matching_cpu(None, self._model, {"Name": list(table)})
        if match:
            return float(table[match]) * self._here.cpu_sockets()
        tdp_w = float(cpu.DEFAULT_POWER_PER_CORE * self._here.cpu_threads())
        self._notes.append(
            f"codecarbon does not know the TDP of {self._model!r}: {tdp_w:g} W taken at "
            f"{cpu.DEFAULT_POWER_PER_CORE} W a thread; say it with --cpu-tdp-w"
        )
        return tdp_w


def _load_codecarbon() -> tuple[Any, Any]:
    hardware: Any = import_module("codecarbon.external.hardware")
    ram: Any = import_module("codecarbon.external.ram")
    util: Any = import_module("codecarbon.core.util")
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL + 1)
    # The agent meters the whole machine, even where it was itself started inside a Slurm allocation.
    util.SLURM_JOB_ID = None
    ram.SLURM_JOB_ID = None
    return hardware, ram
