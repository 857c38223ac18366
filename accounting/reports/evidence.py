"""The rows behind a figure, for export: a job or a period, hour by hour and device by device."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from accounting.models import LedgerHour
from accounting.reports import queries
from accounting.reports.records import Sees

MOST_ROWS = 20_000  # of one export: 800 device-days


class TooManyRows(ValueError):
    """More rows than one file should hold; the message says how many and what to do."""


@dataclass(frozen=True, slots=True)
class DeviceHour:
    """One device and hour, its rows added up; `factor_ids` and `statuses` of all of them."""

    device_id: int
    device: str
    hour: datetime
    it_energy_kwh: float
    facility_energy_kwh: float
    co2e_location_g: float
    embodied_g: float
    covered_s: float
    statuses: tuple[str, ...]
    factor_ids: tuple[str, ...]


def ledger_rows(visibility: Sees, start: datetime, end: datetime, **filters: Any) -> QuerySet[LedgerHour]:
    """Every row of [start, end), in the order of device and hour, with what its names need.

    Raises:
        TooManyRows: more than MOST_ROWS.
    """
    rows = queries.rows_of(visibility, start, end, filters, by="job", hourly=True)
    if (count := rows.count()) > MOST_ROWS:
        raise TooManyRows(f"{count} rows, {MOST_ROWS} at most: ask for a shorter period, one job, project or site")
    return rows.select_related("device__host", "job", "team", "project", "site").order_by(
        "device__host__name", "device__key", "device_id", "hour", "job_id"
    )


def by_device_hour(rows: Iterable[LedgerHour]) -> list[DeviceHour]:
    """Rows of the same device and hour added up, correctly rounded. `rows` in the order of `ledger_rows`."""
    groups: dict[tuple[int, datetime], list[LedgerHour]] = {}
    for row in rows:
        groups.setdefault((row.device_id, row.hour), []).append(row)
    return [_device_hour(of) for of in groups.values()]


def _device_hour(rows: list[LedgerHour]) -> DeviceHour:
    sums = {
        name: math.fsum(getattr(row, name) for row in rows)
        for name in ("it_energy_kwh", "facility_energy_kwh", "co2e_location_g", "embodied_g", "covered_s")
    }
    return DeviceHour(
        device_id=rows[0].device_id,
        device=str(rows[0].device),
        hour=rows[0].hour,
        statuses=tuple(sorted({row.status for row in rows})),
        factor_ids=tuple(sorted({factor_id for row in rows for factor_id in row.factor_ids})),
        **sums,
    )
