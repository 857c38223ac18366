"""An organisation's own factors: the list, a version with its history, stating, correcting, withdrawing, importing."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounting.access import audit, can_administer
from accounting.factorbook import catalog, own
from accounting.ledger import own_changes
from accounting.ledger.own_import import Report, import_file
from accounting.models import OwnFactor, Restatement
from accounting.reports.factor_tables import words_of
from accounting.reports.own_factor_tables import own_factors_table, state_of
from accounting.views.asking import administrators_only, csv_response
from accounting.views.own_factor_forms import ImportForm, OwnFactorForm, WithdrawForm, scope_key


@login_required
@require_GET
def own_list(request: HttpRequest) -> HttpResponse:
    """`?all` lists versions that are not in force too; `?csv` answers the list as a file that the import reads."""
    rows = OwnFactor.objects.select_related("site", "team", "superseded_by")
    if "all" not in request.GET:
        rows = rows.in_force()
    if "csv" in request.GET:
        return csv_response(own_factors_table(rows))
    context = {
        "title": "Own factors",
        "crumbs": [("Factors", reverse("factors")), ("Own factors", "")],
        "lines": [_line(one) for one in rows],
        "all": "all" in request.GET,
        "administrator": can_administer(request.user),
    }
    return render(request, "accounting/own_factors.html", context)


@login_required
@require_GET
def own_page(request: HttpRequest, factor_id: int) -> HttpResponse:
    rows = OwnFactor.objects.select_related("site", "team", "superseded_by", "supersedes")
    factor = get_object_or_404(rows, pk=factor_id)
    context = {
        "title": f"{words_of(factor.quantity)}: {factor.key}",
        "crumbs": [*_crumbs(), (f"{factor.key}, version {factor.version}", "")],
        "factor": factor,
        "state": state_of(factor),
        "packaged": catalog().find(factor.quantity, factor.key),
        "history": [(one, state_of(one)) for one in own.history(factor)],
        "restatements": _restatements(factor),
        "withdraw_form": WithdrawForm(),
        "administrator": can_administer(request.user),
    }
    return render(request, "accounting/own_factor.html", context)


@administrators_only
@require_http_methods(["GET", "POST"])
def own_new(request: HttpRequest) -> HttpResponse:
    """`?of=&key=`: an override of a packaged factor starts out as it stands."""
    form = OwnFactorForm(request.POST or None, initial=_of_packaged(request))
    title = "Override a factor" if "key" in request.GET else "New own factor"
    return _stated(request, form, title=title, cancel=reverse("own-factors"))


@administrators_only
@require_http_methods(["GET", "POST"])
def own_correct(request: HttpRequest, factor_id: int) -> HttpResponse:
    """A new version over this one, which is kept."""
    factor = get_object_or_404(OwnFactor.objects.select_related("superseded_by"), pk=factor_id)
    initial = {name: getattr(factor, name) for name in own.NAMES if not name.endswith("_id")}
    initial |= {"scope": scope_key(factor), "reason": ""}
    form = OwnFactorForm(request.POST or None, initial=initial, corrects=factor)
    cancel = reverse("own-factor", args=[factor.pk])
    return _stated(request, form, title=f"Correct {factor.key}", cancel=cancel, corrects=factor)


@administrators_only
@require_http_methods(["POST"])
def own_withdraw(request: HttpRequest, factor_id: int) -> HttpResponse:
    factor = get_object_or_404(OwnFactor.objects.select_related("site", "team"), pk=factor_id)
    reason = request.POST.get("reason", "")
    try:
        with transaction.atomic():
            words = f"“{reason.strip()}” ({words_of(factor.quantity)} {factor.key} withdrawn)"
            outcome = own_changes.withdraw(factor, reason=reason, words=words, actor=request.user, now=timezone.now())
            audit(actor=request.user, action="own_factor.withdrawn", subject=factor.factor_id, reason=reason)
    except own.OwnFactorRefused as refused:
        messages.error(request, f"Not withdrawn: {refused}")
    else:
        messages.success(request, f"Withdrawn. {_touched(outcome.restatement)}")
    return redirect("own-factor", factor.pk)


@administrators_only
@require_http_methods(["GET", "POST"])
def own_import(request: HttpRequest) -> HttpResponse:
    """First a preview, that writes nothing; `confirm` writes what was looked at."""
    form = ImportForm(request.POST or None, request.FILES or None)
    report = None
    if request.method == "POST" and form.is_valid():
        confirmed, text = "confirm" in request.POST, form.cleaned_data["text"]
        with transaction.atomic():
            report = import_file(text, actor=request.user, now=timezone.now(), dry_run=not confirmed, **form.owner())
            if confirmed and not report.errors:
                changed = report.count("new") + report.count("new version")
                audit(actor=request.user, action="own_factors.imported", subject="CSV", rows=changed)
        if confirmed and not report.errors:
            messages.success(request, f"{changed} factors written. {_touched(report.restatement)}")
            return redirect("own-factors")
    context = {
        "title": "Import own factors",
        "crumbs": [*_crumbs(), ("Import", "")],
        "form": form,
        "report": report,
        "counts": _counts(report) if report else {},
        "changes": bool(report and any(row.becomes != "same" for row in report.rows)),
        "text": form.cleaned_data.get("text", "") if form.is_bound and form.is_valid() else "",
        "scope": form.cleaned_data.get("scope", "") if form.is_bound and form.is_valid() else "",
    }
    return render(request, "accounting/own_import.html", context)


def _stated(
    request: HttpRequest, form: OwnFactorForm, *, title: str, cancel: str, corrects: OwnFactor | None = None
) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        stated = form.stated()
        words = f"“{stated.reason}” ({words_of(stated.quantity)} {stated.key}: {stated.value:g} {stated.unit})".replace(
            " 1)", ")"
        )
        try:
            with transaction.atomic():
                outcome = own_changes.save(
                    [stated], reason=words, actor=request.user, now=timezone.now(), corrects=corrects
                )
                written = outcome.changes[0].after if outcome.changes else None
                if written:
                    audit(actor=request.user, action="own_factor.stated", subject=written.factor_id, value=stated.value)
        except own.OwnFactorRefused as refused:
            form.refuse(refused.problems)
        else:
            if written is None:
                messages.info(request, "This very factor is in force already: nothing to restate.")
                return redirect("own-factors")
            messages.success(request, f"Stated. {_touched(outcome.restatement)}")
            return redirect("own-factor", written.pk)
    lead = "It stands where the packaged figure stood. Hours it touches are restated; what was reported before is kept."
    context: dict[str, Any] = {
        "title": title, "form": form, "crumbs": [*_crumbs(), (title, "")], "lead": lead, "wide": True,
        "cancel_url": cancel, "submit": "Save and restate",
    }  # fmt: skip
    return render(request, "accounting/own_form.html", context)


def _of_packaged(request: HttpRequest) -> dict[str, Any]:
    quantity, key = request.GET.get("of", ""), request.GET.get("key", "")
    factor = catalog().find(quantity, key)
    if factor is None:
        return {"quantity": quantity, "key": key} if quantity or key else {}
    ends = {"value": factor.value.mid, "low": factor.value.low, "high": factor.value.high}
    return {"quantity": quantity, "key": key, "unit": factor.unit, **ends}


def _line(one: OwnFactor) -> tuple[OwnFactor, str, str]:
    return one, words_of(one.quantity), state_of(one)


def _restatements(factor: OwnFactor) -> list[Restatement]:
    """Those that this version caused, by coming or going."""
    of_own = Restatement.objects.filter(cause=Restatement.Cause.OWN_FACTOR, at__gte=factor.created_at)
    return [one for one in of_own.order_by("-at")[:500] if factor.factor_id in one.factor_ids]


def _touched(restatement: Restatement | None) -> str:
    if restatement is None:
        return "No hour of the ledger follows from it yet."
    many = restatement.hours != 1
    return f"{restatement.hours} device-hour{'s are' if many else ' is'} being restated."


def _crumbs() -> list[tuple[str, str]]:
    return [("Factors", reverse("factors")), ("Own factors", reverse("own-factors"))]


def _counts(report: Report) -> dict[str, int]:
    return {"new": report.count("new"), "corrected": report.count("new version"), "same": report.count("same")}
