"""The landing page: what the ledger says, what is happening now, and what could be done about it."""

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounting.access import Visibility, can_administer, visible_to
from accounting.reports import display, figures, live
from accounting.reports.dashboard import overview
from accounting.reports.periods import Period
from accounting.reports.queries import METRICS, SPLITS, split, trend
from accounting.reports.restatements import events, notes
from accounting.views.asking import (
    asked_metric,
    asked_period,
    asked_split,
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
    experiments = _running_experiments(visibility)
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
        "drivers_url": f"{reverse('drivers')}?{period.query}",
        "restated": notes(visibility, period.start, period.end),
        "parts": split(visibility, period.start, period.end, by=by),
        "heaviest_url": f"{reverse('jobs-heaviest')}?{period.query}",
        "running": live.running_jobs(visibility, now=now).exclude(pk__in=[one.job_id for one in experiments])[:8],
        "experiments": experiments,
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
    """The trend with what happened drawn on it: advice accepted and figures restated in the period."""
    visibility, period, metric = visible_to(request.user), asked_period(request), asked_metric(request)
    found = trend(visibility, period, by=asked_split(request), metric=metric)
    currency = settings.GREENAI["currency"]
    figure = figures.trend_figure(found, period=period, metric=metric, currency=currency, zone=zone())
    return JsonResponse({**figure, "events": _events(visibility, period)})


@dataclass(frozen=True, slots=True)
class Advice:
    """One open recommendation as partials/advice.html shows it."""

    title: str
    url: str
    status: str
    evidence: str
    saving: str
    interval: str
    reason: str


def open_advice(visibility: Visibility) -> list[Advice]:
    """The open recommendations that save the most CO2e. One query."""
    rows = _of_teams(Recommendation.objects.filter(state=Recommendation.State.OPEN), "team", visibility)
    return [_advice(row) for row in rows.order_by("-co2e_saving_g", "-pk")[:ADVICE_SHOWN]]


def _advice(row: Recommendation) -> Advice:
    shown = display.show("carbon_g", row.co2e_saving_g, row.co2e_saving_g_low, row.co2e_saving_g_high)
    saves = row.co2e_saving_g_low > 0  # an interval that reaches zero proves no saving
    return Advice(
        title=row.title,
        url=_address("recommendation", row.pk),
        status=row.evidence.upper(),
        evidence=f"{row.evidence} here" if row.evidence == "measured" else row.evidence,
        saving=f"−{shown.mid} {shown.unit} / {row.per}" if saves else "",
        interval=f"{shown.low} – {shown.high} {shown.unit}" if saves else "",
        reason=_headline(row.reason),
    )


def _headline(reason: str) -> str:
    """Its first sentence without the intervals in brackets: the advice's own page has them all."""
    return re.sub(r" \([^)]*\)", "", reason.partition("\n")[0]).partition(". ")[0].rstrip(".") + "."


def _running_experiments(visibility: Visibility) -> list[Experiment]:
    rows = Experiment.objects.filter(state=Experiment.State.RUNNING)
    return list(_of_teams(rows, "workload__team", visibility).select_related("workload")[:5])


def _events(visibility: Visibility, period: Period) -> list[dict[str, str]]:
    accepted = Recommendation.objects.filter(
        state=Recommendation.State.ACCEPTED, decided_at__gte=period.start, decided_at__lt=period.end
    )
    rows = _of_teams(accepted, "team", visibility).order_by("-decided_at")[:EVENTS_SHOWN]
    restated = [
        {"at": one.at.astimezone(zone()).strftime("%Y-%m-%dT%H:%M:%S"), "label": "figures restated"}
        for one in events(visibility, period.start, period.end)
    ]
    return restated + [
        {"at": row.decided_at.astimezone(zone()).strftime("%Y-%m-%dT%H:%M:%S"), "label": f"accepted: {row.title[:40]}"}
        for row in rows
    ]


def _of_teams(rows: QuerySet, path: str, visibility: Visibility) -> QuerySet:
    return rows if visibility.team_ids is None else rows.filter(**{f"{path}_id__in": visibility.team_ids})


def _address(name: str, *arguments: object) -> str:
    try:
        return reverse(name, args=arguments)
    except NoReverseMatch:
        return ""
