"""The ledger as programs and auditors read it: totals, by part and over time, with the factors behind each quantity."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import DateField, F, QuerySet
from django.db.models.functions import Trunc

from accounting.reports import queries
from accounting.reports.records import Sees, Totals

GRANULARITIES = ("total", "hour", "day", "month")
SPLITS = (*queries.SPLITS, "device_model", "job")


@dataclass(frozen=True, slots=True)
class Slice:
    """What one part came to in one stretch of time; no id and no name: everything asked for."""

    start: datetime
    end: datetime
    id: int | str | None
    name: str
    totals: Totals
    factor_ids: tuple[str, ...]


def slices(
    visibility: Sees,
    start: datetime,
    end: datetime,
    *,
    by: str | None = None,
    granularity: str = "total",
    **filters: Any,
) -> list[Slice]:
    """Every quantity over [start, end) on ledger edges, in order of time, the largest CO2e first within a stretch.

    Two queries. Without a row there is no slice: nothing known is not nought.

    Args:
        by: one of SPLITS.
        granularity: one of GRANULARITIES; days and months are UTC's.
        filters: any of team_id, project_id, site_id, device_id, job_id, device_model.
    """
    rows = queries.rows_of(visibility, start, end, filters, by=by, hourly=granularity == "hour")
    keys: dict[str, Any] = queries.split_keys(rows.model, by)
    if granularity != "total":
        keys["at"] = _bucket(rows, granularity)
    factors = _factors(rows, keys)
    found = [
        Slice(
            *_stretch(row.get("at"), start, end, granularity),
            row.get("part"),
            (row.get("part_name") or queries.NOBODY[by]) if by else "",
            total,
            tuple(sorted(factors[_key(row)])),
        )
        for row, total in queries.sums_of(rows, keys)
    ]
    return sorted(found, key=lambda one: (one.start, -one.totals.co2e_g.mid, one.name))


def _bucket(rows: QuerySet[Any], granularity: str) -> Any:
    column = "hour" if hasattr(rows.model, "hour") else "day"
    if column == granularity:
        return F(column)
    return Trunc(column, granularity, output_field=DateField(), **({"tzinfo": UTC} if column == "hour" else {}))


def _stretch(at: datetime | date | None, start: datetime, end: datetime, granularity: str) -> tuple[datetime, datetime]:
    """The bucket that begins at `at`, as far as it lies in [start, end)."""
    if at is None:
        return start, end
    since = at if isinstance(at, datetime) else datetime.combine(at, time(), tzinfo=UTC)
    if granularity == "month":
        until = (since.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        until = since + timedelta(hours=1 if granularity == "hour" else 24)
    return max(since, start), min(until, end)


def _factors(rows: QuerySet[Any], keys: Mapping[str, Any]) -> dict[Any, set[str]]:
    """The factor ids of each group. One query over distinct lists."""
    found: dict[Any, set[str]] = {}
    distinct = rows.order_by().values(**keys).values(*keys, "factor_ids").distinct()
    for row in distinct:
        found.setdefault(_key(row), set()).update(row["factor_ids"])
    return found


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row.get("part"), row.get("part_name"), row.get("at")
