"""Restatements: what was reported before, what stands now, and why."""

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounting.access import visible_to
from accounting.reports import provenance, restatements
from accounting.views.asking import csv_response

SHOWN = 50
FACTORS_SHOWN = 50


@login_required
@require_GET
def restatement_list(request: HttpRequest) -> HttpResponse:
    """`?csv` answers all of them as a file."""
    found = restatements.visible(visible_to(request.user))
    if "csv" in request.GET:
        return csv_response(restatements.list_table(list(found)))
    page = Paginator(found, SHOWN).get_page(request.GET.get("page"))
    context = {"title": "Restatements", "page": page, "lines": [(one, restatements.scope_of(one)) for one in page]}
    return render(request, "accounting/restatements.html", context)


@login_required
@require_GET
def restatement_page(request: HttpRequest, restatement_id: int) -> HttpResponse:
    """`?csv` answers every day, team, project and site, every quantity before and after."""
    visibility = visible_to(request.user)
    one = get_object_or_404(restatements.visible(visibility), pk=restatement_id)
    if "csv" in request.GET:
        return csv_response(restatements.days_table(visibility, one))
    context = {
        "title": f"Restated on {one.at:%-d %b %Y}",
        "crumbs": [("Restatements", reverse("restatements")), (f"{one.at:%-d %b %Y}", "")],
        "restatement": one,
        "scope": restatements.scope_of(one),
        "lines": restatements.lines(visibility, one),
        "table": restatements.short_days(visibility, one),
        "factors": provenance.describe(one.factor_ids[:FACTORS_SHOWN]),
        "more_factors": max(len(one.factor_ids) - FACTORS_SHOWN, 0),
    }
    return render(request, "accounting/restatement.html", context)
