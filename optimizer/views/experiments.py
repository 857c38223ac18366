"""Experiments: what runs, how far it is, and what came of it."""

import hashlib

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import quote_etag
from django.views.decorators.http import require_GET, require_POST

from accounting.access import audit, can_change
from accounting.reports.export import csv_of
from accounting.reports.queries import job_totals
from optimizer.experiments.claim import request_cancel
from optimizer.experiments.states import OPEN
from optimizer.models import Experiment, Recommendation
from optimizer.views import results, scope

PAGE_SIZE = 50
STOP_POLLING = 286  # htmx: take this answer and ask no more


@login_required
def index(request: HttpRequest) -> HttpResponse:
    page = Paginator(scope.experiments(request), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "optimizer/experiments.html", {"title": "Experiments", "page": page})


@login_required
def detail(request: HttpRequest, pk: str) -> HttpResponse:
    experiment = get_object_or_404(scope.experiments(request), pk=pk)
    recommendation = Recommendation.objects.filter(experiment=experiment).first()
    context = {
        "title": str(experiment.workload),
        "crumbs": [("Experiments", reverse("experiments")), (str(experiment.workload), "")],
        "recommendation": recommendation,
        "results": results.before_after(experiment),
        "ledger": job_totals(experiment.job) if experiment.job else None,
        "has_measurements": experiment.variants.filter(measurements__isnull=False).exists(),
        **_live(request, experiment),
    }
    return render(request, "optimizer/experiment.html", context)


@login_required
@require_GET
def progress(request: HttpRequest, pk: str) -> HttpResponse:
    """The live part of the page. Unchanged: 304. Over: the whole page is asked for again, once."""
    experiment = get_object_or_404(scope.experiments(request), pk=pk)
    if not is_live(experiment):
        return HttpResponse(status=STOP_POLLING, headers={"HX-Refresh": "true"})
    etag = _etag(experiment)
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers={"ETag": etag})
    response = render(request, "optimizer/_progress.html", _live(request, experiment))
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@login_required
@require_POST
def cancel(request: HttpRequest, pk: str) -> HttpResponse:
    experiment = get_object_or_404(scope.experiments(request), pk=pk)
    scope.require_change(request, experiment.workload.team)
    with transaction.atomic():
        cancelled = request_cancel(experiment.pk, now=timezone.now())
        if cancelled:
            audit(actor=request.user, action="experiment.cancelled", subject=experiment.pk)
    if not cancelled:
        messages.warning(request, "There was nothing left to cancel.")
    return redirect("experiment", pk)


@login_required
@require_GET
def results_csv(request: HttpRequest, pk: str) -> HttpResponse:
    experiment = get_object_or_404(scope.experiments(request), pk=pk)
    table = results.as_table(experiment)
    headers = {"Content-Disposition": f'attachment; filename="{table.name}.csv"'}
    return HttpResponse(csv_of(table), content_type="text/csv; charset=utf-8", headers=headers)


@login_required
@require_GET
def chart(request: HttpRequest, pk: str) -> JsonResponse:
    experiment = get_object_or_404(scope.experiments(request), pk=pk)
    return JsonResponse(results.quality_energy_figure(experiment))


def is_live(experiment: Experiment) -> bool:
    """Whether the page may still change by itself: it runs or waits, or its conclusion is still to be drawn."""
    concluding = experiment.state == Experiment.State.FINISHED and experiment.outcome == Experiment.Outcome.NONE
    return experiment.state in OPEN or concluding


def _live(request: HttpRequest, experiment: Experiment) -> dict[str, object]:
    return {
        "experiment": experiment,
        "live": is_live(experiment),
        "tone": results.TONES[experiment.state],
        "may_cancel": experiment.state in OPEN
        and experiment.cancel_requested_at is None
        and can_change(request.user, experiment.workload.team),
    }


def _etag(experiment: Experiment) -> str:
    shown = ("state", "step", "percent", "eta_s", "power_w", "energy_j", "co2e_g", "attempt", "explanation")
    seen = [getattr(experiment, name) for name in (*shown, "cancel_requested_at")]
    return quote_etag(hashlib.sha256(repr(seen).encode()).hexdigest()[:24])
