"""A job or a period as a file that others check or show: Impact Framework manifest, audit trail, model card."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db.models import Max, Min
from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Query, Router

from accounting.api.asking import Narrowed, filters_of, period_of
from accounting.api.auth import READER, visibility_of
from accounting.api.problem import Problem
from accounting.models import Job, LedgerHour
from accounting.reports.audit_trail import audit_trail
from accounting.reports.evidence import TooManyRows, by_device_hour, ledger_rows
from accounting.reports.footprint import slices
from accounting.reports.impact_manifest import as_yaml, manifest
from accounting.reports.model_card import NoEmissions, as_front_matter, model_card
from accounting.reports.quantities import quantities

router = Router(tags=["exports"])


@router.get("/manifest", auth=READER)
def impact_manifest(
    request: HttpRequest,
    asked: Narrowed = Query(...),  # noqa: B008  ninja reads its parameters from defaults
    from_: datetime | None = Query(None, alias="from"),  # noqa: B008
    to: datetime | None = None,
) -> HttpResponse:
    """An Impact Framework manifest (YAML): every device, hour by hour, with the pipeline that gives its carbon."""
    start, end, filters = _subject(request, asked, from_, to)
    rows = _rows(request, start, end, filters)
    words = f"Operational (location-based) and embodied CO2e from {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
    document = manifest(by_device_hour(rows), name=_name(asked), description=words)
    return _file(HttpResponse(as_yaml(document), content_type="application/yaml; charset=utf-8"), asked, start, "yaml")


@router.get("/audit", auth=READER)
def audit(
    request: HttpRequest,
    asked: Narrowed = Query(...),  # noqa: B008
    from_: datetime | None = Query(None, alias="from"),  # noqa: B008
    to: datetime | None = None,
) -> HttpResponse:
    """The audit trail (JSON): totals, ledger rows, the readings behind them, factors with source, method versions."""
    start, end, filters = _subject(request, asked, from_, to)
    rows = _rows(request, start, end, filters)
    whole = slices(visibility_of(request), start, end, **filters)
    currency = settings.GREENAI["currency"]
    known = quantities(whole[0].totals, whole[0].factor_ids, currency=currency) if whole else {}
    totals = {name: figure and asdict(figure) for name, figure in known.items()}
    subject = {"name": _name(asked), "from": start, "to": end, **asked.model_dump(exclude_none=True)}
    trail = audit_trail(rows, subject=subject, totals=totals)
    return _file(JsonResponse(trail, json_dumps_params={"allow_nan": False}), asked, start, "json")


@router.get("/model-card", auth=READER)
def model_card_block(
    request: HttpRequest,
    asked: Narrowed = Query(...),  # noqa: B008
    training_type: Literal["pre-training", "fine-tuning"] | None = None,
    geographical_location: str | None = Query(None, max_length=200),
) -> HttpResponse:
    """A job's `co2_eq_emissions` for a Hugging Face model card (YAML): emissions in grams, over its whole life."""
    if asked.job is None:
        raise Problem(422, "bad_parameters", "job: which one? A model card is of one job")
    filters = filters_of(visibility_of(request), asked)
    job = Job.objects.get(pk=filters["job_id"])
    try:
        card = model_card(job, training_type=training_type, location=geographical_location)
    except NoEmissions as nothing:
        raise Problem(404, "unknown_job", str(nothing)) from nothing
    start, _ = _life(job.pk)
    response = HttpResponse(as_front_matter(card), content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="greenai-model-card-{start:%Y%m%d}.yaml"'
    return response


def _subject(
    request: HttpRequest, asked: Narrowed, start: datetime | None, end: datetime | None
) -> tuple[datetime, datetime, dict[str, Any]]:
    filters = filters_of(visibility_of(request), asked)
    if start is None and end is None and "job_id" in filters:
        return *_life(filters["job_id"]), filters
    if start is None or end is None:
        raise Problem(422, "bad_period", "give from and to, or a job without either for its whole life")
    period = period_of(start, end)
    return period.start, period.end, filters


def _life(job_id: int) -> tuple[datetime, datetime]:
    edges = LedgerHour.objects.filter(job=job_id).aggregate(first=Min("hour"), last=Max("hour"))
    if edges["first"] is None:
        raise Problem(404, "unknown_job", "nothing of this job is in the ledger yet")
    return edges["first"], edges["last"] + timedelta(hours=1)


def _rows(request: HttpRequest, start: datetime, end: datetime, filters: Mapping[str, Any]) -> list[LedgerHour]:
    try:
        return list(ledger_rows(visibility_of(request), start, end, **filters))
    except TooManyRows as refused:
        raise Problem(413, "too_many_rows", str(refused)) from refused


def _name(asked: Narrowed) -> str:
    parts = [f"{name} {value}" for name, value in asked.model_dump(exclude_none=True).items()]
    return ", ".join(parts) or "everything"


def _file(response: HttpResponse, asked: Narrowed, start: datetime, ending: str) -> HttpResponse:
    """As a download whose name is ours alone: nothing of it comes from the outside."""
    what = "job" if asked.job else "period"
    response["Content-Disposition"] = f'attachment; filename="greenai-{what}-{start:%Y%m%d}.{ending}"'
    return response
