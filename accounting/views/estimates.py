"""Estimate: state what is known of a run, read what it comes to. The question is the URL; nothing is stored."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounting.estimates.answer import answer
from accounting.factorbook.books import catalog_for
from accounting.reports.estimate_tables import estimate_lines, estimate_table
from accounting.views.asking import csv_response
from accounting.views.estimate_form import FIELDS, EstimateForm


@login_required
@require_GET
def estimate_new(request: HttpRequest) -> HttpResponse:
    """`&csv=1` answers the figures shown as a file."""
    form = EstimateForm(request.GET if _asks(request) else None)
    answered = _answered(form) if form.is_bound and form.is_valid() else None
    if answered and "csv" in request.GET:
        return csv_response(estimate_table(answered))
    context = {
        "title": "Estimate",
        "form": form,
        "answered": answered,
        "lines": estimate_lines(answered) if answered else [],
        "csv_url": f"?{request.GET.urlencode()}&csv=1",
        "more_open": form.is_bound and form.more_stated,
    }
    return render(request, "accounting/estimate.html", context)


def _asks(request: HttpRequest) -> bool:
    return any(request.GET.get(name) for name in FIELDS)


def _answered(form: EstimateForm) -> dict[str, Any] | None:
    """The run's answer; a refusal goes to the field that it names, as far as the form has it."""
    (run,) = answer(catalog_for(at=timezone.now()), [form.stated], currency=settings.GREENAI["currency"])["runs"]
    if error := run.get("error"):
        form.refuse(error["field"], error["detail"])
        return None
    return run
