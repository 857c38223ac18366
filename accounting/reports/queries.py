"""Sums of the ledger, as one person may see them.

Reads roll-ups: hours by team (up to three days) or days by team and device beyond. Only questions about devices within
three days and about single jobs read `LedgerHour`, through its hour, device and job indexes. Sums are the database's:
the last digit may differ between databases, never the third. Every function takes [start, end) on ledger edges.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db.models import Case, F, Max, Model, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce, Concat

from accounting.methods.records import Range, Status
from accounting.models import DeviceDay, Job, LedgerHour, TeamDay, TeamHour
from accounting.models.ledger import PARTS, QUANTITIES
from accounting.reports.periods import EARLIEST, HOURLY_UP_TO, Period
from accounting.reports.rates import CarbonRate, carbon_rate
from accounting.reports.records import Change, Part, Sees, Series, Totals, Trend

__all__ = [
    "METRICS", "SPLITS", "CarbonRate", "carbon_rate", "change", "job_totals", "sparks", "split", "totals", "trend",
]  # fmt: skip

METRICS = {  # what a trend can show: ledger columns that add up to it
    "co2e": ("co2e_location_g", "embodied_g"),
    "co2e_market": ("co2e_market_g",),  # of the energy for which it is known
    "energy": ("facility_energy_kwh",),
    "water": ("water_onsite_l", "water_offsite_l"),
    "cost": ("cost",),
}
SPLITS = ("team", "project", "site", "device")
NOBODY = {
    "team": "Not attributed to a team",
    "project": "No project",
    "site": "Not at a site yet",
    "device": "No device",
    "device_model": "Model not stated",
    "job": "No job",
}

_COLUMNS = [f"{quantity}{end}" for quantity in QUANTITIES for end in ("_low", "", "_high")] + list(PARTS)
_SUMS = {f"sum_{column}": Coalesce(Sum(column), 0.0) for column in _COLUMNS}
_UNPRICED = Sum(F("unpriced_kwh") + F("unpriced_s"))
_WORST = Max(Case(*(When(status=status, then=Value(rank)) for rank, status in enumerate(Status))))


def totals(visibility: Sees, start: datetime, end: datetime, **filters: int | None) -> Totals:
    """Every quantity over [start, end). One query.

    Args:
        filters: any of team_id, project_id, site_id, device_id, job_id.
    """
    rows = rows_of(visibility, start, end, filters, by=None)
    return _totals_of(rows.aggregate(worst=_WORST, **_SUMS))


def job_totals(job: Job) -> Totals:
    """Everything a job has come to so far, over its whole life. One query, by the job index."""
    return _totals_of(LedgerHour.objects.filter(job=job).aggregate(worst=_WORST, **_SUMS))


def split(visibility: Sees, start: datetime, end: datetime, *, by: str, **filters: int | None) -> list[Part]:
    """The same totals by team, project, site or device, the largest CO2e first. Two queries."""
    rows = rows_of(visibility, start, end, filters, by=by)
    found = rows.order_by().values(**split_keys(rows.model, by)).annotate(worst=_WORST, **_SUMS)
    parts = [Part(row["part"], row["part_name"] or NOBODY[by], _totals_of(row)) for row in found]
    return sorted(parts, key=lambda part: (-part.totals.co2e_g.mid, part.name))


def trend(
    visibility: Sees, period: Period, *, by: str | None, metric: str, most: int = 6, **filters: int | None
) -> Trend:
    """One metric by hour or day, in at most `most` series and one for the rest. One query.

    Args:
        by: one of SPLITS, or None for a single series.
        metric: a key of METRICS. Market-based carbon leaves out where nothing of it is known, which is not nought.
    """
    rows = rows_of(visibility, period.start, period.end, filters, by=by)
    at = "hour" if hasattr(rows.model, "hour") else "day"
    sums = {
        end: Sum(sum((F(f"{column}{suffix}") for column in METRICS[metric]), Value(0.0)))
        for end, suffix in _ENDS.items()
    }
    known = Sum("market_kwh") if metric == "co2e_market" else Value(1.0)
    found = rows.order_by().values(at=F(at), **split_keys(rows.model, by))
    found = found.annotate(**sums, known=known, unpriced=_UNPRICED)
    told = [row for row in found if row["known"] and (metric != "cost" or _priced(row, row["mid"]))]
    return _trend_of(told, period, by, most)


def sparks(visibility: Sees, period: Period, *, now: datetime, **filters: int | None) -> dict[str, list[float]]:
    """Each metric over the period's complete hours or days that have a row, in order. One query."""
    rows = rows_of(visibility, period.start, period.end, filters, by=None)
    at = "hour" if hasattr(rows.model, "hour") else "day"
    sums = {metric: Sum(sum(map(F, columns), Value(0.0))) for metric, columns in METRICS.items()}
    found = rows.order_by(at).values(at).annotate(**sums, unpriced=_UNPRICED)
    complete = [row for row in found if _bucket(row[at]) + period.step <= now]
    return {
        metric: [row[metric] for row in complete if metric != "cost" or _priced(row, row["cost"])] for metric in METRICS
    }


def change(visibility: Sees, period: Period, *, now: datetime, **filters: int | None) -> dict[str, Change]:
    """How each metric moved, complete part against the equal stretch before. Three queries; none while incomplete.

    Nothing is said where the ledger began only within the stretch before: that would call growth what is a beginning.
    """
    compared = period.compared(now=now)
    if compared is None or not _began_by(visibility, compared[1], filters):
        return dict.fromkeys(METRICS, Change(None))
    current, before = (totals(visibility, part.start, part.end, **filters) for part in compared)
    known = [metric for metric in METRICS if metric != "cost" or (current.known_cost and before.known_cost)]
    moved = {metric: Change(_ratio(_metric(current, metric), _metric(before, metric))) for metric in known}
    return dict.fromkeys(METRICS, Change(None)) | moved


def _began_by(visibility: Sees, before: Period, filters: Mapping[str, int | None]) -> bool:
    """Whether anything these rows speak of was in the ledger when the stretch began, or in its first hour or day."""
    return rows_of(visibility, EARLIEST, before.start + before.step, filters, by=None).exists()


_ENDS = {"low": "_low", "mid": "", "high": "_high"}


def _metric(found: Totals, metric: str) -> float:
    return math.fsum(getattr(found, column).mid for column in METRICS[metric])


def _priced(row: Mapping[str, Any], cost: float) -> bool:
    """Whether anything of the cost is known: nought beside energy without a price is not."""
    return cost != 0.0 or not row["unpriced"]


def _ratio(current: float, before: float) -> float | None:
    return current / before - 1 if before > 0 else None


def rows_of(
    visibility: Sees,
    start: datetime,
    end: datetime,
    filters: Mapping[str, Any],
    *,
    by: str | None,
    hourly: bool = False,
) -> QuerySet[Any]:
    """The rows of the coarsest table that can answer; `hourly`: of one that has hours."""
    wanted = {name: value for name, value in filters.items() if value is not None}
    if unknown := set(wanted) - {"team_id", "project_id", "site_id", "device_id", "device_model", "job_id"}:
        raise TypeError(f"no such filter: {', '.join(sorted(unknown))}")
    model = _table(start, end, wanted, by, hourly=hourly)
    if model is DeviceDay and "site_id" in wanted:
        wanted["device__host__site_id"] = wanted.pop("site_id")
    if "device_model" in wanted:
        wanted["device__model"] = wanted.pop("device_model")
    rows = model._default_manager.filter(seen(visibility), **wanted)
    if hasattr(model, "hour"):
        return rows.filter(hour__gte=start, hour__lt=end)
    return rows.filter(day__gte=start.date(), day__lt=end.date())


def _table(start: datetime, end: datetime, wanted: Mapping[str, Any], by: str | None, *, hourly: bool) -> type[Model]:
    hourly = hourly or end - start <= HOURLY_UP_TO or any(edge != _midnight(edge) for edge in (start, end))
    if "job_id" in wanted or by == "job":
        return LedgerHour
    if by in ("device", "device_model") or {"device_id", "device_model"} & set(wanted):
        return LedgerHour if hourly or by == "project" or "project_id" in wanted else DeviceDay
    return TeamHour if hourly else TeamDay


def sums_of(rows: QuerySet[Any], keys: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Totals]]:
    """The totals of each group of `keys`, or of all; nothing where there is no row. One query."""
    if keys:
        found: Iterable[Mapping[str, Any]] = rows.order_by().values(**keys).annotate(worst=_WORST, **_SUMS)
    else:
        found = [rows.aggregate(worst=_WORST, **_SUMS)]
    return [(row, _totals_of(row)) for row in found if row["worst"] is not None]


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def seen(visibility: Sees, path: str = "team") -> Q:
    """The condition on a row's team under which this person may see it."""
    nobody = Q(**{f"{path}__isnull": True})
    if visibility.team_ids is None:
        return Q() if visibility.unattributed else ~nobody
    mine = Q(**{f"{path}_id__in": sorted(visibility.team_ids)})
    return mine | nobody if visibility.unattributed else mine


def split_keys(model: type[Model], by: str | None) -> dict[str, Any]:
    """The columns that tell the parts of a split in this table apart, and name them."""
    if by is None:
        return {}
    if by == "site" and model is DeviceDay:
        return {"part": F("device__host__site_id"), "part_name": F("device__host__site__name")}
    if by == "device":
        name = Concat("device__host__name", Value(" · "), "device__key")
        return {"part": F("device_id"), "part_name": name}
    if by == "device_model":
        return {"part": F("device__model"), "part_name": F("device__model")}
    if by == "job":
        return {"part": F("job_id"), "part_name": F("job__key")}
    return {"part": F(f"{by}_id"), "part_name": F(f"{by}__name")}


def _totals_of(row: Mapping[str, Any]) -> Totals:
    ranges = {quantity: _range(*(row[f"sum_{quantity}{end}"] for end in _ENDS.values())) for quantity in QUANTITIES}
    besides = {name: row[f"sum_{name}"] for name in PARTS}
    status = None if row["worst"] is None else list(Status)[row["worst"]]
    return Totals(**ranges, **besides, status=status)


def _range(low: float, mid: float, high: float) -> Range:
    """Sums of equal columns may part in their last digit."""
    return Range(min(low, mid), mid, max(mid, high))


def _trend_of(found: Iterable[Mapping[str, Any]], period: Period, by: str | None, most: int) -> Trend:
    buckets = period.buckets()
    place = {bucket: index for index, bucket in enumerate(buckets)}
    lows: list[float | None] = [None] * len(buckets)
    highs: list[float | None] = [None] * len(buckets)
    parts: dict[int | None, tuple[str, list[float | None]]] = {}
    for row in found:
        index = place[_bucket(row["at"])]
        name = (row["part_name"] or NOBODY[by]) if by else ""
        _, values = parts.setdefault(row.get("part"), (name, [None] * len(buckets)))
        values[index] = (values[index] or 0.0) + row["mid"]
        lows[index] = (lows[index] or 0.0) + row["low"]
        highs[index] = (highs[index] or 0.0) + row["high"]
    series = [Series(key, name, values) for key, (name, values) in parts.items()]
    series.sort(key=lambda one: (one.id is None, -math.fsum(value or 0.0 for value in one.values), one.name))
    if len(series) > most:
        nobody = [one for one in series if one.id is None and by]
        named = [one for one in series if one not in nobody]
        kept = most - 1 - len(nobody)
        series = [*named[:kept], _rest(named[kept:]), *nobody]
    return Trend(buckets, series, lows, highs)


def _rest(series: list[Series]) -> Series:
    columns = zip(*(one.values for one in series), strict=True)
    sums = [None if all(v is None for v in column) else math.fsum(v or 0.0 for v in column) for column in columns]
    return Series(-1, f"{len(series)} others", sums)


def _bucket(at: Any) -> datetime:
    """The start of an hour or of a UTC day."""
    return at if isinstance(at, datetime) else datetime(at.year, at.month, at.day, tzinfo=UTC)
