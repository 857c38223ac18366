"""The carbon of making, hour by hour: what each row answers for, so that a whole life comes to the whole footprint."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from django.conf import settings

from accounting.factorbook.making import Making
from accounting.factorbook.terms import SiteFactors
from accounting.ledger.energy_hours import EnergyRow
from accounting.ledger.instants import HOUR, hour_of, to_us
from accounting.methods.embodied import (
    accruing_share,
    embodied_g,
    held_by_use,
    mean_utilization,
    remaining_share,
    written_off_g,
)
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import US_PER_HOUR, US_PER_S
from accounting.models import Device, DeviceSample, DeviceUse

BY_USE = "allocation:time-and-use"
BY_TIME_FOR_WANT = "allocation:time@no-utilization"
_INSTANT = timedelta(microseconds=1)

Place = tuple[int, datetime]  # device id and hour


def with_nobodys(
    rows: Iterable[EnergyRow],
    device_hours: Collection[Place],
    devices: Mapping[int, Device],
    makings: Mapping[int, Making],
    by_use: Collection[Place],
    *,
    now: datetime,
) -> list[EnergyRow]:
    """The rows, and a row without a job wherever something is left to nobody: what a job does not use, a write-off."""
    known = list(rows)
    have = {(row.device_id, row.hour) for row in known if row.job_id is None}
    held = {(row.device_id, row.hour) for row in known if row.held_s}
    last = {(pk, write_off_hour(device, makings[pk], now=now)) for pk, device in devices.items()}
    needed = (held & set(by_use)) | (last & set(device_hours))
    return [*known, *(_empty(device_id, hour) for device_id, hour in sorted(needed - have))]


def write_off_hour(device: Device, making: Making, *, now: datetime) -> datetime | None:
    """The last hour in service of a device that was scrapped; None where nothing is to be written off yet, or ever."""
    retired = device.retired_at
    if retired is None or retired > now or not device.is_written_off or retired <= device.acquired_at:
        return None
    left = remaining_share(making.life, at_s=retired.timestamp())
    return hour_of(retired - _INSTANT) if left > 0 else None


def embodied_of(
    rows: Sequence[EnergyRow],
    devices: Mapping[int, Device],
    makings: Mapping[int, Making],
    factors: Mapping[tuple[int | None, datetime], SiteFactors],
    use: Mapping[Place, float],
    job_use: Mapping[Place, Mapping[int, float]],
    *,
    now: datetime,
) -> list[Figure]:
    """Grams of each row, in the order of the rows; those of an hour add up to what the device accrues in it.

    Args:
        use: how busy each device was, 0..1; asked only where its site goes by use.
        job_use: seconds of full use of each of its jobs, where their readings tell.
    """
    of_place: dict[Place, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        of_place[row.device_id, row.hour].append(at)
    found: dict[int, Figure] = {}
    for (device_id, hour), places in of_place.items():
        device, making = devices[device_id], makings[device_id]
        end = min(hour + HOUR, now)
        accruing = accruing_share(making.life, start_s=hour.timestamp(), end_s=end.timestamp())
        by_use = factors[device.host.site_id, hour].by_use
        told = use.get((device_id, hour)) if by_use else None
        held_s, label = _shared([rows[at] for at in places], told, job_use.get((device_id, hour), {}), by_use)
        for at, seconds in zip(places, held_s, strict=True):
            found[at] = _labelled(embodied_g(making.rate_g_per_h, held_s=seconds * accruing), label)
            if rows[at].job_id is None and hour == write_off_hour(device, making, now=now):
                found[at] = _labelled(
                    found[at].plus(written_off_g(making.embodied_kg, making.life)), (f"device:{device_id}:written-off",)
                )
    return [found[at] for at in range(len(rows))]


def mean_use(places: Collection[Place]) -> dict[Place, float]:
    """How busy each device was in each hour, by its best source that says so. One query; none where nobody asks."""
    if not places:
        return {}
    max_gap_us = int(settings.GREENAI["max_gap_s"] * US_PER_S)
    hours = [hour for _, hour in places]
    first_us, last_us = to_us(min(hours)) - max_gap_us, to_us(max(hours)) + US_PER_HOUR + max_gap_us
    samples = DeviceSample.objects.filter(
        device__in={device_id for device_id, _ in places},
        measured_at_us__range=(first_us, last_us),
        utilization__isnull=False,
    ).order_by("device", "source", "measured_at_us")
    series: dict[int, dict[int, tuple[list[int], list[float]]]] = defaultdict(dict)
    for device_id, source, at_us, used in samples.values_list("device", "source", "measured_at_us", "utilization"):
        times, uses = series[device_id].setdefault(source, ([], []))
        times.append(at_us)
        uses.append(min(max(used, 0.0), 1.0))
    found = {place: _use_in(series.get(place[0], {}), to_us(place[1]), max_gap_us) for place in places}
    return {place: used for place, used in found.items() if used is not None}


def _use_in(series: Mapping[int, tuple[list[int], list[float]]], start_us: int, max_gap_us: int) -> float | None:
    hour_us = (start_us, start_us + US_PER_HOUR)
    by_source = (
        mean_utilization(*series[source], start_us=hour_us[0], end_us=hour_us[1], max_gap_us=max_gap_us)
        for source in sorted(series)
    )
    return next((used for used in by_source if used is not None), None)


def job_use_s(places: Collection[Place]) -> dict[Place, dict[int, float]]:
    """Seconds of full use of each job in each hour, by readings that tell jobs apart. One query at most.

    A reading speaks for the time since the reading before, unless that is longer than the gap limit.
    """
    if not places:
        return {}
    max_gap_us = int(settings.GREENAI["max_gap_s"] * US_PER_S)
    hours = [hour for _, hour in places]
    span = (to_us(min(hours)) - max_gap_us, to_us(max(hours)) + US_PER_HOUR + max_gap_us)
    rows = DeviceUse.objects.filter(
        device__in={device_id for device_id, _ in places}, measured_at_us__range=span, utilization__isnull=False
    ).values_list("device", "measured_at_us", "job", "utilization", "mig_fraction")
    series: dict[int, dict[int, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for device_id, at_us, job_id, used, fraction in rows:
        series[device_id][at_us].append((job_id, used * (1.0 if fraction is None else fraction)))
    found: dict[Place, dict[int, float]] = {}
    for device_id, hour in places:
        start_us, sums = to_us(hour), defaultdict(float)
        for before_us, at_us in pairwise(sorted(series.get(device_id, {}))):
            within_us = min(at_us, start_us + US_PER_HOUR) - max(before_us, start_us)
            if within_us > 0 and at_us - before_us <= max_gap_us:
                for job_id, used in series[device_id][at_us]:
                    sums[job_id] += used * within_us / US_PER_S
        found[device_id, hour] = dict(sums)
    return found


def _shared(
    rows: Sequence[EnergyRow], utilization: float | None, jobs_s: Mapping[int, float], by_use: bool
) -> tuple[list[float], tuple[str, ...]]:
    """(seconds that each row answers for, how they were shared out); the seconds of an hour stay what they were.

    What several jobs used together is theirs by their own use, where every one of them has readings of it.
    """
    if not by_use:
        return [row.held_s for row in rows], ()
    if utilization is None:
        return [row.held_s for row in rows], (BY_TIME_FOR_WANT,)
    split = [
        (row.held_s, 0.0) if row.job_id is None else held_by_use(row.held_s, utilization=utilization) for row in rows
    ]
    unused_s = sum(unused for _, unused in split)
    used_s = [used for used, _ in split]
    own_s = [jobs_s.get(row.job_id, 0.0) if row.job_id is not None else 0.0 for row in rows]
    told = all(own > 0 for row, own in zip(rows, own_s, strict=True) if row.job_id is not None)
    if told and sum(row.job_id is not None for row in rows) > 1:
        together_s = sum(used for row, used in zip(rows, used_s, strict=True) if row.job_id is not None)
        used_s = [
            used if row.job_id is None else together_s * own / sum(own_s)
            for row, used, own in zip(rows, used_s, own_s, strict=True)
        ]
    return [used + (unused_s if row.job_id is None else 0.0) for row, used in zip(rows, used_s, strict=True)], (BY_USE,)


def _labelled(figure: Figure, label: tuple[str, ...]) -> Figure:
    if not label:
        return figure
    return replace(figure, factor_ids=tuple(sorted({*figure.factor_ids, *label})))


def _empty(device_id: int, hour: datetime) -> EnergyRow:
    return EnergyRow(
        device_id=device_id,
        hour=hour,
        job_id=None,
        device_energy_j=Range.exact(0.0),
        measured_j=0.0,
        covered_s=0.0,
        missing_s=0.0,
        held_s=0.0,
        status=Status.MEASURED,
        source=None,
    )
