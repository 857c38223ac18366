"""What the labels of one Prometheus series mean: which metric, device, slice and job. Worked out once and remembered.

Nothing of a poster is remembered but labels, and a job only with the rules that named it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from accounting.agent import wire
from accounting.agent.wire import DeviceInfo
from accounting.ingest.formats.prometheus_metrics import (
    METRICS,
    SLICE_PROFILE,
    Labels,
    Metric,
    Unplaced,
    slice_fraction,
    slice_name,
    why_passed_over,
)
from accounting.ingest.formats.prometheus_wire import NAME, Series
from accounting.ingest.naming import Named, Rule, named
from accounting.ingest.shapes import RULES

MOST_REMEMBERED = 32_768  # series of each version in this process; about 1 kB each
NO_PROFILE = "GPU_I_PROFILE is not a MIG profile"
WORKLOAD_LABELS = ("pod", "namespace", "container")
OF_THE_EXPORTER = "dcgm-exporter"  # an idle GPU, where Prometheus labels what it scrapes with the exporter's own pod
HPC_JOB = Rule((("hpc_job", ".+"),), "{hpc_job}")  # DCGM's label for a batch scheduler's job; after the site's rules
_HOST, _DEVICE = RULES[wire.DeviceInfo]["host"], RULES[wire.DeviceInfo]["device"]
_MODEL = RULES[wire.DeviceInfo]["model"]
_SLICE = RULES[wire.DeviceUse]["mig_slice"]


@dataclass(slots=True)
class Known:
    """What the labels of a series mean, worked out once for as long as it is remembered."""

    fault: str = ""
    name: str = ""
    reason: str = ""  # why it is passed over, where it is
    metric: Metric | None = None
    device: DeviceInfo | None = None
    slice: str = ""
    fraction: float | None = None
    workload: Labels = field(default_factory=dict)
    asked: tuple[tuple[Rule, ...], Named | None] | None = None  # the rules last asked with, and what they said

    def held_by(self, rules: Iterable[Rule]) -> Named | None:
        """The job that the labels name, by a site's rules."""
        wanted = (*rules, HPC_JOB)
        if self.asked is None or self.asked[0] != wanted:
            self.asked = answer = wanted, named(self.workload, wanted)
            return answer[1]
        return self.asked[1]


def known_as(one: Series) -> Known:
    remembered = _REMEMBERED[one.version]
    known = remembered.get(one.key)
    if known is None:
        if len(remembered) >= MOST_REMEMBERED:
            remembered.clear()
        known = remembered[one.key] = _understood(*one.labels())
    return known


def _understood(labels: Labels, fault: str) -> Known:
    if fault:
        return Known(fault)
    name = labels[NAME]
    metric = METRICS.get(name)
    if metric is None:
        return Known(name=name, reason=why_passed_over(name))
    try:
        device = metric.device(labels)
    except Unplaced as why:
        return Known(name=name, reason=str(why))
    if wrong := _HOST.fault(device.host) or _DEVICE.fault(device.device):
        hint = "label the host (greenai_host, hostname or instance) and the device"
        return Known(f"{name}: {wrong.detail}; {hint}", name)
    if _MODEL.fault(device.model):
        device = replace(device, model="")
    part = slice_name(labels)
    fraction = slice_fraction(labels.get(SLICE_PROFILE, ""), device.model)
    if metric.reading == "slice" and (fraction is None or _SLICE.fault(part)):
        return Known(name=name, reason=NO_PROFILE)
    return Known("", name, "", metric, device, part, fraction, workload_labels(labels))


def workload_labels(labels: Labels) -> Labels:
    """The labels of whom the device works for: what the exporter says, before what Prometheus says of the exporter.

    Without `honor_labels` Prometheus keeps the exporter's own word as `exported_pod` and so on.
    """
    told = {name: labels[f"exported_{name}"] for name in WORKLOAD_LABELS if labels.get(f"exported_{name}")}
    if told:
        return {name: value for name, value in labels.items() if name not in WORKLOAD_LABELS} | told
    if OF_THE_EXPORTER in labels.get("pod", ""):
        return {name: value for name, value in labels.items() if name not in WORKLOAD_LABELS}
    return labels


_REMEMBERED: dict[int, dict[tuple[bytes, ...], Known]] = {1: {}, 2: {}}
