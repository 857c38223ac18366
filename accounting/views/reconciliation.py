"""Cloud providers' reports against the ledger, and how they come in: for those who see everything."""

from collections import defaultdict
from datetime import date
from functools import wraps
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounting.access import EVERYTHING, audit, can_administer, visible_to
from accounting.factors.places import find_cloud_region, region_code
from accounting.ingest.formats import vendor_azure, vendor_carbon
from accounting.ingest.formats.vendor_records import MOST_BYTES, ReportRefused, VendorFile
from accounting.ingest.vendor import NothingToStore, delete_report, store_report
from accounting.models import VendorReport
from accounting.reports import reconciliation, reconciliation_tables
from accounting.views.asking import View, administrators_only, csv_response, links

_SALT = "accounting.reconciliation.import"
_VALID_FOR_S = 3600
_MOST_CARRIED = 2_000_000  # characters of a checked file that a form can carry
_CRUMB = ("Reconciliation", "/reconciliation/")
_ALONE = ("unstated_kg", "scope1_kg", "scope2_location_kg", "scope2_market_kg", "scope3_kg")  # one of them a row
_SCOPES = {
    "": "Not stated",
    "1,2-location,3": "Scopes 1, 2 (location-based) and 3",
    "1,2-market,3": "Scopes 1, 2 (market-based) and 3",
    "1": "Scope 1",
    "2-location": "Scope 2, location-based",
    "2-market": "Scope 2, market-based",
    "3": "Scope 3",
}


def who_see_everything(view: View) -> View:
    """A report is of the whole organisation, so nobody sees it who may see some teams only."""

    @login_required
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if visible_to(request.user) != EVERYTHING:
            raise PermissionDenied("Only administrators and auditors may see this")
        return view(request, *args, **kwargs)

    return checked


class ReportForm(forms.Form):
    file = forms.FileField(label="The provider’s export", help_text="CSV or JSON; the provider is recognised")
    month = forms.CharField(
        required=False,
        label="Month",
        max_length=7,
        help_text="Azure’s details only, whose file tells none: 2026-01",
        widget=forms.TextInput(attrs={"placeholder": "2026-01"}),
    )
    scopes = forms.ChoiceField(
        required=False,
        label="What Azure was asked for",
        choices=list(_SCOPES.items()),
        help_text="Its answer does not say; files of AWS and Google Cloud do",
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise ValidationError(f"{file.size} bytes: more than {MOST_BYTES // 1_000_000} MB; split it by month")
        return file

    def clean_month(self) -> date | None:
        written = self.cleaned_data["month"]
        try:
            return date.fromisoformat(f"{written}-01") if written else None
        except ValueError as error:
            raise ValidationError(f"{written} is no month: write it like 2026-01") from error


@who_see_everything
@require_GET
def reconciliation_page(request: HttpRequest) -> HttpResponse:
    """`?year=` chooses the year; `?csv=comparisons` and `?csv=reports` answer the tables as files."""
    years = reconciliation.years()
    asked = request.GET.get("year", "")
    year = int(asked) if asked in map(str, years) else next(iter(years), timezone.now().year)
    lines = reconciliation.lines(visible_to(request.user), year=year, now=timezone.now())
    reports = reconciliation.report_lines()
    tables = {
        "comparisons": reconciliation_tables.comparisons_table(lines),
        "reports": reconciliation_tables.reports_table(reports),
    }
    if (name := request.GET.get("csv", "")) in tables:
        return csv_response(tables[name])
    context = {
        "title": "Reconciliation",
        "lines": lines,
        "reports": reports,
        "year": year,
        "years": links(request, "year", {str(one): str(one) for one in years}, str(year)),
        "administrator": can_administer(request.user),
    }
    return render(request, "accounting/reconciliation.html", context)


@administrators_only
@require_http_methods(["GET", "POST"])
def report_import(request: HttpRequest) -> HttpResponse:
    """A file is read and shown, with what is wrong by line; nothing is stored before it is confirmed."""
    form = ReportForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"title": "Import a report", "form": form, "crumbs": [_CRUMB, ("Import", "")]}
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        context |= _preview(said["file"].name, said["file"].read(), month=said["month"], scopes=said["scopes"])
    return render(request, "accounting/reconciliation_import.html", context)


@administrators_only
@require_POST
def report_confirm(request: HttpRequest) -> HttpResponse:
    """Store what was shown: the form carries the file, signed, for an hour."""
    try:
        name, text, month, scopes = signing.loads(request.POST.get("checked", ""), salt=_SALT, max_age=_VALID_FOR_S)
        found = _parse(text.encode(), month=date.fromisoformat(month) if month else None, scopes=scopes)
        with transaction.atomic():
            stored = store_report(
                found, text.encode(), file_name=name, imported_by=str(request.user), now=timezone.now()
            )
            if stored.new:
                detail = {"provider": found.provider, "rows": stored.rows, "replaced": stored.replaced}
                audit(actor=request.user, action="vendor.imported", subject=name, **detail)
    except (signing.BadSignature, ReportRefused, NothingToStore):
        messages.error(request, "That preview is too old or was changed: choose the file again.")
        return redirect("reconciliation-import")
    (messages.success if stored.new else messages.info)(request, stored.words)
    return redirect("reconciliation")


@administrators_only
@require_POST
def report_remove(request: HttpRequest, report_id: int) -> HttpResponse:
    """What it had replaced counts again."""
    report = get_object_or_404(VendorReport, pk=report_id)
    with transaction.atomic():
        audit(actor=request.user, action="vendor.removed", subject=report, sha256=report.sha256)
        delete_report(report)
    messages.success(request, f"{report} is removed. What it had replaced counts again.")
    return redirect("reconciliation")


def _parse(body: bytes, *, month: date | None, scopes: str) -> VendorFile:
    """Raises ReportRefused."""
    return vendor_carbon.parse(body, region_key=region_code, month=month, scopes=scopes)


def _preview(name: str, body: bytes, *, month: date | None, scopes: str) -> dict[str, Any]:
    """What the page shows of a file: its errors, or its months and the form that stores them."""
    try:
        found = _parse(body, month=month, scopes=scopes)
    except ReportRefused as refused:
        return {"refused": str(refused)}
    if found.errors or not found.records:
        return {"found": found}
    stated = month.isoformat() if month else ""
    checked = signing.dumps([name[:120], body.decode(), stated, scopes], salt=_SALT, compress=True)
    shown = {
        "found": found,
        "name": name,
        "provider": vendor_carbon.PROVIDERS[found.provider],
        "months": _months(found),
        "of_one_scope": found.provider == vendor_azure.NAME and not scopes.startswith("1,"),
        "scopes": _SCOPES[vendor_azure.statement_of(scopes)] if found.provider == vendor_azure.NAME else "",
        "unknown": sorted({r.region for r in found.records if not find_cloud_region(r.provider, r.region)}),
    }
    return {**shown, "checked": checked} if len(checked) <= _MOST_CARRIED else {**shown, "too_large": True}


def _months(found: VendorFile) -> list[dict[str, Any]]:
    """Rows, regions and what is told of each month and version of the method, the latest month first."""
    by_month: dict[tuple[date, str], list[Any]] = defaultdict(list)
    for record in found.records:
        by_month[record.month, record.model_version].append(record)
    return [
        {
            "month": month,
            "version": version,
            "rows": len(records),
            "regions": len({record.region for record in records}),
            "location_kg": _sum(record.total_location_kg for record in records),
            "market_kg": _sum(record.total_market_kg for record in records),
            "other_kg": _sum(getattr(record, column) for record in records for column in _ALONE),
        }
        for (month, version), records in sorted(by_month.items(), reverse=True)
    ]


def _sum(values: Any) -> float | None:
    """None where none of them is told."""
    told = [value for value in values if value is not None]
    return sum(told) if told else None
