"""Prices: exchange rates, hourly prices and tariffs; people state them, files bring them, and the ledger restates."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounting.access import audit, can_administer, visible_to
from accounting.factorbook import price_files, price_rows
from accounting.factorbook.price_rows import Touched
from accounting.factorbook.prices import bands_of
from accounting.ledger.marking import restate_priced
from accounting.ledger.restate import hold_book
from accounting.models import Site, Tariff
from accounting.reports import price_tables
from accounting.reports.fleet import visible_sites
from accounting.views.asking import administrators_only, csv_response
from accounting.views.price_forms import BandFormSet, PriceFileForm, TariffForm, bands_said, starts_now, tariff_said

SHOWN = 20  # rows of a preview
WORDS = {"hours": "hourly prices", "rates": "exchange rates"}


@login_required
@require_GET
def price_page(request: HttpRequest) -> HttpResponse:
    """`?csv=hours|rates|tariffs` answers that table as a file."""
    sites = visible_sites(visible_to(request.user)).order_by("name")
    tariffs = Tariff.objects.filter(site__in=sites).select_related("site").prefetch_related("bands")
    tariffs = tariffs.order_by("site__name", "-valid_from")
    if what := request.GET.get("csv"):
        return csv_response(_table(what, list(sites), tariffs))
    context = {
        "title": "Prices",
        "currency": settings.GREENAI["currency"],
        "rates": price_tables.rate_lines(),
        "series": price_tables.series_lines(sites),
        "tariffs": [(tariff, bands_said(bands_of(tariff))) for tariff in tariffs],
        "administrator": can_administer(request.user),
    }
    return render(request, "accounting/prices.html", context)


def _table(what: str, sites: list[Site], tariffs: Any) -> Any:
    if what == "hours":
        return price_tables.hours_table(sites)
    if what == "rates":
        return price_tables.rates_table()
    if what == "tariffs":
        return price_tables.tariffs_table(tariffs)
    raise Http404


@administrators_only
@require_http_methods(["GET", "POST"])
def price_import(request: HttpRequest, what: str) -> HttpResponse:
    """First a preview with the errors of each row; the same text again with `confirmed` is kept."""
    if what not in WORDS:
        raise Http404
    form, sheet = PriceFileForm(request.POST or None, request.FILES or None), None
    if request.method == "POST" and form.is_valid():
        sheet = _read(what, form.cleaned_data["text"])
        if "confirmed" in request.POST and not sheet.errors:
            return _keep(request, what, sheet)
    names = price_files.PRICE_COLUMNS if what == "hours" else price_files.RATE_COLUMNS
    context = {
        "title": f"Import {WORDS[what]}",
        "crumbs": [("Prices", reverse("prices")), ("Import", "")],
        "what": what,
        "form": form,
        "sheet": sheet,
        "text": form.cleaned_data.get("text", "") if sheet else "",
        "names": names,
        "cells": [[getattr(line, name) for name in names] for line in sheet.lines[:SHOWN]] if sheet else [],
        "errors": sheet.errors[:SHOWN] if sheet else [],
        "currency": settings.GREENAI["currency"],
    }
    return render(request, "accounting/price_import.html", context)


def _read(what: str, text: str) -> price_files.Sheet[Any]:
    if what == "rates":
        return price_files.read_rates(text, into=settings.GREENAI["currency"])
    return price_files.read_prices(text, sites=frozenset(Site.objects.values_list("slug", flat=True)))


def _keep(request: HttpRequest, what: str, sheet: price_files.Sheet[Any]) -> HttpResponse:
    """Rows and the marks that make the ledger restate what they move, together or not at all."""
    save = price_rows.save_rates if what == "rates" else price_rows.save_prices
    with transaction.atomic():
        hold_book()
        count = _restate(request, save(sheet.lines), f"{len(sheet.lines)} {WORDS[what]} were imported")
        audit(actor=request.user, action=f"prices.{what}", subject=WORDS[what], rows=len(sheet.lines), restated=count)
    messages.success(request, f"{len(sheet.lines)} {WORDS[what]} are kept; {count} device-hours are restated.")
    return redirect("prices")


@administrators_only
@require_http_methods(["GET", "POST"])
def tariff_page(request: HttpRequest, tariff_id: int | None = None) -> HttpResponse:
    """State a tariff, or correct one. A correction replaces it whole, from its own start on."""
    tariff = get_object_or_404(Tariff.objects.select_related("site"), pk=tariff_id) if tariff_id else None
    started = tariff_said(tariff) if tariff else _proposed(request)
    form = TariffForm(request.POST or None, initial=started)
    lines = bands_said(bands_of(tariff)) if tariff and request.method == "GET" else None
    bands = BandFormSet(request.POST or None, initial=lines, prefix="bands")
    if request.method == "POST" and form.is_valid() and bands.is_valid():
        return _save_tariff(request, form, bands.bands, tariff)
    context = {
        "title": f"Tariff {tariff.name}" if tariff else "New tariff",
        "crumbs": [("Prices", reverse("prices")), (tariff.name if tariff else "New tariff", "")],
        "form": form,
        "bands": bands,
        "tariff": tariff,
    }
    return render(request, "accounting/tariff.html", context)


@administrators_only
@require_POST
def price_drop(request: HttpRequest) -> HttpResponse:
    """Take back the hourly prices of `site` (its id) or of `zone`."""
    zone, site_id = request.POST.get("zone", ""), request.POST.get("site", "")
    site = get_object_or_404(Site, pk=int(site_id)) if site_id.isdecimal() and len(site_id) < 18 else None
    if not zone and site is None:
        raise Http404
    with transaction.atomic():
        hold_book()
        touched = price_rows.drop_prices(site=site, zone="" if site else zone)
        count = _restate(request, touched, f"hourly prices of {site or zone} were taken back", site=site)
        audit(actor=request.user, action="prices.dropped", subject=site or zone, restated=count)
    messages.success(request, f"Hourly prices of {site or zone} are taken back; {count} device-hours are restated.")
    return redirect("prices")


@administrators_only
@require_POST
def tariff_drop(request: HttpRequest, tariff_id: int) -> HttpResponse:
    tariff = get_object_or_404(Tariff.objects.select_related("site"), pk=tariff_id)
    with transaction.atomic():
        hold_book()
        audit(actor=request.user, action="tariff.dropped", subject=tariff.site, name=tariff.name)
        reason = f"tariff {tariff.name} of {tariff.site} was taken back"
        count = _restate(request, price_rows.drop_tariff(tariff), reason, site=tariff.site)
    messages.success(request, f"{tariff.name} is taken back; {count} device-hours are restated.")
    return redirect("prices")


def _restate(request: HttpRequest, touched: Touched, reason: str, *, site: Site | None = None) -> int:
    return restate_priced(touched, reason=reason, actor=request.user, now=timezone.now(), site=site)


def _proposed(request: HttpRequest) -> dict[str, Any]:
    site = request.GET.get("site", "")
    since = starts_now(timezone.now())
    return {"site": site, "currency": settings.GREENAI["currency"], "valid_from": since}


def _save_tariff(request: HttpRequest, form: TariffForm, bands: list[Any], before: Tariff | None) -> HttpResponse:
    said = form.cleaned_data
    with transaction.atomic():
        hold_book()
        moved = Touched()
        if before and (before.site, before.valid_from) != (said["site"], said["valid_from"]):
            moved = price_rows.drop_tariff(before)
        tariff, touched = price_rows.save_tariff(**said, bands=bands)
        touched.spans += moved.spans
        alone = tariff.site if {site_id for site_id, *_ in touched.spans} == {tariff.site_id} else None
        reason = f"tariff {tariff.name} of {tariff.site} was {'corrected' if before else 'stated'}"
        count = _restate(request, touched, reason, site=alone)
        audit(actor=request.user, action="tariff.saved", subject=said["site"], name=tariff.name, bands=len(bands))
    messages.success(request, f"{tariff.name} is kept; {count} device-hours of {tariff.site} are restated.")
    return redirect("prices")
