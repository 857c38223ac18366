"""Experiments for programs: what was asked, how far it is, what was measured."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Query, Router, Schema

from accounting.api.auth import READ
from accounting.api.problem import Problem
from accounting.models import ApiToken
from optimizer.models import Experiment, Variant

router = Router(tags=["experiments"])


class ExperimentLine(Schema):
    id: UUID
    workload: str
    goal: str
    quality_floor_points: float
    repeats: int
    state: str
    outcome: str
    explanation: str
    hardware: str | None
    job: str | None
    attempt: int
    step: str
    percent: float
    eta_s: float | None
    device_power_w: float | None
    device_energy_j: float
    co2e_g: float | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class MeasurementOut(Schema):
    quantity: str
    low: float
    mid: float
    high: float
    status: str
    method: str


class ComparisonOut(Schema):
    """Variant / baseline; differences are variant minus baseline, in the quantity's unit."""

    quantity: str
    ratio_low: float
    ratio: float
    ratio_high: float
    difference_low: float
    difference: float
    difference_high: float
    verdict: str


class VariantOut(Schema):
    position: int
    is_baseline: bool
    technique: str
    parameters: dict[str, Any]
    label: str
    failure: str
    measurements: list[MeasurementOut]
    comparisons: list[ComparisonOut]


class ExperimentDetail(ExperimentLine):
    recommendation_id: int | None
    variants: list[VariantOut]


class ExperimentList(Schema):
    count: int
    experiments: list[ExperimentLine]


@router.get("/experiments", auth=READ, response=ExperimentList)
def list_experiments(
    request: HttpRequest,
    state: Experiment.State | None = None,
    limit: int = Query(50, ge=1, le=200),
    offset: int = Query(0, ge=0),
) -> ExperimentList:
    """The team's experiments, newest first. `count` is how many there are without `limit` and `offset`."""
    rows = _of_team(request)
    if state is not None:
        rows = rows.filter(state=state)
    page = rows[offset : offset + limit]
    return ExperimentList(count=rows.count(), experiments=[ExperimentLine(**_line(row)) for row in page])


@router.get("/experiments/{uuid:experiment_id}", auth=READ, response=ExperimentDetail)
def one_experiment(request: HttpRequest, experiment_id: UUID) -> ExperimentDetail:
    """One experiment with every variant, measurement and comparison."""
    experiment = _of_team(request).filter(pk=experiment_id).first()
    if experiment is None:
        raise Problem(404, "unknown_experiment", f"there is no experiment {experiment_id} that this token sees")
    recommendation = getattr(experiment, "recommendation", None)
    variants = experiment.variants.prefetch_related("measurements", "comparisons")
    return ExperimentDetail(
        **_line(experiment),
        recommendation_id=recommendation.pk if recommendation else None,
        variants=[_variant(variant) for variant in variants],
    )


def _of_team(request: HttpRequest) -> QuerySet[Experiment]:
    token: ApiToken = request.auth  # type: ignore[attr-defined]
    rows = Experiment.objects.select_related("workload", "hardware", "job", "recommendation")
    return rows.filter(workload__team=token.team_id).order_by("-created_at", "pk")


def _line(row: Experiment) -> dict[str, Any]:
    named = set(ExperimentLine.model_fields) - {"workload", "hardware", "job", "device_power_w", "device_energy_j"}
    return {name: getattr(row, name) for name in named} | {
        "workload": row.workload.name,
        "hardware": row.hardware.name if row.hardware else None,
        "job": row.job.key if row.job else None,
        "device_power_w": row.power_w,
        "device_energy_j": row.energy_j,
    }


def _variant(row: Variant) -> VariantOut:
    shown = ("position", "is_baseline", "technique", "parameters", "label", "failure")
    return VariantOut(
        **{name: getattr(row, name) for name in shown},
        measurements=[MeasurementOut.model_validate(m, from_attributes=True) for m in row.measurements.all()],
        comparisons=[ComparisonOut.model_validate(c, from_attributes=True) for c in row.comparisons.all()],
    )
