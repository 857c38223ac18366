"""Series of Prometheus remote-write -> checked telemetry batches, what was not kept and what was wrong. Pure.

Series of one device and moment become one reading, as far as they come in one request; the rest meets in the database.
Only metrics of `prometheus_metrics` are kept; every other value is counted under its name and, where known, a reason.
"""

import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from accounting.agent import wire
from accounting.agent.wire import DeviceInfo
from accounting.ingest.columns import EPOCH
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
from accounting.ingest.shapes import (
    EARLIEST,
    RULES,
    SLUG,
    CheckedBatch,
    CheckedDevice,
    CheckedDeviceSample,
    CheckedDeviceUse,
    CheckedJob,
    shown,
)

STALE = 0x7FF0000000000002  # the NaN by which Prometheus says that a series ended here
BLANK, NOT_A_NUMBER = "DCGM's word for not known", "not a number"
APART = "came without the power or energy of its moment"
HISTOGRAMS, EXEMPLARS = "native histograms are not kept", "exemplars are not kept"
NO_PROFILE = "GPU_I_PROFILE is not a MIG profile"
NO_JOB_IN_SLICE = "of a MIG slice that no pod or job holds"
FAULTS_TOLD = 5
WORKLOAD_LABELS = ("pod", "namespace", "container")
OF_THE_EXPORTER = "dcgm-exporter"  # an idle GPU, where Prometheus labels what it scrapes with the exporter's own pod
HPC_JOB = Rule((("hpc_job", ".+"),), "{hpc_job}")  # DCGM's label for a batch scheduler's job; after the site's rules
_READINGS = ("power_w", "energy_j", "utilization", "memory_used_bytes")
_EARLIEST_MS = round(EARLIEST.timestamp() * 1000)

Place = tuple[str, str]  # host, device
Key = tuple[str, str, str, int]  # source, host, device, milliseconds


@dataclass(slots=True)
class Translated:
    """What a request comes to."""

    readings: dict[Key, dict[str, Any]] = field(default_factory=dict)
    holders: dict[Key, set[str]] = field(default_factory=dict)  # where several jobs are seen on a whole device
    uses: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    devices: dict[Place, DeviceInfo] = field(default_factory=dict)
    jobs: dict[str, Named] = field(default_factory=dict)
    unread: Counter[tuple[str, str]] = field(default_factory=Counter)  # (metric, reason) -> values
    written: int = 0  # values taken in, or passed over on purpose
    wrong: int = 0  # values that can never be taken
    faults: list[str] = field(default_factory=list)  # the first of what was wrong with them
    _instants: dict[int, datetime] = field(default_factory=dict)

    def refuse(self, values: int, fault: str) -> None:
        self.wrong += values
        if len(self.faults) < FAULTS_TOLD and fault not in self.faults:
            self.faults.append(fault)

    def pass_over(self, name: str, reason: str, values: int) -> None:
        if values:
            self.unread[name, reason] += values
            self.written += values

    def instant(self, ms: int) -> datetime:
        at = self._instants.get(ms)
        if at is None:
            at = self._instants[ms] = EPOCH + timedelta(milliseconds=ms)
        return at


def translate(series: Iterable[Series], *, rules: Sequence[Rule], latest: datetime, of_team: bool) -> Translated:
    """Read every series; nothing that is wrong with one keeps another from being taken.

    Args:
        latest: the last instant that is not "in the future".
        of_team: a team's token speaks, so that no label can name another team.
    """
    found, latest_ms = Translated(), math.floor(latest.timestamp() * 1000)
    rules = [*rules, HPC_JOB]
    for one in series:
        if one.fault:
            found.refuse(len(one.samples) + one.histograms, one.fault)
            continue
        name = one.labels[NAME]
        for reason, count in ((HISTOGRAMS, one.histograms), (EXEMPLARS, one.exemplars)):
            if count:
                found.unread[name, reason] += count
        metric = METRICS.get(name)
        if metric is None:
            found.pass_over(name, why_passed_over(name), len(one.samples))
            continue
        _take(found, one, metric, rules, latest_ms, of_team)
    _settle(found)
    return found


def batches(found: Translated, *, most: int = wire.MAX_SAMPLES) -> Iterator[CheckedBatch]:
    """What is to be stored, in messages of at most `most` samples and as many uses."""
    samples, uses = list(found.readings.values()), list(found.uses.values())
    jobs = _jobs(found)
    for start in range(0, max(len(samples), len(uses)), most):
        part, used = samples[start : start + most], uses[start : start + most]
        named_here = {(row["host"], row["device"]) for row in (*part, *used)}
        yield CheckedBatch(
            devices=msgspec.convert(
                [info for place, info in found.devices.items() if place in named_here],
                list[CheckedDevice],  # type: ignore[valid-type]
                from_attributes=True,
            ),
            jobs=jobs,
            device_samples=msgspec.convert(part, list[CheckedDeviceSample]),  # type: ignore[valid-type]
            device_uses=msgspec.convert(used, list[CheckedDeviceUse]),  # type: ignore[valid-type]
        )


def _take(found: Translated, one: Series, metric: Metric, rules: Sequence[Rule], latest_ms: int, of_team: bool) -> None:
    """The values of a series whose metric is understood."""
    try:
        device = metric.device(one.labels)
    except Unplaced as why:
        found.pass_over(metric.name, str(why), len(one.samples))
        return
    host = device.host or ""
    if fault := _HOST.fault(host) or _DEVICE.fault(device.device):
        detail = f"{metric.name}: {fault.detail}; label the host (greenai_host, hostname or instance) and the device"
        found.refuse(len(one.samples), detail)
        return
    if _MODEL.fault(device.model):
        device = replace(device, model="")
    job = _job(found, one.labels, rules, of_team)
    if metric.reading == "slice":
        _take_slice(found, one, metric, device, job, latest_ms)
        return
    found.devices.setdefault((host, device.device), device)
    on_slice = bool(slice_name(one.labels))
    for value, ms in _values(found, one, metric, latest_ms):
        key = (metric.source, host, device.device, ms)
        reading = found.readings.get(key)
        if reading is None:
            reading = found.readings[key] = {
                "device": device.device,
                "host": host,
                "source": metric.source,
                "measured_at": found.instant(ms),
            }
        before = reading.get(metric.reading)
        if before is None or value > before:  # MIG rows each repeat what the board draws
            reading[metric.reading] = value
        if job is not None and not on_slice and reading.setdefault("job", job) != job:
            found.holders.setdefault(key, {reading["job"]}).add(job)


def _take_slice(
    found: Translated, one: Series, metric: Metric, device: DeviceInfo, job: str | None, latest_ms: int
) -> None:
    fraction = slice_fraction(one.labels.get(SLICE_PROFILE, ""), device.model)
    name = slice_name(one.labels)
    if job is None or fraction is None or _SLICE.fault(name):
        found.pass_over(metric.name, NO_JOB_IN_SLICE if job is None else NO_PROFILE, len(one.samples))
        return
    found.devices.setdefault((device.host or "", device.device), device)
    for value, ms in _values(found, one, metric, latest_ms):
        _use(found, (device.host or "", device.device, ms), job, value, name, fraction)


def _use(
    found: Translated, place: tuple[str, str, int], job: str, used: float | None, name: str, fraction: float | None
) -> None:
    host, device, ms = place
    found.uses[(*place, job, name)] = {
        "host": host,
        "device": device,
        "job": job,
        "measured_at": found.instant(ms),
        "utilization": used,
        "mig_slice": name,
        "mig_fraction": fraction,
    }


def _values(found: Translated, one: Series, metric: Metric, latest_ms: int) -> Iterator[tuple[Any, int]]:
    """The series' values in our unit with their moments. A value that cannot be taken is counted."""
    rule = _RULE_OF[metric.reading]
    for sample in one.samples:
        value, ms = sample.value, sample.timestamp
        if not math.isfinite(value):
            if is_stale(value):
                found.written += 1
            else:
                found.pass_over(metric.name, NOT_A_NUMBER, 1)
        elif metric.is_blank(value):
            found.pass_over(metric.name, BLANK, 1)
        elif not _EARLIEST_MS <= ms <= latest_ms:
            found.refuse(1, f"{metric.name}: {ms} ms since 1970 lies before 2000 or in the future: set the clock")
        else:
            ours: Any = value * metric.factor / metric.per
            if metric.reading == "memory_used_bytes" and math.isfinite(ours):
                ours = round(ours)
            if rule.low <= ours <= rule.high:
                found.written += 1
                yield ours, ms
            else:
                found.refuse(1, f"{metric.name}: {shown(value)} {metric.unit} is beyond what a device can say")


def is_stale(value: float) -> bool:
    """Whether a value is the marker that its series ended."""
    return struct.unpack("<Q", struct.pack("<d", value))[0] in (STALE, STALE | 1 << 51)  # some hardware quiets a NaN


def _job(found: Translated, labels: Labels, rules: Sequence[Rule], of_team: bool) -> str | None:
    """The job that the labels name, remembered with its team and project where they say."""
    who = named(workload_labels(labels), rules)
    if who is None:
        return None
    if fault := _JOB.fault(who.job):
        found.unread[f"job {shown(who.job)}"[:200], fault.code] += 1
        return None
    if of_team:
        who = Named(who.job, None, who.project)
    elif who.team is not None and not (SLUG.fullmatch(who.team) and len(who.team) <= 60):
        found.unread[f"team {shown(who.team)}"[:200], "not a slug"] += 1
        who = Named(who.job)
    if who.team is not None or (of_team and who.project is not None):
        found.jobs.setdefault(who.job, who)
    return who.job


def workload_labels(labels: Labels) -> Labels:
    """The labels of whom the device works for: what the exporter says, before what Prometheus says of the exporter.

    Without `honor_labels` Prometheus keeps the exporter's own word as `exported_pod` and so on.
    """
    told = {name: labels[f"exported_{name}"] for name in WORKLOAD_LABELS if labels.get(f"exported_{name}")}
    if told:
        return {**{name: value for name, value in labels.items() if name not in WORKLOAD_LABELS}, **told}
    if OF_THE_EXPORTER in labels.get("pod", ""):
        return {name: value for name, value in labels.items() if name not in WORKLOAD_LABELS}
    return labels


def _settle(found: Translated) -> None:
    """Take out readings without power or energy, and share out devices that several jobs were seen on."""
    for key, jobs in found.holders.items():
        del found.readings[key]["job"]
        _, host, device, ms = key
        for job in sorted(jobs):
            _use(found, (host, device, ms), job, None, "", None)
    apart = [key for key, reading in found.readings.items() if "power_w" not in reading and "energy_j" not in reading]
    for key in apart:
        reading = found.readings.pop(key)
        for metric in METRICS.values():
            if metric.source == key[0] and metric.reading in reading:
                found.unread[metric.name, APART] += 1


def _jobs(found: Translated) -> list[Any]:
    rows = [{"job": who.job, "team": who.team, "project": who.project} for who in found.jobs.values()]
    return msgspec.convert(rows, list[CheckedJob])  # type: ignore[valid-type]


_HOST, _DEVICE = RULES[wire.DeviceInfo]["host"], RULES[wire.DeviceInfo]["device"]
_JOB, _MODEL = RULES[wire.DeviceUse]["job"], RULES[wire.DeviceInfo]["model"]
_SLICE = RULES[wire.DeviceUse]["mig_slice"]
_RULE_OF: dict[str, Any] = {name: RULES[wire.DeviceSample][name] for name in _READINGS}
_RULE_OF["slice"] = RULES[wire.DeviceUse]["utilization"]
