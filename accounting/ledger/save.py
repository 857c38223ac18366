"""The only writer of energy and ledger rows: device-hours are replaced whole."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from accounting.ledger.energy_hours import EnergyRow
from accounting.ledger.footprint import METHOD, Footprint
from accounting.ledger.insert import insert
from accounting.methods.records import Range, Status
from accounting.methods.units import J_PER_KWH
from accounting.models import EnergyHour, LedgerHour
from accounting.models.ledger import QUANTITIES

_ENDS = {name: (f"{name}_low", f"{name}_high") for name in QUANTITIES}


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for a row, and where it stood."""

    team_id: int | None
    project_id: int | None
    site_id: int | None


def replace_energy(device_hours: Collection[tuple[int, datetime]], rows: Iterable[EnergyRow]) -> None:
    """Replace the energy rows of these device-hours. Sealed rows stay as they are."""
    EnergyHour.objects.filter(within(device_hours), sealed=False).delete()
    insert(EnergyHour, [_energy_hour(row) for row in rows if not row.sealed])


def replace_ledger(
    device_hours: Collection[tuple[int, datetime]],
    rows: Iterable[tuple[EnergyRow, Footprint, Owner]],
    *,
    now: datetime,
) -> None:
    """Replace the ledger rows of these device-hours."""
    LedgerHour.objects.filter(within(device_hours)).delete()
    insert(LedgerHour, [_ledger_hour(*row, now=now) for row in rows])


def sealed_rows(device_hours: Collection[tuple[int, datetime]]) -> list[EnergyRow]:
    """Energy rows whose raw samples are gone, as they stand. The share that was measured is kept in the ledger."""
    sealed = list(EnergyHour.objects.filter(within(device_hours), sealed=True))
    if not sealed:
        return []
    known = LedgerHour.objects.filter(within({(e.device_id, e.hour) for e in sealed}))
    measured = {(d, h, j): kwh for d, h, j, kwh in known.values_list("device_id", "hour", "job_id", "measured_kwh")}
    return [_sealed_row(e, measured.get((e.device_id, e.hour, e.job_id))) for e in sealed]


def within(device_hours: Collection[tuple[int, datetime]]) -> Q:
    """Rows of exactly these device-hours. None of them: no row."""
    hours: dict[int, list[datetime]] = defaultdict(list)
    for device_id, hour in sorted(device_hours):
        hours[device_id].append(hour)
    alike: dict[tuple[datetime, ...], list[int]] = defaultdict(list)
    for device_id, of_device in hours.items():
        alike[tuple(of_device)].append(device_id)
    condition = Q(pk__in=())
    for of_devices, device_ids in alike.items():
        condition |= Q(device_id__in=device_ids, hour__in=of_devices)
    return condition


def _sealed_row(row: EnergyHour, measured_kwh: float | None) -> EnergyRow:
    if measured_kwh is None:
        measured_j = row.device_energy_j if row.status == Status.MEASURED else 0.0
    else:
        measured_j = measured_kwh * J_PER_KWH
    return EnergyRow(
        device_id=row.device_id,
        hour=row.hour,
        job_id=row.job_id,
        device_energy_j=Range(row.device_energy_low_j, row.device_energy_j, row.device_energy_high_j),
        measured_j=measured_j,
        covered_s=row.covered_s,
        missing_s=row.missing_s,
        held_s=row.held_s,
        status=Status(row.status),
        source=row.source,
        sealed=True,
        idle_j=row.idle_j,
        shared_by=row.shared_by,
    )


def _energy_hour(row: EnergyRow) -> dict[str, Any]:
    energy_j = row.device_energy_j
    return {
        "device_id": row.device_id,
        "hour": row.hour,
        "job_id": row.job_id,
        "device_energy_j": energy_j.mid,
        "device_energy_low_j": energy_j.low,
        "device_energy_high_j": energy_j.high,
        "covered_s": row.covered_s,
        "missing_s": row.missing_s,
        "held_s": row.held_s,
        "idle_j": row.idle_j,
        "shared_by": row.shared_by,
        "status": row.status.value,
        "source": row.source,
    }


def _ledger_hour(row: EnergyRow, footprint: Footprint, owner: Owner, *, now: datetime) -> dict[str, Any]:
    entry = {
        "device_id": row.device_id,
        "hour": row.hour,
        "job_id": row.job_id,
        "team_id": owner.team_id,
        "project_id": owner.project_id,
        "site_id": owner.site_id,
        "covered_s": row.covered_s,
        "missing_s": row.missing_s,
        "energy_status": row.status.value,
        "status": footprint.status.value,
        "factor_ids": footprint.factor_ids,
        "intensity_step": footprint.intensity_step,
        "method": METHOD,
        "rebuilt_at": now,
        **footprint.parts,
    }
    for name, figure in footprint.figures.items():  # what is not known: nought beside the part that says so
        low, high = _ENDS[name]
        entry[low], entry[name], entry[high] = figure.range.low, figure.range.mid, figure.range.high
    return entry
