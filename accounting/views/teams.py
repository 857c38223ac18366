"""Teams, their projects and their people."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounting.access import audit, can_administer, can_change, visible_to
from accounting.forms import ProjectForm, TeamForm
from accounting.models import Team
from accounting.reports.carbon_free import team_carbon_free
from accounting.reports.jobs import heaviest_jobs
from accounting.reports.queries import change, sparks, split, totals
from accounting.reports.restatements import notes
from accounting.views.asking import (
    administrators_only,
    asked_metric,
    asked_period,
    asked_split,
    links,
    period_context,
)
from accounting.views.fleet import METRICS

SPLITS = ("project", "site", "device")


@login_required
@require_GET
def team_list(request: HttpRequest) -> HttpResponse:
    period, visibility = asked_period(request), visible_to(request.user)
    found = {part.id: part for part in split(visibility, period.start, period.end, by="team")}
    teams = Team.objects.all() if visibility.team_ids is None else Team.objects.filter(pk__in=visibility.team_ids)
    context = {
        "title": "Teams",
        "lines": [(team, found.get(team.pk)) for team in teams.prefetch_related("projects")],
        "nobody": found.get(None),
        "administrator": can_administer(request.user),
        "csv_url": f"{reverse('split-csv')}?{period.query}&by=team",
        **period_context(request, period),
    }
    return render(request, "accounting/teams.html", context)


@login_required
@require_GET
def team_page(request: HttpRequest, team_id: int) -> HttpResponse:
    team, visibility = _visible_team(request, team_id), visible_to(request.user)
    period, by, metric = asked_period(request), asked_split(request, SPLITS), asked_metric(request)
    query = f"{period.query}&by={by}&show={metric}&team={team.pk}"
    context = {
        "title": team.name,
        "crumbs": [("Teams", reverse("teams")), (team.name, "")],
        "team": team,
        "totals": totals(visibility, period.start, period.end, team_id=team.pk),
        "sparks": sparks(visibility, period, now=timezone.now(), team_id=team.pk),
        "change": change(visibility, period, now=timezone.now(), team_id=team.pk),
        "parts": split(visibility, period.start, period.end, by=by, team_id=team.pk),
        "carbon_free": team_carbon_free(team.pk, period),
        "by": by,
        "metric": metric,
        "by_links": links(request, "by", {name: f"by {name}" for name in SPLITS}, by),
        "metric_links": links(request, "show", METRICS, metric),
        "chart_url": f"{reverse('trend')}?{query}",
        "csv_url": f"{reverse('split-csv')}?{query}",
        "lines": heaviest_jobs(visibility, period.start, period.end, limit=10, team_id=team.pk),
        "drivers_url": f"{reverse('drivers')}?{period.query}&team={team.pk}",
        "restated": notes(visibility, period.start, period.end, team_id=team.pk),
        "projects": team.projects.all(),
        "memberships": team.memberships.select_related("user").order_by("user__username"),
        "may_change": can_change(request.user, team),
        "project_form": ProjectForm(team=team),
        **period_context(request, period),
    }
    return render(request, "accounting/team.html", context)


@administrators_only
@require_http_methods(["GET", "POST"])
def team_new(request: HttpRequest) -> HttpResponse:
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            team = form.save()
            audit(actor=request.user, action="team.created", subject=team)
        messages.success(request, f"{team} is there.")
        return redirect("team", team.pk)
    crumbs = [("Teams", reverse("teams")), ("New team", "")]
    context = {"title": "New team", "form": form, "crumbs": crumbs, "submit": "Create", "cancel_url": reverse("teams")}
    return render(request, "accounting/form_page.html", context)


@login_required
@require_POST
def project_new(request: HttpRequest, team_id: int) -> HttpResponse:
    team = _visible_team(request, team_id)
    if not can_change(request.user, team):
        raise Http404
    form = ProjectForm(request.POST, team=team)
    if form.is_valid():
        with transaction.atomic():
            project = form.save()
            audit(actor=request.user, action="project.created", subject=f"{team}/{project}")
        messages.success(request, f"Project {project} is there: jobs name it as {project.slug}.")
    else:
        messages.error(request, "A project needs a name of at most 120 characters.")
    return redirect("team", team.pk)


def _visible_team(request: HttpRequest, team_id: int) -> Team:
    if not visible_to(request.user).shows(team_id):
        raise Http404
    return get_object_or_404(Team, pk=team_id)
