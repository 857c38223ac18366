"""Which metrics of which exporters are understood, and what each is to us. Data; docs/prometheus.md shows these tables.

A device gets the key that the agent's own sensors give it, so that the agent and an exporter speak of one device and
the better source counts.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from accounting.agent.wire import DeviceInfo, DeviceKind, Source
from accounting.methods.units import MJ_PER_J

Labels = Mapping[str, str]
Reading = Literal["power_w", "energy_j", "utilization", "memory_used_bytes", "slice"]

MIB = 1 << 20
PERCENT = 100.0
HOST_LABELS = ("greenai_host", "Hostname", "hostname", "node_name", "node")  # else `instance` without its port
SLICE_ID, SLICE_PROFILE = "GPU_I_ID", "GPU_I_PROFILE"
_PROFILE = re.compile(r"(?:(\d+)c\.)?(\d+)g\..+")
_OF_SEVEN, _OF_FOUR = 7, 4  # compute slices of a board; the A30 has four
_KINDS_OF_ZONES: Mapping[str, DeviceKind] = {"package": "cpu", "dram": "memory"}
OVERLAPS = "its zone lies inside the package or spans the platform: adding it would count twice"
_ZONE = re.compile(r"intel-rapl:(\d+)")
_INT64_BLANK = 9.2233720368547e18  # 0x7ffffffffffffff0 and its neighbours are one float64
FIRST_BLANK = 0x7FFFFFF0
_INT32_BLANKS = range(FIRST_BLANK, FIRST_BLANK + 4)
_FLOAT_BLANKS = range(1 << 47, (1 << 47) + 4)


class Unplaced(Exception):
    """A series of a metric that is understood, and that is not kept; the message says why."""


def host_of(labels: Labels) -> str:
    """The machine a series is of: the first of HOST_LABELS, else the scraped address without its port."""
    for name in HOST_LABELS:
        if labels.get(name):
            return labels[name]
    address = labels.get("instance", "")
    host, colon, port = address.rpartition(":")
    return (host if colon and port.isdigit() else address).strip("[]")


def slice_fraction(profile: str, model: str) -> float | None:
    """The part of a board that a MIG profile has: 3g.40gb is 3 of 7 compute slices; None: not a profile."""
    found = _PROFILE.fullmatch(profile)
    if found is None:
        return None
    fraction = int(found[1] or found[2]) / (_OF_FOUR if "A30" in model else _OF_SEVEN)
    return fraction if 0 < fraction <= 1 else None


def slice_name(labels: Labels) -> str:
    """Names a MIG slice on its board; empty where the series is of a whole board."""
    return f"{labels.get(SLICE_PROFILE) or 'slice'}-{labels[SLICE_ID]}" if labels.get(SLICE_ID) else ""


def _dcgm_gpu(labels: Labels) -> DeviceInfo:
    if not labels.get("UUID"):
        raise Unplaced("without UUID it cannot be told which GPU it is of")
    return DeviceInfo(f"gpu-{labels['UUID']}", "gpu", model=labels.get("modelName", ""), host=host_of(labels))


def _dcgm_whole_gpu(labels: Labels) -> DeviceInfo:
    if slice_name(labels):
        raise Unplaced("of a MIG slice, not of the GPU")
    return _dcgm_gpu(labels)


def _dcgm_slice(labels: Labels) -> DeviceInfo:
    if not slice_name(labels):
        raise Unplaced("of a whole GPU: DCGM_FI_DEV_GPU_UTIL tells its use")
    return _dcgm_gpu(labels)


def _kepler_cpu(labels: Labels) -> DeviceInfo:
    kind = _KINDS_OF_ZONES.get(labels.get("zone", ""))
    if kind is None:
        raise Unplaced(OVERLAPS)
    found = _ZONE.search(labels.get("path", ""))
    if found is None:  # several sockets, which Kepler has added up
        return DeviceInfo(kind, kind, host=host_of(labels), total=True)
    return DeviceInfo(f"{kind}-{found[1]}", kind, host=host_of(labels))


def _kepler_gpu(labels: Labels) -> DeviceInfo:
    if not labels.get("gpu_uuid"):
        raise Unplaced("without gpu_uuid it cannot be told which GPU it is of")
    return DeviceInfo(f"gpu-{labels['gpu_uuid']}", "gpu", model=labels.get("gpu_name", ""), host=host_of(labels))


def _kepler_platform(labels: Labels) -> DeviceInfo:
    """A power control tells the whole machine, in its first entry; power supplies each their part of it."""
    kind, supply = labels.get("source_type", "").lower(), labels.get("source_id", "")
    if kind == "powersupply":
        chassis = labels.get("chassis_id", "")
        return DeviceInfo("-".join(filter(None, ("node", chassis, supply))), "node", host=host_of(labels))
    if supply not in ("", "0", "PC1"):
        raise Unplaced("a power control beside the machine's own lies inside it")
    return DeviceInfo("node", "node", host=host_of(labels))


def _rapl_package(labels: Labels) -> DeviceInfo:
    return DeviceInfo(f"cpu-{labels.get('index', '0')}", "cpu", host=host_of(labels))


def _rapl_dram(labels: Labels) -> DeviceInfo:
    return DeviceInfo(f"memory-{labels.get('index', '0')}", "memory", host=host_of(labels))


def _whole_node(labels: Labels) -> DeviceInfo:
    return DeviceInfo("node", "node", host=host_of(labels))


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that is kept."""

    name: str
    exporter: str
    source: Source
    reading: Reading
    unit: str  # theirs
    factor: float  # theirs times this over `per` is ours
    per: float
    device: Callable[[Labels], DeviceInfo]  # raises Unplaced
    devices: str  # in words
    blanks: Literal["none", "counter", "any"] = "none"  # which of DCGM's words for "not known" it may hold

    def is_blank(self, value: float) -> bool:
        """Whether the value is one of DCGM's stand-ins for "not known"."""
        if self.blanks == "none":
            return False
        return value >= _INT64_BLANK or (self.blanks == "any" and (value in _INT32_BLANKS or value in _FLOAT_BLANKS))


_GPU, _RAPL = "gpu-<UUID>, as the agent names it", "cpu-<n>, as the agent names it"
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM", "dcgm", "energy_j", "mJ", 1.0, MJ_PER_J, _dcgm_gpu, _GPU,
            "counter",
        ),
        Metric("DCGM_FI_DEV_POWER_USAGE", "DCGM", "dcgm", "power_w", "W", 1.0, 1.0, _dcgm_gpu, _GPU, "any"),
        Metric(
            "DCGM_FI_DEV_GPU_UTIL", "DCGM", "dcgm", "utilization", "%", 1.0, PERCENT, _dcgm_whole_gpu, _GPU, "any"
        ),
        Metric(
            "DCGM_FI_DEV_FB_USED", "DCGM", "dcgm", "memory_used_bytes", "MiB", MIB, 1.0, _dcgm_whole_gpu, _GPU, "any"
        ),
        Metric(
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM", "dcgm", "slice", "0..1", 1.0, 1.0, _dcgm_slice,
            "use of a MIG slice by its pod", "any",
        ),
        Metric(
            "kepler_node_cpu_joules_total", "Kepler", "kepler", "energy_j", "J", 1.0, 1.0, _kepler_cpu,
            "package: cpu-<n>, dram: memory-<n>; added up over sockets: cpu, memory",
        ),
        Metric("kepler_node_cpu_watts", "Kepler", "kepler", "power_w", "W", 1.0, 1.0, _kepler_cpu, "the same"),
        Metric("kepler_node_gpu_joules_total", "Kepler", "kepler", "energy_j", "J", 1.0, 1.0, _kepler_gpu, _GPU),
        Metric("kepler_node_gpu_watts", "Kepler", "kepler", "power_w", "W", 1.0, 1.0, _kepler_gpu, _GPU),
        Metric(
            "kepler_platform_watts", "Kepler", "meter", "power_w", "W", 1.0, 1.0, _kepler_platform,
            "node; of each power supply: node-<chassis>-<supply>",
        ),
        Metric(
            "node_rapl_package_joules_total", "node_exporter", "node_exporter", "energy_j", "J", 1.0, 1.0,
            _rapl_package, _RAPL,
        ),
        Metric(
            "node_rapl_dram_joules_total", "node_exporter", "node_exporter", "energy_j", "J", 1.0, 1.0, _rapl_dram,
            "memory-<n>, as the agent names it",
        ),
        Metric(
            "ipmi_dcmi_power_consumption_watts", "IPMI exporter", "meter", "power_w", "W", 1.0, 1.0, _whole_node, "node"
        ),
    )
}  # fmt: skip

# What is known not to be kept: the beginning of the name, and why.
PASSED_OVER: tuple[tuple[str, str], ...] = (
    ("kepler_node_cpu_active_", "a part of kepler_node_cpu_joules_total or _watts"),
    ("kepler_node_cpu_idle_", "a part of kepler_node_cpu_joules_total or _watts"),
    ("kepler_node_gpu_active_", "a part of kepler_node_gpu_joules_total or _watts"),
    ("kepler_node_gpu_idle_", "a part of kepler_node_gpu_joules_total or _watts"),
    ("kepler_pod_", "a share of the node's: jobs come from the labels of whole devices"),
    ("kepler_container_", "a share of the node's: jobs come from the labels of whole devices"),
    ("kepler_process_", "a share of the node's: jobs come from the labels of whole devices"),
    ("kepler_vm_", "a share of the node's: jobs come from the labels of whole devices"),
    ("node_rapl_", OVERLAPS),
    ("node_hwmon_power_", "which part of the machine a chip meters is not told"),
    ("node_power_supply_", "a battery's or an adapter's, not what the machine draws"),
    ("ipmi_power_", "one sensor of several: ipmi_dcmi_power_consumption_watts tells the whole"),
)


def why_passed_over(name: str) -> str:
    """Why a metric is not kept, where that is known; else nobody here understands it."""
    return next((reason for begin, reason in PASSED_OVER if name.startswith(begin)), "")
