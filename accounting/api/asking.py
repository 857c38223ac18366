"""Which rows of the ledger a program asks for: a period, and what narrows it. What it may not see is not there."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from ninja import Schema

from accounting.access import Visibility
from accounting.api.problem import Problem
from accounting.models import Job, Project, Site, Team
from accounting.reports.periods import Period, PeriodRefused, custom


class Narrowed(Schema):
    """Slugs of team, project and site, a scheduler's name of a job, a model as its driver names it."""

    team: str | None = None
    project: str | None = None
    job: str | None = None
    site: str | None = None
    device_model: str | None = None


def period_of(start: datetime, end: datetime) -> Period:
    """[start, end) on ledger edges. Raises Problem 422: no offset, or not a period."""
    for moment in (start, end):
        if moment.tzinfo is None:
            raise Problem(422, "bad_period", f"{moment.isoformat()} has no offset: write 2026-01-31T12:00:00Z")
    try:
        return custom(start, end, zone=UTC)
    except PeriodRefused as refused:
        raise Problem(422, "bad_period", f"this period cannot be shown: {refused}") from refused


def filters_of(visibility: Visibility, asked: Narrowed) -> dict[str, Any]:
    """Rows to narrow to. What the reader may not see is not there."""
    for name, value in asked.model_dump(exclude_none=True).items():
        if "\x00" in str(value):
            raise Problem(422, "bad_parameters", f"{name} holds a NUL character: no name does")
    found: dict[str, Any] = {"device_model": asked.device_model}
    if asked.team is not None:
        team_id = Team.objects.filter(slug=asked.team).values_list("pk", flat=True).first()
        if team_id is None or not visibility.shows(team_id):
            raise Problem(404, "unknown_team", f"there is no team {asked.team!r} that you see")
        found["team_id"] = team_id
    if asked.project is not None:
        found["project_id"] = _only(visibility, Project.objects.filter(slug=asked.project), found)
        if found["project_id"] is None:
            raise Problem(404, "unknown_project", f"there is no project {asked.project!r} that you see")
    if asked.job is not None:
        found["job_id"] = _only(visibility, Job.objects.filter(key=asked.job), found)
        if found["job_id"] is None:
            raise Problem(404, "unknown_job", f"there is no job {asked.job!r} that you see")
    if asked.site is not None:
        found["site_id"] = Site.objects.filter(slug=asked.site).values_list("pk", flat=True).first()
        if found["site_id"] is None:
            raise Problem(404, "unknown_site", f"there is no site {asked.site!r}")
    return found


def _only(visibility: Visibility, rows: QuerySet[Any], found: dict[str, Any]) -> int | None:
    """The one row that the reader sees; several teams may each have one of that name."""
    if "team_id" in found:
        rows = rows.filter(team=found["team_id"])
    seen = [pk for pk, team_id in rows.values_list("pk", "team_id") if visibility.shows(team_id)]
    if len(seen) > 1:
        raise Problem(422, "bad_parameters", f"{len(seen)} teams have one of this name: name the team too")
    return seen[0] if seen else None
