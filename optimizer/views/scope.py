"""What a person may see of the optimizer: rows of their teams. Another team's row is not there: 404."""

from typing import TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounting.access import can_administer, can_change, visible_to
from accounting.models import Team
from optimizer.models import Experiment, Recommendation, Workload

Row = TypeVar("Row", bound=Model)


def workloads(request: HttpRequest) -> QuerySet[Workload]:
    return _of_teams(Workload.objects.select_related("team", "project"), "team_id", request)


def experiments(request: HttpRequest) -> QuerySet[Experiment]:
    rows = Experiment.objects.select_related("workload__team", "hardware", "created_by", "job")
    return _of_teams(rows, "workload__team_id", request)


def recommendations(request: HttpRequest) -> QuerySet[Recommendation]:
    rows = Recommendation.objects.select_related("team", "experiment__workload", "variant", "decided_by")
    return _of_teams(rows, "team_id", request)


def own_teams(request: HttpRequest) -> list[Team]:
    """Teams this person may act for, by name."""
    visible = visible_to(request.user).team_ids
    teams = Team.objects.all() if visible is None else Team.objects.filter(pk__in=visible)
    return [team for team in teams if can_change(request.user, team)]


def require_change(request: HttpRequest, team: Team) -> None:
    """
    Raises:
        PermissionDenied: a viewer or auditor: they see, and change nothing.
    """
    if not can_change(request.user, team):
        raise PermissionDenied(f"{request.user} may look at {team}, but not act for it")


def require_administrator(request: HttpRequest) -> None:
    if not can_administer(request.user):
        raise PermissionDenied(f"{request.user} is not an administrator")


def _of_teams(rows: QuerySet[Row], path: str, request: HttpRequest) -> QuerySet[Row]:
    team_ids = visible_to(request.user).team_ids
    return rows if team_ids is None else rows.filter(**{f"{path}__in": team_ids})
