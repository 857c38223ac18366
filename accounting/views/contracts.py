"""Contracts and certificates: what was bought, who claims it, and how to say more."""

from collections.abc import Collection

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounting.access import audit, can_administer, visible_to
from accounting.ledger import matching
from accounting.ledger.restate import hold_book
from accounting.models import ContractHour, EnergyContract
from accounting.reports.contracts import STATED, contract_lines, contracts_table, site_claims
from accounting.reports.fleet import visible_sites
from accounting.views.asking import administrators_only, csv_response
from accounting.views.contract_forms import MOST_BYTES, ContractForm, CsvRefused, Row, read_contracts, read_profile

RESTATED = "The market-based figures of {year} are restated within a minute or so."


@login_required
@require_GET
def contract_list(request: HttpRequest) -> HttpResponse:
    """`?csv` answers the list as a file that the import reads."""
    lines = contract_lines()
    if "csv" in request.GET:
        return csv_response(contracts_table(lines, link=lambda one: reverse("contract", args=[one.pk])))
    context = {"title": "Contracts", "lines": lines, "administrator": can_administer(request.user)}
    return render(request, "accounting/contracts.html", context)


@administrators_only
@require_http_methods(["GET", "POST"])
def contract_new(request: HttpRequest) -> HttpResponse:
    form = ContractForm(request.POST or None, initial={"vintage": timezone.now().year})
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            hold_book()
            contract = _create(request, form)
            _restate(request, [contract], f"contract {contract} was entered: {contract.mwh:g} MWh in {contract.zone}")
        messages.success(request, f"{contract} is there. {RESTATED.format(year=contract.vintage)}")
        return redirect("contract", contract.pk)
    context = {
        "title": "New contract",
        "form": form,
        "crumbs": [("Contracts", reverse("contracts")), ("New contract", "")],
        "lead": "It moves the market-based figure alone: the location-based one shows the grid as it is.",
        "submit": "Save and restate",
        "cancel_url": reverse("contracts"),
    }
    return render(request, "accounting/form_page.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def contract_page(request: HttpRequest, contract_id: int) -> HttpResponse:
    """What a contract says and who claims it; administrators correct it on the same page."""
    contract = get_object_or_404(EnergyContract, pk=contract_id)
    if request.method == "POST":
        return _changed(request, contract)
    return _shown(request, contract, ContractForm(instance=contract))


@administrators_only
@require_POST
def contract_delete(request: HttpRequest, contract_id: int) -> HttpResponse:
    contract = get_object_or_404(EnergyContract, pk=contract_id)
    with transaction.atomic():
        hold_book()
        reason = f"contract {contract} was removed"
        matching.release(contract, reason=reason, actor=request.user, now=timezone.now())
        audit(actor=request.user, action="contract.deleted", subject=contract, **_said(contract))
        contract.delete()
    messages.success(request, f"{contract} is removed. {RESTATED.format(year=contract.vintage)}")
    return redirect("contracts")


@administrators_only
@require_POST
def contract_profile(request: HttpRequest, contract_id: int) -> HttpResponse:
    """Replace a contract's generation by hour; an empty file takes it away."""
    contract = get_object_or_404(EnergyContract, pk=contract_id)
    try:
        text = _text(request)
        series = read_profile(text, contract) if text.strip() else {}
    except CsvRefused as refused:
        messages.error(request, f"Nothing was changed: {refused}.")
        return redirect("contract", contract.pk)
    with transaction.atomic():
        hold_book()
        contract.profile.all().delete()
        rows = [ContractHour(contract=contract, hour=hour, kwh=kwh) for hour, kwh in series.items()]
        ContractHour.objects.bulk_create(rows, 500)
        said = f"{len(rows)} hours of generation of contract {contract} were stated"
        _restate(request, [contract], said if rows else f"hours of generation of contract {contract} were taken back")
        audit(actor=request.user, action="contract.profile", subject=contract, hours=len(rows))
    words = f"{len(rows)} hours of generation are there" if rows else "It generates evenly over its period again"
    messages.success(request, f"{words}. {RESTATED.format(year=contract.vintage)}")
    return redirect("contract", contract.pk)


@administrators_only
@require_http_methods(["GET", "POST"])
def contract_import(request: HttpRequest) -> HttpResponse:
    """A file is shown row by row first; only one without errors can be imported, and then all of it."""
    context = {
        "title": "Import contracts",
        "crumbs": [("Contracts", reverse("contracts")), ("Import", "")],
        "columns": ", ".join(STATED),
    }
    if request.method == "GET":
        return render(request, "accounting/contract_import.html", context)
    try:
        text = _text(request)
        rows = read_contracts(text)
    except CsvRefused as refused:
        return render(request, "accounting/contract_import.html", {**context, "refused": str(refused)})
    wrong = [row for row in rows if row.errors]
    if "confirmed" in request.POST and not wrong:
        return _imported(request, rows)
    preview = {"rows": rows, "wrong": wrong, "text": text}
    return render(request, "accounting/contract_import.html", {**context, **preview})


def _imported(request: HttpRequest, rows: list[Row]) -> HttpResponse:
    with transaction.atomic():
        hold_book()
        made = [_create(request, row.form) for row in rows]
        _restate(request, made, f"{len(made)} contracts were imported" if len(made) > 1 else f"{made[0]} was imported")
    years = ", ".join(str(year) for year in sorted({row.form.instance.vintage for row in rows}))
    messages.success(request, f"{len(rows)} contracts are there. {RESTATED.format(year=years)}")
    return redirect("contracts")


def _create(request: HttpRequest, form: ContractForm) -> EnergyContract:
    """In the caller's transaction."""
    form.instance.created_by = request.user
    contract = form.save()
    audit(actor=request.user, action="contract.created", subject=contract, **_said(contract))
    return contract


def _changed(request: HttpRequest, contract: EnergyContract) -> HttpResponse:
    if not can_administer(request.user):
        raise Http404
    years, form = {contract.vintage}, ContractForm(request.POST, instance=contract)
    if not form.is_valid():
        return _shown(request, EnergyContract.objects.get(pk=contract.pk), form)
    with transaction.atomic():
        hold_book()
        saved = form.save()
        if form.changed_data:
            words = ", ".join(str(form.fields[name].label or name) for name in form.changed_data)
            _restate(request, [saved], f"{words} of contract {saved} corrected", years=years)
        audit(actor=request.user, action="contract.changed", subject=saved, **_said(saved))
    messages.success(request, f"Saved. {RESTATED.format(year=saved.vintage)}")
    return redirect("contract", contract.pk)


def _restate(
    request: HttpRequest, contracts: list[EnergyContract], reason: str, *, years: Collection[int] = ()
) -> None:
    """In the caller's transaction. `years`: that they were of before."""
    of = {*years, *(one.vintage for one in contracts)}
    matching.change(of, contracts, reason=reason, actor=request.user, now=timezone.now())


def _shown(request: HttpRequest, contract: EnergyContract, form: ContractForm) -> HttpResponse:
    (line,) = contract_lines(pk=contract.pk)
    seen = set(visible_sites(visible_to(request.user)).values_list("name", flat=True))
    context = {
        "title": contract.name,
        "crumbs": [("Contracts", reverse("contracts")), (contract.name, "")],
        "line": line,
        "contract": contract,
        "claims": [claim for claim in site_claims(contract) if claim.site in seen],
        "hours": contract.profile.count(),
        "form": form,
        "administrator": can_administer(request.user),
    }
    return render(request, "accounting/contract.html", context)


def _text(request: HttpRequest) -> str:
    """What was uploaded, else what was pasted.

    Raises:
        CsvRefused: not UTF-8, or too large.
    """
    if (file := request.FILES.get("file")) is None:
        return request.POST.get("text", "")
    if file.size > MOST_BYTES:
        raise CsvRefused(f"the file has {file.size:,} bytes, more than {MOST_BYTES:,}: split it")
    try:
        return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CsvRefused(f"the file is not UTF-8 (byte {error.start}): export it as CSV UTF-8") from None


def _said(contract: EnergyContract) -> dict[str, object]:
    said = {name: getattr(contract, name) for name in STATED if name not in ("start", "end", "site")}
    period = {"start": contract.start.isoformat(), "end": contract.end.isoformat()}
    return {**said, **period, "site": str(contract.site or "")}
