"""The read API, for programs with a token of scope read. Thin: every figure is `accounting.reports`'."""

from datetime import UTC, datetime
from typing import Literal

from django.conf import settings
from django.http import HttpRequest
from ninja import Query, Router, Schema

from accounting.access import Visibility
from accounting.api.auth import READ
from accounting.api.problem import Problem
from accounting.models import ApiToken, Project, Team
from accounting.reports import queries
from accounting.reports.periods import PeriodRefused, custom
from accounting.reports.records import Totals

router = Router(tags=["figures"])


class Interval(Schema):
    low: float
    mid: float
    high: float


class Figures(Schema):
    it_energy_kwh: Interval
    facility_energy_kwh: Interval
    co2e_location_g: Interval
    embodied_g: Interval
    water_onsite_l: Interval
    water_offsite_l: Interval
    cost: Interval
    covered_s: float
    missing_s: float
    idle_kwh: float
    measured_share: float | None
    coverage: float | None
    status: str | None


class Part(Schema):
    id: int | None
    name: str
    figures: Figures


class Footprint(Schema):
    start: datetime
    end: datetime
    currency: str
    totals: Figures
    parts: list[Part]


@router.get("/footprint", auth=READ, response=Footprint)
def footprint(
    request: HttpRequest,
    from_: datetime = Query(..., alias="from"),  # noqa: B008  ninja reads its parameters from defaults
    to: datetime = Query(...),  # noqa: B008
    team: str | None = None,
    project: str | None = None,
    group_by: Literal["team", "project", "site", "device"] | None = None,
) -> Footprint:
    """Every quantity of the ledger over [from, to), widened to whole hours, or to whole UTC days beyond three days.

    `team` and `project` are slugs. `group_by` adds the same figures by part, the largest CO2e first.
    """
    token: ApiToken = request.auth  # type: ignore[attr-defined]
    visibility = Visibility.of_token(token)
    try:
        period = custom(_with_offset(from_), _with_offset(to), zone=UTC)
    except PeriodRefused as refused:
        raise Problem(422, "bad_period", f"this period cannot be shown: {refused}") from refused
    filters = _filters(visibility, token, team, project)
    parts = queries.split(visibility, period.start, period.end, by=group_by, **filters) if group_by else []
    return Footprint(
        start=period.start,
        end=period.end,
        currency=settings.GREENAI["currency"],
        totals=_figures(queries.totals(visibility, period.start, period.end, **filters)),
        parts=[Part(id=part.id, name=part.name, figures=_figures(part.totals)) for part in parts],
    )


def _with_offset(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise Problem(422, "bad_period", f"{moment.isoformat()} has no offset: write 2026-01-31T12:00:00Z")
    return moment


def _filters(visibility: Visibility, token: ApiToken, team: str | None, project: str | None) -> dict[str, int | None]:
    team_id = token.team_id
    if team is not None:
        team_id = Team.objects.filter(slug=team).values_list("pk", flat=True).first()
        if team_id is None or not visibility.shows(team_id):
            raise Problem(404, "unknown_team", f"there is no team {team!r} that this token sees")
    if project is None:
        return {"team_id": team_id, "project_id": None}
    project_id = Project.objects.filter(team=team_id, slug=project).values_list("pk", flat=True).first()
    if project_id is None:
        raise Problem(404, "unknown_project", f"there is no project {project!r} in this team")
    return {"team_id": team_id, "project_id": project_id}


def _figures(totals: Totals) -> Figures:
    return Figures.model_validate(totals, from_attributes=True)
