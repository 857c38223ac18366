"""Which metrics of OpenTelemetry mean energy, and of what. Pure.

Names and attributes are those of the semantic conventions for hardware (`hw.*`, status Development);
docs/opentelemetry.md shows this table, and a test holds the two together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from accounting.agent.wire import DeviceInfo, DeviceKind
from accounting.ingest.formats.otlp_wire import Kind
from accounting.methods.units import J_PER_KWH

Reading = Literal["energy_j", "power_w", "utilization", "memory_used_bytes"]


class Unplaced(ValueError):
    """What a point tells of is not a device that counts: it is passed over, for this reason."""


class Unnamed(ValueError):
    """A point that should count does not say of which machine or part it is."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a metric tells."""

    reading: Reading
    kinds: tuple[Kind, ...]
    of: str = ""  # hw.type that the name implies; "host" the whole machine; empty: as hw.type says


_COUNTERS, _GAUGES = (Kind.COUNTER, Kind.DELTA), (Kind.GAUGE,)
METRICS: Mapping[str, Meaning] = {
    "hw.energy": Meaning("energy_j", _COUNTERS),
    "hw.power": Meaning("power_w", _GAUGES),
    "hw.host.energy": Meaning("energy_j", _COUNTERS, of="host"),
    "hw.host.power": Meaning("power_w", _GAUGES, of="host"),
    "hw.utilization": Meaning("utilization", _GAUGES),
    "hw.gpu.utilization": Meaning("utilization", _GAUGES, of="gpu"),
    "hw.gpu.memory.usage": Meaning("memory_used_bytes", _GAUGES, of="gpu"),
}

# UCUM's symbols, and those that are in use beside it: times the first, through the second.
UNITS: Mapping[Reading, Mapping[str, tuple[float, float]]] = {
    "energy_j": {
        "J": (1, 1),
        "mJ": (1, 1e3),
        "uJ": (1, 1e6),
        "kJ": (1e3, 1),
        "MJ": (1e6, 1),
        "W.s": (1, 1),
        "W.h": (J_PER_KWH, 1e3),
        "Wh": (J_PER_KWH, 1e3),
        "kW.h": (J_PER_KWH, 1),
        "kWh": (J_PER_KWH, 1),
        "MW.h": (J_PER_KWH * 1e3, 1),
        "MWh": (J_PER_KWH * 1e3, 1),
    },
    "power_w": {"W": (1, 1), "mW": (1, 1e3), "uW": (1, 1e6), "kW": (1e3, 1), "J/s": (1, 1)},
    "utilization": {"1": (1, 1), "%": (1, 1e2)},
    "memory_used_bytes": {
        "By": (1, 1),
        "kBy": (1e3, 1),
        "MBy": (1e6, 1),
        "GBy": (1e9, 1),
        "KiBy": (1 << 10, 1),
        "MiBy": (1 << 20, 1),
        "GiBy": (1 << 30, 1),
    },
}

KINDS: Mapping[str, DeviceKind] = {
    "cpu": "cpu",
    "gpu": "gpu",
    "memory": "memory",
    "disk_controller": "other",
    "fan": "other",
    "network": "other",
    "physical_disk": "other",
    "tape_drive": "other",
}
PASSED_ON = ("battery", "enclosure", "logical_disk", "power_supply", "temperature", "voltage")
GPU_TASKS = ("", "general")

# Metrics of others that come through a Collector, by how their names begin, and what to do instead.
ELSEWHERE: Mapping[str, str] = {
    "codecarbon_": "an interval's amounts as gauges cannot be added up: let CodeCarbon post to /api/codecarbon",
    "energy_monitor_": "windows of Zeus may overlap, and do not add up",
    "power_monitor_": "names a GPU by its number only: use the agent, or hw.power with the UUID as hw.id",
    "DCGM_FI_": "send it by Prometheus remote-write",
    "kepler_": "send it by Prometheus remote-write",
}
_UUID = re.compile(r"GPU-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def why_passed_over(name: str) -> str:
    """What is known of a metric that is not understood; empty: nothing."""
    return next((why for begin, why in ELSEWHERE.items() if name.startswith(begin)), "")


def factor(reading: Reading, unit: str) -> tuple[float, float] | None:
    """By what to multiply, then to divide. No unit: the convention's. None: the unit is none of the reading's."""
    known = UNITS[reading]
    return known.get(unit.strip().removeprefix("(").removesuffix(")")) if unit else next(iter(known.values()))


def host_of(labels: Mapping[str, str]) -> str:
    """The machine.

    Raises:
        Unnamed: nothing names it.
    """
    for name in ("host.name", "k8s.node.name", "host.id"):
        if labels.get(name):
            return labels[name]
    raise Unnamed("no host.name: set OTEL_RESOURCE_ATTRIBUTES=host.name=… where the program runs")


def device_of(meaning: Meaning, labels: Mapping[str, str]) -> DeviceInfo:
    """The device that a point is of, under the name that our own agent gives it where both know it.

    Raises:
        Unnamed: host or part are not named.
        Unplaced: not a part that draws by itself.
    """
    host, part = host_of(labels), labels.get("hw.id", "").strip()
    if meaning.of == "host":
        return DeviceInfo(f"node-{part}" if part else "node", "node", model=_model(labels), host=host)
    of_type = labels.get("hw.type", meaning.of).strip().lower()
    if of_type in PASSED_ON:
        raise Unplaced(f"hw.type {of_type}: what passes through it is drawn by parts that tell of themselves")
    if of_type not in KINDS or not part:
        raise Unnamed(f"hw.type {of_type[:40]!r} and hw.id {part[:40]!r}: give both, hw.type as in the conventions")
    if part.startswith("MIG-"):
        raise Unplaced("of a MIG slice: the whole GPU's counts")
    if meaning.of == "gpu" and labels.get("hw.gpu.task", "") not in GPU_TASKS:
        raise Unplaced("of one kind of task only")
    if _UUID.fullmatch(part):
        part = f"GPU-{part[4:].lower()}"  # as NVML writes it
    return DeviceInfo(f"{of_type}-{part}", KINDS[of_type], model=_model(labels), host=host)


def _model(labels: Mapping[str, str]) -> str:
    return (labels.get("hw.model") or labels.get("hw.name") or "")[:200]
