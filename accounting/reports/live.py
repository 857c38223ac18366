"""What is happening now: watts from the newest samples, agents that went silent, how far the ledger is behind."""

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Exists, F, JSONField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject

from accounting.methods.records import Status
from accounting.methods.units import US_PER_S
from accounting.models import Agent, Device, DeviceSample, EnergySpan, Job, JobMark, LedgerHour
from accounting.reports.ledger_lag import LedgerLag, ledger_lag
from accounting.reports.queries import seen
from accounting.reports.rates import carbon_rates
from accounting.reports.records import Sees
from accounting.reports.spans import mean_power_w, newest_spans

FRESH_S = 120.0  # an older reading says nothing about now
TOLD_FRESH_S = 300.0  # nor does a tool's span that ended longer ago; trackers post every two minutes
SHOWN = 60  # devices listed; all of them count in the sum


@dataclass(frozen=True, slots=True)
class LiveDevice:
    id: int
    name: str
    host: str
    site_id: int | None
    host_id: int
    is_node: bool
    is_total: bool  # of its kind on its host: counts where no device of the kind does by itself
    kind: str
    model: str
    power_w: float | None  # None: it reports, but two counter readings are needed first
    status: Status
    utilization: float | None
    job_id: int | None
    job: str
    measured_at: datetime


@dataclass(frozen=True, slots=True)
class SilentAgent:
    key: str
    host: str
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class AtTheWall:
    """Power now times the PUE of each device's site; the grid's intensity there, weighted by that power."""

    power_w: float
    pue: float
    pue_status: Status
    intensity_g_per_kwh: float  # location-based
    intensity_status: Status


@dataclass(frozen=True, slots=True)
class LiveView:
    """`devices` are the hungriest `SHOWN`; `power_w` sums what reports, at the devices, before cooling.

    The parts of a host count under its whole-node sensor where that reports.
    """

    at: datetime
    devices: Sequence[LiveDevice]
    power_w: float | None  # None: nothing reports
    reporting: int
    in_service: int
    silent: Sequence[SilentAgent]
    ledger: LedgerLag
    status: Status | None
    wall: AtTheWall | None  # None: no power now


def live(
    visibility: Sees, *, now: datetime, silent_after_s: float, most: int | None = SHOWN, only: int | None = None
) -> LiveView:
    """Five queries, whatever the number of samples: one index seek per device in service. Where devices stand at
    sites, two more and one a site.

    Args:
        most: devices listed; None: all.
        only: the id of the one device asked about.
    """
    devices = visible_devices(visibility).filter(retired_at=None)
    if only is not None:
        devices = devices.filter(pk=only)
    reporting = sorted(_latest(devices, now=now), key=lambda one: (-(one.power_w or 0.0), one.host, one.name))
    counted = _counted(reporting)
    return LiveView(
        at=now,
        devices=reporting[:most],
        power_w=math.fsum(one.power_w or 0.0 for one in counted) if counted else None,
        reporting=len(reporting),
        in_service=devices.count(),
        silent=_silent(visibility, before=now - timedelta(seconds=silent_after_s), now=now),
        ledger=ledger_lag(now=now),
        status=Status.worst(one.status for one in reporting) if reporting else None,
        wall=at_the_wall(counted, now=now),
    )


def _counted(reporting: Sequence[LiveDevice]) -> list[LiveDevice]:
    """Those whose power is not in another's: a host's parts are in its node's, a total stands back for its devices."""
    drawing = [one for one in reporting if one.power_w is not None]
    whole = {one.host_id for one in drawing if one.is_node}
    single = {(one.host_id, one.kind) for one in drawing if not one.is_total}
    parts = [one for one in drawing if one.is_node or one.host_id not in whole]
    return [one for one in parts if not one.is_total or (one.host_id, one.kind) not in single]


def at_the_wall(devices: Sequence[LiveDevice], *, now: datetime) -> AtTheWall | None:
    """None where no device draws anything."""
    drawing = [one for one in devices if one.power_w]
    if not drawing:
        return None
    rates = carbon_rates({one.site_id for one in drawing}, now=now, priced=False)
    here = [(one.power_w or 0.0, rates[one.site_id]) for one in drawing]
    wall_w = math.fsum(power_w * rate.pue.mid for power_w, rate in here)
    weighted = math.fsum(power_w * rate.pue.mid * rate.intensity_g_per_kwh.mid for power_w, rate in here)
    return AtTheWall(
        power_w=wall_w,
        pue=wall_w / math.fsum(power_w for power_w, _ in here),
        pue_status=Status.worst(rate.pue.status for _, rate in here),
        intensity_g_per_kwh=weighted / wall_w,
        intensity_status=Status.worst(rate.intensity_g_per_kwh.status for _, rate in here),
    )


def visible_devices(visibility: Sees) -> QuerySet[Device]:
    """Devices of the team's own hosts, and those that one of its jobs holds now; every device for those who see all."""
    if visibility.team_ids is None:
        return Device.objects.select_related("host")
    teams = sorted(visibility.team_ids)
    held = JobMark.objects.filter(device=OuterRef("pk"), ended_at_us=None, job__team_id__in=teams)
    return Device.objects.select_related("host").filter(Q(host__team_id__in=teams) | Exists(held))


def running_jobs(visibility: Sees, *, now: datetime) -> QuerySet[Job]:
    """Jobs without an end that hold a device, or drew energy in this hour or the last."""
    held = JobMark.objects.filter(job=OuterRef("pk"), ended_at_us=None)
    drew = LedgerHour.objects.filter(job=OuterRef("pk"), hour__gt=now - timedelta(hours=2))
    return Job.objects.filter(seen(visibility), Exists(held) | Exists(drew), ended_at=None).select_related("team")


def _latest(devices: QuerySet[Device], *, now: datetime) -> list[LiveDevice]:
    """The newest fresh sample of each device by its best source; power from the counter where only that is sent."""
    since_us = int((now.timestamp() - FRESH_S) * US_PER_S)
    until_us = int((now.timestamp() + FRESH_S) * US_PER_S)  # an agent's clock may be a little ahead
    samples = DeviceSample.objects.filter(
        device=OuterRef("pk"), measured_at_us__gte=since_us, measured_at_us__lt=until_us
    ).order_by("source", "-measured_at_us")
    row = JSONObject(
        at="measured_at_us", power_w="power_w", energy_j="energy_j", epoch="epoch", source="source",
        measured="measured", utilization="utilization", job_id="job_id", job=F("job__key"), job_name=F("job__name"),
    )  # fmt: skip
    newest = Subquery(samples.values_list(row)[:1], output_field=JSONField())
    before = Subquery(samples.values_list(row)[1:2], output_field=JSONField())
    found = devices.annotate(newest=newest, before=before).filter(newest__isnull=False)
    read = [_live_device(device) for device in found]
    return [*read, *_told(devices, now=now, but={one.id for one in read})]


def _told(devices: QuerySet[Device], *, now: datetime, but: Set[int]) -> list[LiveDevice]:
    """Devices of which only a tool's spans tell. One query where there are none."""
    since_us, now_us = (int((now.timestamp() - ago_s) * US_PER_S) for ago_s in (TOLD_FRESH_S, 0.0))
    of_tools = EnergySpan.objects.touching(since_us, now_us)
    recent = devices.filter(Exists(of_tools.filter(device=OuterRef("pk"))))
    known = {device.pk: device for device in recent if device.pk not in but}
    spans = newest_spans(known, since_us=since_us) if known else {}
    return [
        LiveDevice(
            **_described(known[pk]),
            power_w=mean_power_w(span),
            status=Status.MEASURED if span.measured else Status.MODELLED,
            utilization=None,
            job_id=span.job_id,
            job=(span.job.name or span.job.key) if span.job else "",
            measured_at=datetime.fromtimestamp(span.ended_at_us / US_PER_S, tz=UTC),
        )
        for pk, span in spans.items()
    ]


def _described(device: Device) -> dict[str, Any]:
    return {
        "id": device.pk,
        "name": device.key,
        "host": device.host.name,
        "site_id": device.host.site_id,
        "host_id": device.host_id,
        "is_node": device.kind == Device.Kind.NODE,
        "is_total": device.is_total,
        "kind": device.get_kind_display(),
        "model": device.model,
    }


def _live_device(device: Device) -> LiveDevice:
    sample = device.newest  # type: ignore[attr-defined]
    return LiveDevice(
        **_described(device),
        power_w=_power_w(sample, device.before),  # type: ignore[attr-defined]
        status=Status.MEASURED if sample["measured"] else Status.MODELLED,
        utilization=sample["utilization"],
        job_id=sample["job_id"],
        job=sample["job_name"] or sample["job"] or "",
        measured_at=datetime.fromtimestamp(sample["at"] / US_PER_S, tz=UTC),
    )


def _power_w(newest: dict[str, float], before: dict[str, float] | None) -> float | None:
    if newest["power_w"] is not None:
        return newest["power_w"]
    if before is None or any(newest[same] != before[same] for same in ("source", "epoch")):
        return None
    if before["energy_j"] is None or newest["energy_j"] is None or newest["energy_j"] < before["energy_j"]:
        return None
    return (newest["energy_j"] - before["energy_j"]) / ((newest["at"] - before["at"]) / US_PER_S)


def _silent(visibility: Sees, *, before: datetime, now: datetime) -> list[SilentAgent]:
    """Agents not heard of since `before`, forgotten after a month."""
    heard = Agent.objects.filter(last_seen_at__lt=before, last_seen_at__gt=now - timedelta(days=30))
    agents = heard.exclude(key__in=Agent.PASSING_KEYS)
    if visibility.team_ids is not None:
        agents = agents.filter(host__team_id__in=sorted(visibility.team_ids))
    return [
        SilentAgent(agent.key, agent.host.name, agent.last_seen_at)
        for agent in agents.select_related("host").order_by("-last_seen_at")[:20]
    ]
