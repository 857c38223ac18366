"""Is a job's figure final? What is still to come, in sentences."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Max, Min

from accounting.methods.units import US_PER_S
from accounting.models import Device, DeviceSample, DirtyHour, EnergySpan, Job, JobMark, LedgerHour

HOUR = timedelta(hours=1)
DEVICES_NAMED = 5


@dataclass(frozen=True, slots=True)
class Progress:
    """[start, end) holds every hour of the job so far; both None: nothing of it is known."""

    start: datetime | None
    end: datetime | None
    pending: list[str]  # empty: the figures are as final as the readings are


def job_progress(job: Job, *, now: datetime) -> Progress:
    """Four queries, and one or two look-ups by key for each device of its marks."""
    marks = list(JobMark.objects.filter(job=job).select_related("device__host"))
    rows = LedgerHour.objects.filter(job=job)
    edges = rows.aggregate(first=Min("hour"), last=Max("hour"))
    spans = [(_at(mark.started_at_us), now if mark.ended_at_us is None else _at(mark.ended_at_us)) for mark in marks]
    if edges["first"] is not None:
        spans.append((edges["first"], edges["last"] + HOUR))
    if not spans:
        return Progress(None, None, ["no mark and no reading of it has arrived"])
    start, end = min(a for a, _ in spans), max(b for _, b in spans)
    devices = {mark.device_id for mark in marks} | set(rows.values_list("device_id", flat=True).distinct())
    pending = [*_open(marks), *_unread(marks), *_not_counted(devices, start, end)]
    return Progress(start, end, pending)


def _open(marks: Iterable[JobMark]) -> list[str]:
    running = sum(mark.ended_at_us is None for mark in marks)
    return [f"it still holds {running} devices: no end was posted"] if running else []


def _unread(marks: Iterable[JobMark]) -> list[str]:
    """Devices whose readings do not reach the end of their mark yet: an agent posts every few seconds."""
    ended: dict[int, int] = {}
    named: dict[int, Device] = {}
    for mark in marks:
        if mark.ended_at_us is not None:
            ended[mark.device_id] = max(mark.ended_at_us, ended.get(mark.device_id, 0))
            named[mark.device_id] = mark.device
    late = [str(named[device_id]) for device_id, end_us in ended.items() if not _is_read_until(device_id, end_us)]
    if not late:
        return []
    more = f" and {len(late) - DEVICES_NAMED} more" if len(late) > DEVICES_NAMED else ""
    return [f"no reading after its end from {', '.join(sorted(late)[:DEVICES_NAMED])}{more}"]


def _is_read_until(device_id: int, end_us: int) -> bool:
    """By a reading then or later, or by a tool that tells of whole stretches."""
    if DeviceSample.objects.filter(device_id=device_id, measured_at_us__gte=end_us).order_by().exists():
        return True
    spans = EnergySpan.objects.touching(end_us - 1, end_us).filter(device_id=device_id, ended_at_us__gte=end_us)
    return spans.order_by().exists()


def _not_counted(devices: set[int], start: datetime, end: datetime) -> list[str]:
    since = start.replace(minute=0, second=0, microsecond=0)
    stale = DirtyHour.objects.filter(device__in=devices, hour__gte=since, hour__lt=end).count()
    return [f"{stale} of its device-hours wait for the ledger"] if stale else []


def _at(moment_us: int) -> datetime:
    return datetime.fromtimestamp(moment_us / US_PER_S, tz=UTC)
