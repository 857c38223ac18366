"""Recommendations: what to change, what it should save, and what people decided."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounting.access import audit, can_change
from accounting.methods.records import Range
from optimizer.forms import DecisionForm
from optimizer.models import Recommendation
from optimizer.recommend import DecisionRefused
from optimizer.recommend import decide as decide_on
from optimizer.views import results, scope

PAGE_SIZE = 50
STATES = [("", "All"), *Recommendation.State.choices]


@login_required
def index(request: HttpRequest) -> HttpResponse:
    chosen = request.GET.get("state", Recommendation.State.OPEN)
    rows = scope.recommendations(request)
    if chosen in Recommendation.State.values:
        rows = rows.filter(state=chosen)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "title": "Advice",
        "page": page,
        "advice": [results.advice_line(row) for row in page],
        "states": [(label, f"?state={key}", key == chosen) for key, label in STATES],
        "chosen": chosen,
    }
    return render(request, "optimizer/recommendations.html", context)


@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    recommendation = get_object_or_404(scope.recommendations(request), pk=pk)
    return _page(request, recommendation, DecisionForm())


@login_required
@require_POST
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    recommendation = get_object_or_404(scope.recommendations(request), pk=pk)
    scope.require_change(request, recommendation.team)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _page(request, recommendation, form, status=422)
    state, note = form.cleaned_data["state"], form.cleaned_data["note"].strip()
    try:
        with transaction.atomic():
            decide_on(pk, state=state, note=note, by=request.user, now=timezone.now())
            audit(actor=request.user, action=f"recommendation.{state}", subject=recommendation, id=pk, note=note)
    except DecisionRefused:
        messages.warning(request, "Someone has decided on it already.")
    return redirect("recommendation", pk)


def _page(
    request: HttpRequest, recommendation: Recommendation, form: DecisionForm, *, status: int = 200
) -> HttpResponse:
    row = recommendation
    context = {
        "title": row.title,
        "crumbs": [("Advice", reverse("recommendations")), (row.title, "")],
        "recommendation": row,
        "form": form,
        "may_decide": row.state == Recommendation.State.OPEN and can_change(request.user, row.team),
        "status": row.evidence.upper(),
        "energy": Range(row.energy_saving_kwh_low, row.energy_saving_kwh, row.energy_saving_kwh_high),
        "co2e": Range(row.co2e_saving_g_low, row.co2e_saving_g, row.co2e_saving_g_high),
        "cost": _cost(row),
        "saving_is_shown": row.energy_saving_kwh_low > 0,
        "state_tone": {"open": "", "accepted": "good", "dismissed": "warn"}[row.state],
    }
    return render(request, "optimizer/recommendation.html", context, status=status)


def _cost(row: Recommendation) -> Range | None:
    """None: no price is known there."""
    if row.cost_saving is None:
        return None
    return Range(row.cost_saving_low, row.cost_saving, row.cost_saving_high)
