"""Series of Prometheus remote-write -> checked telemetry batches, what was not kept and what was wrong. Pure.

Series of one device and moment become one reading, as far as they come in one request; the rest meets in the database.
Only metrics of `prometheus_metrics` are kept; every other value is counted under its name and, where known, a reason.
"""

import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from accounting.agent import wire
from accounting.agent.wire import DeviceInfo
from accounting.ingest.columns import EPOCH
from accounting.ingest.formats.prometheus_metrics import (
    FIRST_BLANK,
    METRICS,
    Metric,
)
from accounting.ingest.formats.prometheus_series import Known, known_as
from accounting.ingest.formats.prometheus_wire import Series
from accounting.ingest.naming import Named, Rule
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
NO_JOB_IN_SLICE = "of a MIG slice that no pod or job holds"
FAULTS_TOLD = 5
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
    asked = tuple(rules)
    for one in series:
        known = known_as(one)
        if known.fault:
            found.refuse(len(one.samples) + one.histograms, known.fault)
            continue
        for reason, count in ((HISTOGRAMS, one.histograms), (EXEMPLARS, one.exemplars)):
            if count:
                found.unread[known.name, reason] += count
        if known.metric is None or known.device is None:
            found.pass_over(known.name, known.reason, len(one.samples))
        else:
            _take(found, one, known, known.metric, known.device, _job(found, known, asked, of_team), latest_ms)
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


def _take(
    found: Translated, one: Series, known: Known, metric: Metric, device: DeviceInfo, job: str | None, latest_ms: int
) -> None:
    """The values of a series whose metric and device are understood."""
    host, key, source, told = device.host or "", device.device, metric.source, metric.reading
    if told == "slice":
        if job is None:
            found.pass_over(metric.name, NO_JOB_IN_SLICE, len(one.samples))
            return
        found.devices.setdefault((host, key), device)
        for value, ms in _values(found, one, metric, latest_ms):
            _use(found, (host, key, ms), job, value, known.slice, known.fraction)
        return
    found.devices.setdefault((host, key), device)
    readings = found.readings
    for value, ms in _values(found, one, metric, latest_ms):
        place = (source, host, key, ms)
        reading = readings.get(place)
        if reading is None:
            at = found.instant(ms)
            reading = readings[place] = {"device": key, "host": host, "source": source, "measured_at": at}
        before = reading.get(told)
        if before is None or value > before:  # MIG rows each repeat what the board draws
            reading[told] = value
        if job is not None and not known.slice and reading.setdefault("job", job) != job:
            found.holders.setdefault(place, {reading["job"]}).add(job)


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
    factor, per, plain, is_whole = metric.factor, metric.per, _PLAIN[metric.name], metric.reading == "memory_used_bytes"
    for sample in one.samples:
        value, ms = sample.value, sample.timestamp
        if 0.0 <= value <= plain and _EARLIEST_MS <= ms <= latest_ms:  # nearly all are
            found.written += 1
            yield (round(value * factor) if is_whole else value * factor / per), ms
        else:
            _set_aside(found, metric, value, ms, latest_ms)


def _set_aside(found: Translated, metric: Metric, value: float, ms: int, latest_ms: int) -> None:
    """Count a value that is not taken under what is the matter with it."""
    if is_stale(value):
        found.written += 1
    elif not math.isfinite(value):
        found.pass_over(metric.name, NOT_A_NUMBER, 1)
    elif metric.is_blank(value):
        found.pass_over(metric.name, BLANK, 1)
    elif not _EARLIEST_MS <= ms <= latest_ms:
        found.refuse(1, f"{metric.name}: {ms} ms since 1970 lies before 2000 or in the future: set the clock")
    else:
        found.refuse(1, f"{metric.name}: {shown(value)} {metric.unit} is beyond what a device can say")


def is_stale(value: float) -> bool:
    """Whether a value is the marker that its series ended."""
    return struct.unpack("<Q", struct.pack("<d", value))[0] in (STALE, STALE | 1 << 51)  # some hardware quiets a NaN


def _job(found: Translated, known: Known, rules: tuple[Rule, ...], of_team: bool) -> str | None:
    """The job that the labels name, noted with its team and project where they say."""
    who = known.held_by(rules)
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


def _most(metric: Metric) -> float:
    message, name = (
        (wire.DeviceUse, "utilization") if metric.reading == "slice" else (wire.DeviceSample, metric.reading)
    )
    rule: Any = RULES[message][name]
    highest = rule.high * metric.per / metric.factor
    return float(min(highest, FIRST_BLANK - 1) if metric.blanks == "any" else highest)


_JOB = RULES[wire.DeviceUse]["job"]
# The most that a value of each metric may be, in its exporter's unit; beyond lie DCGM's words for "not known".
_PLAIN = {metric.name: _most(metric) for metric in METRICS.values()}
