"""Trends as chart figures and as CSV, for the landing page and the pages of teams."""

from datetime import date, datetime

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounting.access import Visibility, visible_to
from accounting.models import Job, LedgerHour
from accounting.reports import figures, holes
from accounting.reports.drivers import MOST_ROWS, drivers
from accounting.reports.job_tables import split_table
from accounting.reports.periods import Period
from accounting.reports.queries import seen, split, trend
from accounting.reports.reach import reach
from accounting.views.asking import asked_metric, asked_period, asked_split, csv_response, zone


@login_required
@require_GET
def trend_json(request: HttpRequest) -> JsonResponse:
    """`?period= &by= &show= &team=`."""
    visibility, period, metric = visible_to(request.user), asked_period(request), asked_metric(request)
    found = trend(visibility, period, by=asked_split(request), metric=metric, team_id=asked_team(request, visibility))
    currency = settings.GREENAI["currency"]
    return JsonResponse(figures.trend_figure(found, period=period, metric=metric, currency=currency, zone=zone()))


@login_required
@require_GET
def split_csv(request: HttpRequest) -> HttpResponse:
    """Every quantity of the period by team, project, site or device, under the same parameters as the page."""
    visibility, period, by = visible_to(request.user), asked_period(request), asked_split(request)
    parts = split(visibility, period.start, period.end, by=by, team_id=asked_team(request, visibility))
    return csv_response(split_table(parts, by=by))


@login_required
@require_GET
def holes_estimate(request: HttpRequest) -> HttpResponse:
    """A fragment: what may lie in the period's holes. Apart, for it reads hours, of a long period only the last."""
    visibility, period = visible_to(request.user), asked_period(request)
    team_id = asked_team(request, visibility)
    since = reach(visibility, period.start, period.end, most=holes.MOST_ROWS, team_id=team_id)
    estimate = holes.gap_estimate(visibility, since, period.end, team_id=team_id)
    return render(request, "partials/holes.html", {"holes": estimate, "since": _later(since, period)})


@login_required
@require_GET
def drivers_fragment(request: HttpRequest) -> HttpResponse:
    """A fragment: which input drives the range of the CO2e. `?job=`, or `?period= &team= &device=`.

    Reads hours; of a long period only the last, and says so.
    """
    visibility, since = visible_to(request.user), None
    rows = LedgerHour.objects.filter(seen(visibility))
    if job_id := _number(request, "job"):
        job = get_object_or_404(Job, pk=job_id)
        if not visibility.shows(job.team_id):
            raise Http404
        rows = LedgerHour.objects.filter(job=job)
    else:
        period = asked_period(request)
        wanted = {"team_id": asked_team(request, visibility), "device_id": _number(request, "device")}
        start = reach(visibility, period.start, period.end, most=MOST_ROWS, **wanted)
        rows = rows.filter(hour__gte=start, hour__lt=period.end)
        rows, since = rows.filter(**{name: pk for name, pk in wanted.items() if pk is not None}), _later(start, period)
    return render(request, "accounting/drivers.html", {"drivers": drivers(rows), "since": since})


def _later(since: datetime, period: Period) -> date | None:
    """The UTC day from which a period was read; None where all of it was."""
    return since.date() if since > period.start else None


def _number(request: HttpRequest, name: str) -> int | None:
    """A row's number in the URL; 404 for what is none."""
    written = request.GET.get(name, "")
    if written and (not written.isdecimal() or len(written) > 18):
        raise Http404
    return int(written) if written else None


def asked_team(request: HttpRequest, visibility: Visibility) -> int | None:
    """The team the URL narrows to; 404 for one this person may not see."""
    written = request.GET.get("team", "")
    if not written:
        return None
    if not written.isdecimal() or len(written) > 18 or not visibility.shows(int(written)):
        raise Http404
    return int(written)
