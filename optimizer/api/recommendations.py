"""Recommendations for programs: what to change and what it should save, and a team's decision on it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from accounting.access import audit
from accounting.api.auth import ADMIN, READ
from accounting.api.problem import Problem
from accounting.models import ApiToken
from optimizer.models import Recommendation
from optimizer.recommend import DecisionRefused, decide

router = Router(tags=["recommendations"])


class RecommendationOut(Schema):
    id: int
    experiment_id: UUID | None
    title: str
    reason: str
    evidence: str
    per: str
    energy_saving_kwh_low: float
    energy_saving_kwh: float
    energy_saving_kwh_high: float
    co2e_saving_g_low: float
    co2e_saving_g: float
    co2e_saving_g_high: float
    cost_saving_low: float | None
    cost_saving: float | None
    cost_saving_high: float | None
    alternatives: list[dict[str, Any]]
    one_off_kwh: float | None
    break_even_units: float | None
    state: str
    decided_at: datetime | None
    decision_note: str
    created_at: datetime


class RecommendationList(Schema):
    count: int
    recommendations: list[RecommendationOut]


class Acceptance(Schema):
    note: str = Field("", max_length=2000)


class Dismissal(Schema):
    note: str = Field(max_length=2000, pattern=r"\S", description="Why, so that nobody has to find out again")


@router.get("/recommendations", auth=READ, response=RecommendationList)
def list_recommendations(
    request: HttpRequest,
    state: Recommendation.State | None = None,
    limit: int = Query(50, ge=1, le=200),
    offset: int = Query(0, ge=0),
) -> RecommendationList:
    """The team's recommendations, newest first. `count` is how many there are without `limit` and `offset`."""
    rows = _of_team(request)
    if state is not None:
        rows = rows.filter(state=state)
    page = rows[offset : offset + limit]
    return RecommendationList(count=rows.count(), recommendations=[_out(row) for row in page])


@router.post("/recommendations/{int:recommendation_id}/accept", auth=ADMIN, response=RecommendationOut)
def accept(request: HttpRequest, recommendation_id: int, acceptance: Acceptance | None = None) -> RecommendationOut:
    """Accept an open recommendation, once."""
    note = acceptance.note if acceptance else ""
    return _decide(request, recommendation_id, Recommendation.State.ACCEPTED, note)


@router.post("/recommendations/{int:recommendation_id}/dismiss", auth=ADMIN, response=RecommendationOut)
def dismiss(request: HttpRequest, recommendation_id: int, dismissal: Dismissal) -> RecommendationOut:
    """Dismiss an open recommendation, once, and say why."""
    return _decide(request, recommendation_id, Recommendation.State.DISMISSED, dismissal.note)


def _decide(request: HttpRequest, pk: int, state: Recommendation.State, note: str) -> RecommendationOut:
    row = _of_team(request).filter(pk=pk).first()
    if row is None:
        raise Problem(404, "unknown_recommendation", f"there is no recommendation {pk} that this token sees")
    note = note.strip()
    try:
        with transaction.atomic():
            decided = decide(pk, state=state, note=note, by=None, now=datetime.now(UTC))
            audit(actor=_token(request), action=f"recommendation.{state}", subject=row, id=pk, note=note)
    except DecisionRefused as refused:
        raise Problem(409, "decided_already", str(refused)) from refused
    return _out(decided)


def _token(request: HttpRequest) -> ApiToken:
    return request.auth  # type: ignore[attr-defined, no-any-return]


def _of_team(request: HttpRequest) -> QuerySet[Recommendation]:
    return Recommendation.objects.filter(team=_token(request).team_id).order_by("-created_at", "-pk")


def _out(row: Recommendation) -> RecommendationOut:
    return RecommendationOut.model_validate(row, from_attributes=True)
