"""CPU package and DRAM energy from the kernel's powercap counters (Intel and AMD RAPL). Measured.

One device a package (`cpu-0`), one a DRAM zone (`memory-0`): the package counter leaves DRAM out. Core and uncore
zones lie inside the package, psys spans the platform and intel-rapl-mmio repeats the package: none of them is read.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from accounting.agent.sensors.base import Reading, Sensor, SensorUnavailable
from accounting.agent.sensors.machine import Machine
from accounting.agent.wire import DeviceInfo, DeviceKind, Source, Status

MIRROR_TOLERANCE_UJ = 1_000_000  # two dies read one after the other differ by less when they show one counter


@dataclass(slots=True)
class _Zone:
    """One counter. `wraps` and `raw_uj` follow it, so that what is told only rises."""

    device: DeviceInfo
    energy_file: Path
    range_uj: int
    raw_uj: int
    package: str
    wraps: int = 0
    read_at_s: float | None = field(default=None)  # None: no reading yet, so no mean power

    def read(self, now_s: float) -> Reading:
        before_uj = self.wraps * self.range_uj + self.raw_uj
        raw_uj = _number(self.energy_file)
        if raw_uj < self.raw_uj:
            self.wraps += 1
        self.raw_uj = raw_uj
        total_uj = self.wraps * self.range_uj + raw_uj
        passed_s = now_s - self.read_at_s if self.read_at_s is not None else 0.0
        self.read_at_s = now_s
        power_w = (total_uj - before_uj) / 1e6 / passed_s if passed_s > 0 else None
        return Reading(self.device.device, power_w=power_w, energy_j=total_uj / 1e6)


class RaplSensor(Sensor):
    """Every package and DRAM zone of this machine. Power is the mean since the reading before."""

    name: ClassVar[str] = "rapl"
    source: ClassVar[Source] = "agent"
    status: ClassVar[Status] = "measured"
    kinds: ClassVar[frozenset[DeviceKind]] = frozenset({"cpu", "memory"})

    def __init__(self, here: Machine, *, covered: Collection[DeviceKind] = ()) -> None:
        self._monotonic = here.monotonic
        model = here.cpu_model()
        try:
            zones = [zone for folder in _packages(here.powercap) for zone in _zones(folder, model)]
        except PermissionError as error:
            raise SensorUnavailable(
                f"{error.filename} may not be read by this user (the kernel keeps it for root, CVE-2020-8694)",
                "run the agent as root, or give its systemd unit AmbientCapabilities=CAP_DAC_READ_SEARCH",
            ) from error
        self._mirrors = _mirrors(zones)
        self._zones = [z for z in zones if z not in self._mirrors and z.device.kind not in covered]
        if not self._zones:
            raise SensorUnavailable(
                f"no package zone under {here.powercap}",
                "bare metal: `modprobe intel_rapl_msr`; a virtual machine or container is not shown these counters",
            )

    def devices(self) -> Sequence[DeviceInfo]:
        return [zone.device for zone in self._zones]

    def read(self) -> Sequence[Reading]:
        return [zone.read(self._monotonic()) for zone in self._zones]

    def counter_ranges_j(self) -> Mapping[str, float]:
        return {zone.device.device: zone.range_uj / 1e6 for zone in self._zones}

    def notes(self) -> Sequence[str]:
        return [f"{zone.device.device} repeats the counter of its neighbour die: left out" for zone in self._mirrors]


def _packages(root: Path) -> list[Path]:
    named = [folder for folder in root.glob("intel-rapl:*") if re.fullmatch(r"intel-rapl:\d+", folder.name)]
    return sorted(named, key=lambda folder: int(folder.name.split(":")[1]))


def _zones(folder: Path, model: str) -> list[_Zone]:
    name = (folder / "name").read_text().strip()
    found = re.fullmatch(r"package-(\d+)(-die-\d+)?", name)
    if not found:
        return []  # psys, which spans the packages
    package, key = found.group(1), name.removeprefix("package-")
    zones = [_zone(folder, DeviceInfo(f"cpu-{key}", "cpu", model=model, tdp_w=_long_term_w(folder)), package)]
    for inner in sorted(folder.glob(f"{folder.name}:*")):
        if (inner / "name").read_text().strip() == "dram":
            zones.append(_zone(inner, DeviceInfo(f"memory-{key}", "memory"), package))
    return zones


def _zone(folder: Path, device: DeviceInfo, package: str) -> _Zone:
    energy_file = folder / "energy_uj"
    return _Zone(device, energy_file, _number(folder / "max_energy_range_uj"), _number(energy_file), package)


def _long_term_w(folder: Path) -> float | None:
    """The package's rated power: the most its long-term limit may be set to, where the firmware says."""
    try:
        limit_uw = _number(folder / "constraint_0_max_power_uw")
    except (OSError, ValueError):
        return None
    return limit_uw / 1e6 if limit_uw > 0 else None


def _mirrors(zones: Sequence[_Zone]) -> list[_Zone]:
    """Dies of one package that show one and the same counter: all but the first would be counted twice."""
    kept: list[_Zone] = []
    repeated: list[_Zone] = []
    for zone in zones:
        same = [
            other
            for other in kept
            if (other.package, other.device.kind) == (zone.package, zone.device.kind)
            and abs(other.raw_uj - zone.raw_uj) < MIRROR_TOLERANCE_UJ
        ]
        (repeated if same else kept).append(zone)
    return repeated


def _number(path: Path) -> int:
    return int(path.read_text())
