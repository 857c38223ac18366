"""What may have been drawn while nothing was read: an estimate beside the totals, never in them, computed on request.

Reads hours, not roll-ups: pages ask for it apart.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Sum

from accounting.factorbook import catalog
from accounting.factors.idle import idle_draw_w
from accounting.methods.gaps import GapEstimate, Hole, estimate_gaps
from accounting.methods.units import J_PER_KWH
from accounting.models import Device, EnergyHour, Job, LedgerHour
from accounting.reports.queries import seen
from accounting.reports.records import Sees

MOST_ROWS = 120_000  # of the ledger, that a page asks about at once: a second or two if all have holes


@dataclass(frozen=True, slots=True)
class _Hour:
    """One device's hour: what was read of it, and what was not."""

    hour: datetime
    energy_j: float
    covered_s: float
    missing_s: float

    @property
    def mean_w(self) -> float:
        return self.energy_j / self.covered_s


def gap_estimate(visibility: Sees, start: datetime, end: datetime, **filters: int | None) -> GapEstimate | None:
    """IT energy that may lie in the holes of [start, end). None: no hole, or nothing read beside any. Four queries.

    The database adds up every hour of the devices with holes; what comes over is the hours with a hole, and of devices
    that were silent for an hour the hours that were read.

    Args:
        filters: any of team_id, site_id, device_id.
    """
    wanted = {name: value for name, value in filters.items() if value is not None}
    rows = LedgerHour.objects.filter(seen(visibility), hour__gte=start, hour__lt=end, **wanted)
    with_holes = set(rows.filter(missing_s__gt=0).values_list("device_id", flat=True).distinct())
    if not with_holes:
        return None
    by_hour = rows.filter(device__in=with_holes).order_by().values_list("device_id", "hour")
    sums = by_hour.annotate(kwh=Sum("it_energy_kwh"), covered=Sum("covered_s"), missing=Sum("missing_s"))
    found = [
        (pk, _Hour(hour, kwh * J_PER_KWH, covered_s, missing_s))
        for pk, hour, kwh, covered_s, missing_s in sums.filter(missing__gt=0)
    ]
    if silent := {pk for pk, one in found if not one.covered_s}:
        read = sums.filter(device__in=silent, covered__gt=0, missing__lte=0)
        found += [(pk, _Hour(hour, kwh * J_PER_KWH, covered_s, 0.0)) for pk, hour, kwh, covered_s, _ in read]
    return estimate_gaps(_holes(_by_device(found)))


def job_gap_estimate(job: Job) -> GapEstimate | None:
    """The same of a job's own time: holes of its devices while it held them. Four queries at most.

    A hole stands on its device's row without a job; of it the job has at most the time that it held and nothing covers.
    """
    columns = ("device_id", "hour", "device_energy_j", "covered_s", "held_s")
    own = EnergyHour.objects.filter(job=job).values_list(*columns)
    short = list(own.filter(held_s__gt=F("covered_s")))
    if not short:
        return None
    devices, times = {row[0] for row in short}, [row[1] for row in short]
    missing = EnergyHour.objects.filter(
        job=None, device__in=devices, hour__range=(min(times), max(times)), missing_s__gt=0
    )
    missing_s = {(pk, hour): s for pk, hour, s in missing.values_list("device_id", "hour", "missing_s")}
    found = [
        (pk, _Hour(hour, energy_j, covered_s, min(missing_s.get((pk, hour), 0.0), held_s - covered_s)))
        for pk, hour, energy_j, covered_s, held_s in short
    ]
    if silent := {pk for pk, one in found if one.missing_s and not one.covered_s}:
        read = own.filter(device__in=silent, covered_s__gt=0, held_s__lte=F("covered_s"))
        found += [(pk, _Hour(hour, energy_j, covered_s, 0.0)) for pk, hour, energy_j, covered_s, _ in read]
    return estimate_gaps(_holes(_by_device(found)))


def _by_device(found: Iterable[tuple[int, _Hour]]) -> dict[int, list[_Hour]]:
    """Each device's hours in order."""
    hours: dict[int, list[_Hour]] = defaultdict(list)
    for pk, one in sorted(found, key=lambda at: (at[0], at[1].hour)):
        hours[pk].append(one)
    return hours


def _holes(hours: Mapping[int, Sequence[_Hour]]) -> list[Hole]:
    idle_w = _idle_draws_w(hours)
    return [hole for pk, of_device in hours.items() for hole in _holes_of(of_device, idle_w.get(pk))]


def _holes_of(hours: Sequence[_Hour], idle_w: float | None) -> list[Hole]:
    """Each hour's hole beside the nearest read hours, itself among them. A device that was never read has none."""
    read = [one for one in hours if one.covered_s > 0]
    times = [one.hour for one in read]
    holes = []
    for one in hours:
        if not read or not one.missing_s:
            continue
        before, after = bisect_right(times, one.hour) - 1, bisect_left(times, one.hour)
        sides = {max(before, 0), min(after, len(read) - 1)}
        energy_j, covered_s = (sum(getattr(read[k], name) for k in sides) for name in ("energy_j", "covered_s"))
        mean_w = energy_j / covered_s
        highest_w = max(mean_w, *(read[k].mean_w for k in sides))
        holes.append(Hole(one.missing_s, mean_w, highest_w, idle_w))
    return holes


def _idle_draws_w(device_ids: Iterable[int]) -> dict[int, float]:
    book = catalog()
    found = {}
    for device in Device.objects.filter(pk__in=list(device_ids)):
        idle = idle_draw_w(book, kind=device.kind, model=device.model, tdp_w=device.tdp_w)
        if idle is not None:
            found[device.pk] = idle.range.low
    return found
