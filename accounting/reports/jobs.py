"""Jobs by what they came to, and one job hour by hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Avg, F, Max, Min, Q, QuerySet, Sum

from accounting.methods.units import US_PER_HOUR, US_PER_S
from accounting.models import Device, DeviceSample, Job, JobMark, LedgerHour
from accounting.reports.queries import seen
from accounting.reports.records import Sees
from accounting.reports.spans import span_points

POWER_WINDOW = timedelta(hours=6)  # raw samples shown at most; older hours are in the ledger
POWER_POINTS = 720  # per device
POWER_DEVICES = 8


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job and what it came to in a period. CO2e is operational (location-based) and embodied."""

    id: int
    key: str
    name: str
    team: str
    project: str
    kind: str
    model: str
    started_at: datetime | None
    ended_at: datetime | None
    co2e_g: float
    facility_energy_kwh: float
    it_energy_kwh: float
    water_l: float
    cost: float | None  # None: there is something to pay for, and no price at all is known
    measured_kwh: float

    @property
    def measured_share(self) -> float | None:
        return min(self.measured_kwh / self.it_energy_kwh, 1.0) if self.it_energy_kwh else None


_SUMS = {
    "co2e_g": Sum(F("co2e_location_g") + F("embodied_g")),
    "facility_energy_kwh": Sum("facility_energy_kwh"),
    "it_energy_kwh": Sum("it_energy_kwh"),
    "water_l": Sum(F("water_onsite_l") + F("water_offsite_l")),
    "cost": Sum("cost"),
    "measured_kwh": Sum("measured_kwh"),
    "unpriced_kwh": Sum("unpriced_kwh"),
    "unpriced_s": Sum("unpriced_s"),
}
_UNPRICED = ("unpriced_kwh", "unpriced_s")


def heaviest_jobs(
    visibility: Sees, start: datetime, end: datetime, *, limit: int, text: str = "", **filters: int | None
) -> list[JobLine]:
    """The jobs with the most CO2e in [start, end). Two queries.

    Args:
        text: part of a name, key or model.
        filters: team_id, project_id, device_id, site_id.
    """
    rows = LedgerHour.objects.filter(seen(visibility), job__isnull=False, hour__gte=start, hour__lt=end)
    rows = rows.filter(**{name: value for name, value in filters.items() if value is not None})
    if text:
        rows = rows.filter(job__in=_named(text))
    sums = {row["job_id"]: row for row in rows.values("job_id").annotate(**_SUMS).order_by("-co2e_g", "job_id")[:limit]}
    jobs = Job.objects.select_related("team", "project").in_bulk(list(sums))
    return [_line(jobs[job_id], row) for job_id, row in sums.items()]


def _named(text: str) -> QuerySet[Job]:
    found = Job.objects.none()
    for column in ("name", "key", "model"):
        found = found | Job.objects.filter(**{f"{column}__icontains": text})
    return found


def _line(job: Job, row: dict[str, Any]) -> JobLine:
    return JobLine(
        id=job.pk,
        key=job.key,
        name=str(job),
        team=job.team.name if job.team else "",
        project=job.project.name if job.project else "",
        kind=job.kind,
        model=job.model,
        started_at=job.started_at,
        ended_at=job.ended_at,
        **{name: row[name] for name in _SUMS if name not in _UNPRICED} | {"cost": _known_cost(row)},
    )


def _known_cost(row: dict[str, Any]) -> float | None:
    unpriced = any(row[name] > 0 for name in _UNPRICED)
    return None if unpriced and row["cost"] == 0.0 else row["cost"]


@dataclass(frozen=True, slots=True)
class JobHour:
    """One hour of one job over all its devices."""

    hour: datetime
    it_energy_kwh_low: float
    it_energy_kwh: float
    it_energy_kwh_high: float
    facility_energy_kwh: float
    co2e_location_g: float
    embodied_g: float
    water_l: float
    cost: float | None  # None: not known
    covered_s: float
    market_g: float
    market_kwh: float

    @property
    def co2e_market_g(self) -> float | None:
        """Of the part of the energy that it speaks of; None where it speaks of none."""
        return self.market_g if self.market_kwh > 0 else None

    @property
    def market_coverage(self) -> float | None:
        return min(self.market_kwh / self.facility_energy_kwh, 1.0) if self.facility_energy_kwh else None


def job_hours(job: Job) -> list[JobHour]:
    """Every ledger hour of a job, in order. One query, by the job index."""
    rows = LedgerHour.objects.filter(job=job).order_by("hour").values("hour").annotate(**_OF_HOUR)
    return [
        JobHour(hour=row["hour"], cost=_known_cost(row), **{name.removeprefix("sum_"): row[name] for name in _SHOWN})
        for row in ({**row, "cost": row["price"]} for row in rows)
    ]


_SHOWN = {
    "sum_it_energy_kwh_low": Sum("it_energy_kwh_low"),
    "sum_it_energy_kwh": Sum("it_energy_kwh"),
    "sum_it_energy_kwh_high": Sum("it_energy_kwh_high"),
    "sum_facility_energy_kwh": Sum("facility_energy_kwh"),
    "sum_co2e_location_g": Sum("co2e_location_g"),
    "sum_embodied_g": Sum("embodied_g"),
    "sum_water_l": Sum(F("water_onsite_l") + F("water_offsite_l")),
    "sum_covered_s": Sum("covered_s"),
    "sum_market_g": Sum("co2e_market_g"),
    "sum_market_kwh": Sum("market_kwh"),
}
_OF_HOUR = {
    **_SHOWN,
    "price": Sum("cost"),
    "unpriced_kwh": Sum("unpriced_kwh"),
    "unpriced_s": Sum("unpriced_s"),
}


def job_devices(job: Job) -> list[Device]:
    """Devices that it held, and those that its energy is of: a tool may name it without a mark. One query."""
    held = JobMark.objects.filter(job=job).order_by().values("device")
    drew = LedgerHour.objects.filter(job=job).order_by().values("device")
    found = Device.objects.filter(Q(pk__in=held) | Q(pk__in=drew)).select_related("host")
    return list(found.order_by("host__name", "key"))


def factor_ids(job: Job) -> list[str]:
    """The ids of every factor behind a job's figures, and the method version. One query."""
    found = LedgerHour.objects.filter(job=job).values_list("factor_ids", flat=True).distinct()
    return sorted({factor_id for ids in found for factor_id in ids})


def methods_of(job: Job) -> list[str]:
    return sorted(set(LedgerHour.objects.filter(job=job).values_list("method", flat=True).distinct()))


@dataclass(frozen=True, slots=True)
class PowerLine:
    """One device's draw, averaged over equal steps: (step start, W)."""

    name: str
    points: Sequence[tuple[datetime, float]]


def job_power(job: Job, *, now: datetime) -> list[PowerLine]:
    """The draw of the job's devices while it held them, over its last hours. At most POWER_DEVICES + 2 queries."""
    marks = JobMark.objects.filter(job=job).select_related("device__host").order_by("device__host__name", "device__key")
    now_us = int(now.timestamp() * US_PER_S)
    spans = [(mark.device, mark.started_at_us, mark.ended_at_us or now_us) for mark in marks] or _booked(job)
    if not spans:
        return []
    last_us = max(end for _, _, end in spans)
    first_us = max(min(start for _, start, _ in spans), last_us - int(POWER_WINDOW.total_seconds() * US_PER_S))
    lines: dict[int, PowerLine] = {}
    for device, start, end in spans:
        if device.pk in lines or len(lines) == POWER_DEVICES:
            continue
        if end > first_us:
            points = power_points(device.pk, max(start, first_us), end)
            lines[device.pk] = PowerLine(str(device), points)
    return [line for line in lines.values() if line.points]


def _booked(job: Job) -> list[tuple[Device, int, int]]:
    """Of a job that no mark tells of: its devices with their hours in the ledger. Two queries."""
    rows = LedgerHour.objects.filter(job=job, covered_s__gt=0).order_by().values_list("device")
    hours = {pk: (first, last) for pk, first, last in rows.annotate(Min("hour"), Max("hour"))}
    devices = Device.objects.filter(pk__in=hours).select_related("host").order_by("host__name", "key")
    ends = {pk: (round(a.timestamp() * US_PER_S), round(b.timestamp() * US_PER_S)) for pk, (a, b) in hours.items()}
    return [(device, ends[device.pk][0], ends[device.pk][1] + US_PER_HOUR) for device in devices]


def power_points(device_id: int, start_us: int, end_us: int) -> list[tuple[datetime, float]]:
    """A device's power over [start, end), averaged into at most POWER_POINTS steps; what tools told, where nothing was
    read. One range scan of its key, rarely two.
    """
    step_us = max((end_us - start_us) // POWER_POINTS, US_PER_S)
    rows = (
        DeviceSample.objects.filter(
            device_id=device_id, measured_at_us__gte=start_us, measured_at_us__lt=end_us, power_w__isnull=False
        )
        .annotate(step=F("measured_at_us") / step_us)
        .values("step")
        .annotate(mean_w=Avg("power_w"))
        .order_by("step")
    )
    points = [(datetime.fromtimestamp(row["step"] * step_us / US_PER_S, tz=UTC), row["mean_w"]) for row in rows]
    return points or span_points(device_id, start_us, end_us)
