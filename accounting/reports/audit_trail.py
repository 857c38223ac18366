"""Everything behind the figures of a job or a period, as data: readings, energy, factors, methods, totals."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from accounting.methods.units import US_PER_HOUR
from accounting.models import DeviceSample, EnergyHour, EnergySpan, LedgerHour, Restatement
from accounting.models.ledger import PARTS, QUANTITIES
from accounting.reports.provenance import describe
from accounting.reports.restatements import restatements_of

SCHEMA = 1
_SETTINGS = ("max_gap_s", "facility_max_age_s", "currency", "emission_basis", "market_matching")  # figures follow them
_SPAN = ("started_at_us", "ended_at_us", "source", "energy_j", "job_id", "measured", "poster", "revision")
_READING = ("measured_at_us", "source", "power_w", "energy_j", "utilization", "job_id", "measured", "epoch", "revision")
_EPOCH, _HOUR = datetime(1970, 1, 1, tzinfo=UTC), timedelta(hours=1)


def audit_trail(rows: Sequence[LedgerHour], *, subject: dict[str, Any], totals: dict[str, Any]) -> dict[str, Any]:
    """The trail of ledger rows, each with the energy row and the readings that it was made of.

    Readings are counted and fingerprinted, not copied: SHA-256 over their fields in the order of time, so that whoever
    holds the raw samples can show that these are the ones. One query an hour and device, and two more.
    """
    factor_ids = {factor_id for row in rows for factor_id in row.factor_ids}
    return {
        "schema": SCHEMA,
        "subject": subject,
        "settings": {name: settings.GREENAI[name] for name in _SETTINGS},
        "methods": sorted({row.method for row in rows}),
        "totals": totals,
        "factors": [_factor(line) for line in describe(factor_ids)],
        "restatements": [_restatement(one) for one in restatements_of(rows)],
        "readings": [_readings(device_id, hour) for device_id, hour in _device_hours(rows)],
        "rows": [_row(row, energy) for row, energy in _with_energy(rows)],
    }


def _device_hours(rows: Iterable[LedgerHour]) -> list[tuple[int, datetime]]:
    return list(dict.fromkeys((row.device_id, row.hour) for row in rows))


def _with_energy(rows: Sequence[LedgerHour]) -> Iterable[tuple[LedgerHour, EnergyHour | None]]:
    hours = [row.hour for row in rows]
    if not hours:
        return
    devices = {row.device_id for row in rows}
    found = EnergyHour.objects.filter(device__in=devices, hour__gte=min(hours), hour__lte=max(hours))
    energy = {(e.device_id, e.hour, e.job_id): e for e in found}
    for row in rows:
        yield row, energy.get((row.device_id, row.hour, row.job_id))


def _row(row: LedgerHour, energy: EnergyHour | None) -> dict[str, Any]:
    return {
        "device": str(row.device),
        "device_id": row.device_id,
        "hour": row.hour,
        "job": row.job and row.job.key,
        "team": row.team and row.team.slug,
        "project": row.project and row.project.slug,
        "site": row.site and row.site.slug,
        "energy": energy
        and {
            "device_energy_j": [energy.device_energy_low_j, energy.device_energy_j, energy.device_energy_high_j],
            "held_s": energy.held_s,
            "source": energy.source and DeviceSample.Source(energy.source).name.lower(),
            "sealed": energy.sealed,
        },
        **{
            name: [getattr(row, f"{name}_low"), getattr(row, name), getattr(row, f"{name}_high")] for name in QUANTITIES
        },
        **{name: getattr(row, name) for name in PARTS},
        "energy_status": row.energy_status,
        "status": row.status,
        "factors": row.factor_ids,
        "method": row.method,
        "rebuilt_at": row.rebuilt_at,
    }


def _readings(device_id: int, hour: datetime) -> dict[str, Any]:
    """How many readings and spans speak of the hour, and their fingerprint; none where there are none."""
    start_us = (hour - _EPOCH) // _HOUR * US_PER_HOUR
    within = DeviceSample.objects.filter(
        device_id=device_id, measured_at_us__gte=start_us, measured_at_us__lt=start_us + US_PER_HOUR
    )
    digest, count = hashlib.sha256(), 0
    told = EnergySpan.objects.touching(start_us, start_us + US_PER_HOUR).filter(device_id=device_id)
    read = within.order_by("measured_at_us", "source").values_list(*_READING).iterator()
    for reading in (*read, *told.order_by("source", "poster", "started_at_us").values_list(*_SPAN)):
        digest.update(repr(reading).encode())
        count += 1
    return {"device_id": device_id, "hour": hour, "count": count, "sha256": digest.hexdigest() if count else None}


def _restatement(one: Restatement) -> dict[str, Any]:
    return {
        "at": one.at,
        "reason": one.reason,
        "cause": one.cause,
        "factors": one.factor_ids,
        "methods": [one.method_before, one.method_after],
        "first_hour": one.first_hour,
        "last_hour": one.last_hour,
        "state": one.state,
        "done_at": one.done_at,
    }


def _factor(line: Any) -> dict[str, Any]:
    known = line.factor
    return {
        "id": line.id,
        "quantity": line.quantity,
        "of": line.of,
        "low": known and known.value.low,
        "value": known and known.value.mid,
        "high": known and known.value.high,
        "unit": known and known.unit,
        "year": known and known.year,
        "source": line.source,
        "url": line.url,
        "licence": known and known.licence,
        "status": line.status,
    }
