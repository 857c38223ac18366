"""The landing page: what the ledger says, what is happening now, and what could be done about it."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounting.access import Visibility, can_administer, visible_to
from accounting.reports import display, figures, live
from accounting.reports.dashboard import overview
from accounting.reports.job_tables import split_table, trend_table
from accounting.reports.periods import Period
from accounting.reports.queries import METRICS, SPLITS, split, trend
from accounting.views.asking import (
    asked_metric,
    asked_period,
    asked_split,
    csv_response,
    links,
    period_context,
    zone,
)
from optimizer.models import Experiment, Recommendation

ADVICE_SHOWN = 5
EVENTS_SHOWN = 6


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    now, visibility, period = timezone.now(), visible_to(request.user), asked_period(request)
    by, metric = asked_split(request), asked_metric(request)
    seen = overview(visibility, period=period, now=now, silent_after_s=settings.GREENAI["agent_silent_s"])
    query = f"{period.query}&{urlencode({'by': by, 'show': metric})}"
    context = {
        "title": "Overview",
        "overview": seen,
        "live": seen.live,
        "by": by,
        "metric": metric,
        "by_links": links(request, "by", {name: name for name in SPLITS}, by),
        "metric_links": links(request, "show", {key: figures.METRIC_WORDS[key][0] for key in METRICS}, metric),
        "metric_words": figures.METRIC_WORDS[metric][0],
        "chart_url": f"{reverse('home-trend')}?{query}",
        "csv_url": f"{reverse('split-csv')}?{query}",
        "parts": split(visibility, period.start, period.end, by=by),
        "heaviest_url": f"{reverse('jobs-heaviest')}?{period.query}",
        "running": live.running_jobs(visibility, now=now)[:8],
        "experiments": _of_teams(Experiment.objects.filter(state="running"), "workload__team", visibility)
        .select_related("workload")[:5],
        "advice": open_advice(visibility),
        "administrator": can_administer(request.user),
        **period_context(request, period),
    }
    return render(request, "home.html", context)


@login_required
@require_GET
def home_live(request: HttpRequest) -> HttpResponse:
    """The fragment that is polled: watts now, who reports, how far the ledger is behind."""
    seen = live.live(visible_to(request.user), now=timezone.now(), silent_after_s=settings.GREENAI["agent_silent_s"])
    return render(request, "partials/live.html", {"live": seen})


@login_required
@require_GET
def home_trend(request: HttpRequest) -> JsonResponse:
    """The trend with what happened drawn on it: advice that was accepted in the period."""
    visibility, period, metric = visible_to(request.user), asked_period(request), asked_metric(request)
    found = trend(visibility, period, by=asked_split(request), metric=metric)
    currency = settings.GREENAI["currency"]
    figure = figures.trend_figure(found, period=period, metric=metric, currency=currency, zone=zone())
    return JsonResponse({**figure, "events": _events(visibility, period)})
