"""Points of OpenTelemetry -> telemetry batches, what was refused and what was passed over. Pure.

A gauge and a cumulative counter of one device and moment become one sample; its `boot` carries the counter's start
time, so that a counter which began again is never compared with itself before. A counter of differences becomes spans
of energy.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from accounting.agent import wire
from accounting.agent.wire import DeviceInfo, DeviceSample, EnergySpan, JobInfo, TelemetryBatch
from accounting.ingest.formats.otlp_metrics import METRICS, Meaning, Unnamed, Unplaced, device_of, factor
from accounting.ingest.formats.otlp_metrics import why_passed_over as why_not
from accounting.ingest.formats.otlp_wire import Kind, Metric, Point
from accounting.ingest.naming import Named, Rule, named
from accounting.ingest.shapes import UNREADABLE, shown
from accounting.methods.units import US_PER_S

FAULTS_TOLD = 5
# What nothing draws. By it a first difference is told that holds all that a counter showed before it was first read.
MOST_W = {"node": 200e3}
MOST_PART_W = 2e3
# A program may add at once what it drew before, and the SDK takes its counter's first sight as the start.
ADDED_AT_ONCE_S = 60.0
# Which run of which program a series is of. What processors add later (labels of a pod, say) makes no other run.
RUN_ATTRIBUTES = (
    "service.namespace",
    "service.name",
    "service.instance.id",
    "host.id",
    "host.name",
    "k8s.pod.uid",
    "k8s.pod.name",
    "container.id",
    "process.pid",
)
APART = "came without the power or energy of its moment"
_SINCE = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_US = round((datetime(9999, 1, 1, tzinfo=UTC) - _SINCE).total_seconds()) * US_PER_S

Place = tuple[str, str]  # host, device
Item = DeviceSample | EnergySpan


@dataclass(slots=True)
class _Reading:
    """What was told of one device at one moment."""

    job: Named | None = None
    boot: str = ""
    series: tuple[Any, ...] = ()  # whose the counter is
    points: int = 0
    names: list[str] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Difference:
    """What one counter of one device rose by in one interval, by series: each counts once, however often it came."""

    by_series: dict[tuple[tuple[str, str], ...], tuple[Named | None, float]] = field(default_factory=dict)
    points: int = 0

    def by_job(self) -> dict[Named | None, float]:
        """Of one metric and interval, the differences of several series add up."""
        energies: dict[Named | None, list[float]] = defaultdict(list)
        for who, energy_j in self.by_series.values():
            energies[who].append(energy_j)
        return {who: math.fsum(of_job) for who, of_job in energies.items()}


@dataclass(slots=True)
class Translated:
    """What a request comes to."""

    unread: Counter[tuple[str, str]] = field(default_factory=Counter)  # (metric, reason) -> points
    refused: int = 0  # points that should count, and cannot
    faults: list[str] = field(default_factory=list)  # the first of what was wrong with them
    items: list[tuple[Item, Named | None, int]] = field(default_factory=list)  # with how many points made it
    devices: dict[Place, DeviceInfo] = field(default_factory=dict)

    def refuse(self, metric: str, why: str, points: int = 1) -> None:
        self.refused += points
        self.unread[_name(metric), why[:200]] += points
        self.warn(f"{_name(metric)}: {why}")

    def warn(self, fault: str) -> None:
        if len(self.faults) < FAULTS_TOLD and fault not in self.faults:
            self.faults.append(fault)

    def pass_over(self, metric: str, why: str, points: int) -> None:
        if points:
            self.unread[_name(metric), why] += points


def translate(metrics: Iterable[Metric], *, rules: Sequence[Rule], of_team: str | None) -> Translated:
    """Read every point; nothing that is wrong with one keeps another from being taken.

    Args:
        rules: how labels name a job.
        of_team: the slug of the token's team; None: a site's token, whose labels may name the team.
    """
    found = Translated()
    reading = _Reader(found, rules, of_team)
    for metric in metrics:
        meaning = METRICS.get(metric.name)
        if meaning is None:
            found.pass_over(metric.name, why_not(metric.name), metric.count)
        elif metric.kind not in meaning.kinds:
            found.refuse(metric.name, f"came as {metric.kind.value}", metric.count)
        elif (scale := factor(meaning.reading, metric.unit)) is None:
            found.refuse(metric.name, f"unit {metric.unit[:40]!r} is none of its units", metric.count)
        else:
            for point in metric.points:
                reading.take(metric, meaning, scale, point)
    reading.settle()
    return found


def batches(found: Translated, *, most: int = wire.MAX_SAMPLES) -> Iterator[tuple[TelemetryBatch, list[int]]]:
    """What is to be stored, with how many points made each item: the samples', then the spans'.

    A job's name means one team in a message, so jobs of the same name and several teams part.
    """
    waiting = found.items
    while waiting:
        jobs: dict[str, Named] = {}
        now, later = [], []
        for item in waiting:
            who = item[1]
            fits = len(now) < most and (who is None or jobs.setdefault(who.job, who) == who)
            (now if fits else later).append(item)
        samples = [(item, points) for item, _, points in now if isinstance(item, DeviceSample)]
        spans = [(item, points) for item, _, points in now if isinstance(item, EnergySpan)]
        places = {(item.host, item.device) for item, _, _ in now}
        batch = TelemetryBatch(
            devices=[info for place, info in found.devices.items() if place in places],
            jobs=[JobInfo(who.job, team=who.team, project=who.project) for who in jobs.values() if _says_more(who)],
            device_samples=[item for item, _ in samples],
            energy_spans=[item for item, _ in spans],
        )
        yield batch, [points for _, points in (*samples, *spans)]
        waiting = later


@dataclass(slots=True)
class _Reader:
    """Points on their way to samples and spans."""

    found: Translated
    rules: Sequence[Rule]
    of_team: str | None
    readings: dict[tuple[str, str, int], _Reading] = field(default_factory=lambda: defaultdict(_Reading))
    rises: dict[tuple[str, str, int, int, str], _Difference] = field(default_factory=lambda: defaultdict(_Difference))
    parents: dict[Place, str] = field(default_factory=dict)

    def take(self, metric: Metric, meaning: Meaning, scale: tuple[float, float], point: Point) -> None:
        if point.value is None:
            return  # a point that says that there was nothing
        labels = {**metric.resource, **point.attributes}
        try:
            device = device_of(meaning, labels)
        except Unplaced as why:
            self.found.pass_over(metric.name, str(why), 1)
            return
        except Unnamed as why:
            self.found.refuse(metric.name, str(why))
            return
        value = point.value * scale[0] / scale[1]
        at_us = point.at_ns // 1000
        if not math.isfinite(value):
            self.found.refuse(metric.name, f"{point.value} is not a number that counts")
        elif not 0 < at_us < _LATEST_US:
            self.found.refuse(metric.name, f"time_unix_nano {point.at_ns}: tell when it was")
        elif metric.kind is Kind.DELTA:
            self._take_difference(metric, device, self._job(labels), point, value)
        else:
            self._take_reading(metric, meaning, device, self._job(labels), point, value)
        if parent := labels.get("hw.parent"):
            self.parents[_place(device)] = f"{labels.get('hw.type', '').lower()}-{parent}"

    def _take_reading(
        self, metric: Metric, meaning: Meaning, device: DeviceInfo, who: Named | None, point: Point, value: float
    ) -> None:
        series = (metric.scope, *_run_of(metric.resource), *sorted(point.attributes.items()))
        reading = self.readings[(*_place(device), point.at_ns // 1000)]
        before = reading.values.get(meaning.reading)
        if before is not None and (before != value or (meaning.reading == "energy_j" and reading.series != series)):
            self.found.refuse(metric.name, f"two series tell of {device.device} at one time: one counter a device")
            return
        self.found.devices.setdefault(_place(device), device)
        reading.values[meaning.reading] = value
        reading.points += 1
        reading.names.append(metric.name)
        reading.job = reading.job or who
        if meaning.reading == "energy_j":
            reading.series = series
            reading.job = who
            reading.boot = _digest(metric, str(point.start_ns))

    def _take_difference(
        self, metric: Metric, device: DeviceInfo, who: Named | None, point: Point, value: float
    ) -> None:
        start_us, end_us = point.start_ns // 1000, point.at_ns // 1000
        if not 0 < start_us < end_us:
            detail = f"from {point.start_ns} to {point.at_ns}: a difference needs the time it was of"
            self.found.refuse(metric.name, detail)
            return
        took_s = max((end_us - start_us) / US_PER_S, ADDED_AT_ONCE_S)
        if value > MOST_W.get(device.kind, MOST_PART_W) * took_s:
            detail = f"{value:.3g} J within {took_s:.0f} s are more than a {device.kind} can draw"
            self.found.refuse(metric.name, f"{detail}: a first difference tells what was before; it is left out")
            return
        self.found.devices.setdefault(_place(device), device)
        rise = self.rises[(*_place(device), start_us, end_us, _digest(metric, ""))]
        series = tuple(sorted(point.attributes.items()))
        if rise.by_series.setdefault(series, (who, value)) != (who, value):
            self.found.refuse(metric.name, f"two differences of {device.device} in one interval and series")
            return
        rise.points += 1

    def _job(self, labels: Mapping[str, str]) -> Named | None:
        who = named(labels, self.rules)
        if who is None:
            return None
        if self.of_team is not None:
            if who.team not in (None, self.of_team):
                self.found.warn(f"greenai.team {shown(who.team)}: this token speaks for {self.of_team!r} only")
            return Named(who.job, None, who.project)
        return who if who.team is not None else Named(who.job)

    def settle(self) -> None:
        told = {(host, device) for host, device, _ in self.readings} | {(key[0], key[1]) for key in self.rises}
        inner = {place for place, parent in self.parents.items() if parent != place[1] and (place[0], parent) in told}
        for (host, device, at_us), reading in self.readings.items():
            if (host, device) in inner:
                self._pass_over_all(reading.names, "part of another device that tells of itself")
            elif "energy_j" not in reading.values and "power_w" not in reading.values:
                self._pass_over_all(reading.names, APART)
            else:
                self.found.items.append((_sample(host, device, at_us, reading), reading.job, reading.points))
        for (host, device, start_us, end_us, run), rise in self.rises.items():
            if (host, device) in inner:
                self.found.pass_over("hw.energy", "part of another device that tells of itself", rise.points)
                continue
            self.found.items += _spans(host, device, start_us, end_us, run, rise)

    def _pass_over_all(self, names: Iterable[str], why: str) -> None:
        for name in names:
            self.found.pass_over(name, why, 1)


def _sample(host: str, device: str, at_us: int, reading: _Reading) -> DeviceSample:
    memory = reading.values.get("memory_used_bytes")
    return DeviceSample(
        device=device,
        measured_at=_at(at_us),
        power_w=reading.values.get("power_w"),
        energy_j=reading.values.get("energy_j"),
        utilization=reading.values.get("utilization"),
        memory_used_bytes=None if memory is None else round(memory),
        job=reading.job.job if reading.job else None,
        host=host,
        source="otlp",
        boot=reading.boot,
    )


def _spans(
    host: str, device: str, start_us: int, end_us: int, run: str, rise: _Difference
) -> Iterator[tuple[EnergySpan, Named | None, int]]:
    """The interval as one span, or cut in the ratio of what each job drew: energy and time both come out whole."""
    by_job = rise.by_job()
    total_j = math.fsum(by_job.values())
    shares = sorted(by_job.items(), key=lambda pair: pair[0].job if pair[0] else "")
    if total_j <= 0 or any(energy_j < 0 for _, energy_j in shares):
        shares = [(None if len(shares) > 1 else shares[0][0], total_j)]
    shares = [(who, energy_j) for who, energy_j in shares if energy_j > 0] or shares
    edges = [start_us]
    so_far = 0.0
    for _, energy_j in shares:
        so_far += energy_j
        edges.append(start_us + round((end_us - start_us) * min(so_far / total_j, 1.0)) if total_j > 0 else end_us)
    edges[-1] = end_us
    for k, (who, energy_j) in enumerate(shares):
        span = EnergySpan(
            device=device,
            started_at=_at(edges[k]),
            ended_at=_at(edges[k + 1]),
            energy_j=energy_j,
            job=who.job if who else None,
            host=host,
            source="otlp",
            run=run,
        )
        yield span, who, rise.points if k == 0 else 0


def _digest(metric: Metric, start: str) -> str:
    """A short name for a program's run and one of its metrics, and for when its counter began."""
    identity = "\n".join((metric.name, metric.scope, *_run_of(metric.resource), start))
    return f"otlp {blake2b(identity.encode(errors='replace'), digest_size=12).hexdigest()}"


def _run_of(resource: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(resource.get(name, "") for name in RUN_ATTRIBUTES)


def _place(device: DeviceInfo) -> Place:
    return device.host or "", device.device


def _says_more(who: Named) -> bool:
    return who.team is not None or who.project is not None


def _at(us: int) -> str:
    return (_SINCE + timedelta(microseconds=us)).isoformat()


def _name(metric: str) -> str:
    return UNREADABLE.sub("?", metric)[:200] or "(no name)"
