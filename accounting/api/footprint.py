"""GET /api/v1/footprint: what the ledger says, as JSON or as CSV. Thin: every figure is `accounting.reports`'."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema

from accounting.api.asking import Narrowed, filters_of, period_of
from accounting.api.auth import READER, visibility_of
from accounting.api.problem import Problem
from accounting.api.schemas import Quantities
from accounting.estimates.run import UNIT_COUNT
from accounting.methods.records import Status
from accounting.methods.sci import FunctionalUnit
from accounting.models import Job
from accounting.reports.export import csv_of
from accounting.reports.footprint import Slice, slices
from accounting.reports.footprint_table import footprint_table
from accounting.reports.periods import Period
from accounting.reports.quantities import quantities
from accounting.reports.records import Sees
from accounting.reports.restatements import Note, job_notes, notes

router = Router(tags=["figures"])
MOST_BUCKETS = 24 * 100  # stretches of time in one answer
MOST_PARTS = 20_000  # parts times stretches


class Figures(Quantities):
    covered_s: float
    missing_s: float
    idle_kwh: float
    coverage: float | None
    measured_share: float | None
    market_coverage: float | None
    unpriced_share: float | None
    status: Status | None


class Part(Schema):
    id: int | str | None
    name: str
    start: datetime
    end: datetime
    figures: Figures


class Restated(Schema):
    """Why figures of these days are not what they were. The newest few; `done`: the hours are made again."""

    at: datetime
    reason: str
    done: bool


class Footprint(Schema):
    start: datetime
    end: datetime
    basis: Literal["location", "market"]
    granularity: Literal["total", "hour", "day", "month"]
    group_by: str | None
    currency: str
    totals: Figures
    parts: list[Part]
    restated: list[Restated]


class Asked(Narrowed):
    """What narrows and shapes the answer."""

    group_by: Literal["team", "project", "site", "device_model", "device", "job"] | None = None
    granularity: Literal["total", "hour", "day", "month"] = "total"
    basis: Literal["location", "market"] = "location"
    functional_unit: str | None = None
    units: float | None = None


@router.get("/footprint", auth=READER, response=Footprint)
def footprint(
    request: HttpRequest,
    from_: datetime = Query(..., alias="from"),  # noqa: B008  ninja reads its parameters from defaults
    to: datetime = Query(...),  # noqa: B008
    asked: Asked = Query(...),  # noqa: B008
) -> Footprint | HttpResponse:
    """Every quantity of the ledger over [from, to), widened to whole hours, or to whole UTC days beyond three days.

    `team`, `project` and `site` are slugs, `job` is a scheduler's name. `group_by` and `granularity` add `parts`: the
    same figures by part and by stretch of time. `functional_unit` with `units` adds the Software Carbon Intensity.
    `Accept: text/csv` answers the parts (or the totals) as a table.
    """
    visibility = visibility_of(request)
    period = period_of(from_, to)
    _refuse_too_fine(period, asked.granularity)
    filters = filters_of(visibility, asked)
    unit = _functional_unit(asked)
    whole = slices(visibility, period.start, period.end, **filters)
    parts: Sequence[Slice] = []
    if asked.group_by or asked.granularity != "total":
        parts = slices(
            visibility, period.start, period.end, by=asked.group_by, granularity=asked.granularity, **filters
        )
        if len(parts) > MOST_PARTS:
            what = f"{len(parts)} parts, {MOST_PARTS} at most: a shorter period, coarser stretches, or narrow it"
            raise Problem(413, "too_many_rows", what)
    currency = settings.GREENAI["currency"]
    if "text/csv" in request.headers.get("Accept", ""):
        table = footprint_table(parts or whole, basis=asked.basis, currency=currency, functional_unit=unit)
        name = f"footprint-{period.start:%Y%m%d}-{period.end:%Y%m%d}.csv"
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(csv_of(table), content_type="text/csv; charset=utf-8", headers=disposition)
    return Footprint(
        start=period.start, end=period.end, basis=asked.basis, granularity=asked.granularity,
        group_by=asked.group_by, currency=currency,
        totals=_figures(whole[0] if whole else None, asked.basis, currency, unit),
        parts=[
            Part(id=p.id, name=p.name, start=p.start, end=p.end, figures=_figures(p, asked.basis, currency, unit))
            for p in parts
        ],
        restated=[Restated(at=n.at, reason=n.reason, done=n.done) for n in _notes(visibility, period, filters)],
    )  # fmt: skip


def _notes(visibility: Sees, period: Period, filters: Mapping[str, Any]) -> list[Note]:
    """Restatements of what was asked for: of the job's hours where one was, else of the days that are seen."""
    if "job_id" in filters:
        return job_notes(Job.objects.get(pk=filters["job_id"]))
    scope = {name: filters[name] for name in ("team_id", "site_id") if name in filters}
    return notes(visibility, period.start, period.end, **scope)


def _refuse_too_fine(period: Period, granularity: str) -> None:
    hours = (period.end - period.start).total_seconds() / 3600
    buckets = {"total": 1.0, "hour": hours, "day": hours / 24, "month": hours / 720}[granularity]
    if buckets > MOST_BUCKETS:
        what = f"{buckets:.0f} stretches of time, {MOST_BUCKETS} at most: ask for a shorter period or coarser ones"
        raise Problem(422, "bad_period", what)


def _functional_unit(asked: Asked) -> FunctionalUnit | None:
    if asked.functional_unit is None and asked.units is None:
        return None
    if asked.functional_unit is None or asked.units is None:
        raise Problem(
            422, "bad_parameters", "functional_unit and units belong together: &functional_unit=token&units=1e9"
        )
    if not UNIT_COUNT.least <= asked.units <= UNIT_COUNT.most:
        raise Problem(
            422, "bad_parameters", f"units: {asked.units:g}: from {UNIT_COUNT.least:g} to {UNIT_COUNT.most:g}"
        )
    try:
        return FunctionalUnit(asked.functional_unit, asked.units)
    except ValueError as refused:
        raise Problem(422, "bad_parameters", str(refused)) from refused


def _figures(one: Slice | None, basis: str, currency: str, unit: FunctionalUnit | None) -> Figures:
    if one is None:
        nothing = dict.fromkeys(Figures.model_fields)
        return Figures.model_validate({**nothing, "covered_s": 0.0, "missing_s": 0.0, "idle_kwh": 0.0})
    known = quantities(one.totals, one.factor_ids, currency=currency, basis=basis, functional_unit=unit)
    besides = (
        "covered_s",
        "missing_s",
        "idle_kwh",
        "coverage",
        "measured_share",
        "market_coverage",
        "unpriced_share",
        "status",
    )
    return Figures.model_validate(
        {**known, **{name: getattr(one.totals, name) for name in besides}}, from_attributes=True
    )
