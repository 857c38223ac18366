"""The grid page: feeds of hourly intensity and their state, files, and a zone's week."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounting.access import audit, can_administer, visible_to
from accounting.factorbook import catalog
from accounting.factors.providers import csv_file
from accounting.factors.providers.base import WrongSchema
from accounting.factors.providers.registry import providers
from accounting.ledger import gridfeed
from accounting.models import GridFeed
from accounting.reports import grid
from accounting.views.asking import administrators_only, csv_response, zone
from accounting.views.grid_forms import FeedForm, HoursForm

_SALT = "accounting.grid.import"
_VALID_FOR_S = 3600
_MOST_CARRIED = 2_000_000  # characters of a checked file that a form can carry
_CRUMB = ("Grid", "/grid/")


@login_required
@require_GET
def grid_page(request: HttpRequest) -> HttpResponse:
    """`?csv=feeds`, `series`, `week` and `steps` answer the tables as files; `?series=` chooses the week."""
    lines, series = grid.feed_lines(now=timezone.now(), has_key=_has_key), grid.series_lines()
    chosen = _chosen(request, series)
    week = grid.week_of(chosen, now=timezone.now(), zone=zone()) if chosen else []
    tables = {"feeds": grid.feeds_table(lines), "series": grid.series_table(series)}
    tables["steps"] = grid.steps_table(visible_to(request.user), now=timezone.now())
    if chosen:
        tables["week"] = grid.week_table(chosen, week)
    if (asked := request.GET.get("csv", "")) in tables:
        return csv_response(tables[asked])
    context = {
        "title": "Grid",
        "lines": lines,
        "series": series,
        "names": grid.provider_names(),
        "tables": tables,
        "chosen": chosen,
        "choices": [(key, key.replace(":", ", ")) for key in sorted({line.key for line in series})],
        "zone_name": zone().key,
        "unused": _unused(lines),
        "administrator": can_administer(request.user),
    }
    return render(request, "accounting/grid.html", context)


@login_required
@require_GET
def heatmap_json(request: HttpRequest) -> JsonResponse:
    """`?series=FR:average:lifecycle`."""
    week = grid.week_of(request.GET.get("series", "")[:60], now=timezone.now(), zone=zone())
    return JsonResponse(grid.week_figure(week))


@administrators_only
@require_http_methods(["GET", "POST"])
def feed_new(request: HttpRequest) -> HttpResponse:
    form = FeedForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            feed = form.save()
            audit(actor=request.user, action="grid.feed.created", subject=feed, **form.cleaned_data)
        messages.success(request, f"{feed} is there: it is asked within a few minutes.")
        return redirect("grid")
    lead = "A provider that is asked every half hour for the hours that are not stored yet."
    context = {"title": "New feed", "form": form, "crumbs": [_CRUMB, ("New feed", "")], "submit": "Create feed"}
    return render(request, "accounting/form_page.html", {**context, "lead": lead, "cancel_url": reverse("grid")})


@administrators_only
@require_POST
def feed_switch(request: HttpRequest, feed_id: int) -> HttpResponse:
    """On or off; switched on, it is asked with the next round."""
    feed = get_object_or_404(GridFeed, pk=feed_id)
    with transaction.atomic():
        on = not feed.enabled
        GridFeed.objects.filter(pk=feed.pk).update(enabled=on, next_try_at=None, failures=0, last_error="")
        audit(actor=request.user, action="grid.feed.switched", subject=feed, on=on)
    messages.success(request, f"{feed} is {'on' if on else 'off'}.")
    return redirect("grid")


@administrators_only
@require_POST
def feed_remove(request: HttpRequest, feed_id: int) -> HttpResponse:
    """The hours it brought stay: the ledger rests on them."""
    feed = get_object_or_404(GridFeed, pk=feed_id)
    with transaction.atomic():
        audit(actor=request.user, action="grid.feed.removed", subject=feed)
        feed.delete()
    messages.success(request, f"{feed} is removed. The hours it brought stay.")
    return redirect("grid")


@administrators_only
@require_http_methods(["GET", "POST"])
def import_file(request: HttpRequest) -> HttpResponse:
    """A file is read and shown, with what is wrong by line; nothing is stored before it is confirmed."""
    form = HoursForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"title": "Import hours", "form": form, "crumbs": [_CRUMB, ("Import", "")]}
    if request.method == "POST" and form.is_valid():
        context |= _preview(form.cleaned_data["file"].name, form.cleaned_data["file"].read())
    return render(request, "accounting/grid_import.html", context)


@administrators_only
@require_POST
def import_confirm(request: HttpRequest) -> HttpResponse:
    """Store what was shown: the form carries the file, signed, for an hour."""
    try:
        name, text = signing.loads(request.POST.get("checked", ""), salt=_SALT, max_age=_VALID_FOR_S)
        found = csv_file.parse(text.encode())
    except (signing.BadSignature, WrongSchema, ValueError):
        messages.error(request, "That preview is too old or was changed: choose the file again.")
        return redirect("grid-import")
    with transaction.atomic():
        because = gridfeed.Because(f"hours of {name} were imported", request.user)
        stored = gridfeed.store_hours(csv_file.NAME, found.values, now=timezone.now(), because=because)
        audit(actor=request.user, action="grid.imported", subject=name, added=stored.added, replaced=stored.replaced)
    said = f"{stored.added} hours new, {stored.replaced} replaced, {stored.kept} as they were."
    messages.success(request, f"{said} {stored.marked} device-hours are restated.")
    return redirect("grid")


def _preview(name: str, body: bytes) -> dict[str, Any]:
    """What the page shows of a file: its errors, or its hours and the form that stores them."""
    try:
        found = csv_file.parse(body)
    except WrongSchema as error:
        return {"refused": str(error)}
    if found.errors or not found.values:
        return {"found": found}
    checked = signing.dumps([name[:120], body.decode("utf-8-sig")], salt=_SALT, compress=True)
    by_zone: dict[str, list[float]] = {}
    for of, value in found.values:
        by_zone.setdefault(of, []).append(value.g_per_kwh)
    spans = [(of, len(some), min(some), sum(some) / len(some), max(some)) for of, some in by_zone.items()]
    hours = [value.hour for _, value in found.values]
    series = found.values[0][1].series
    unknown = [of for of in by_zone if catalog().find("grid_intensity", of) is None]
    shown = {
        "unknown": unknown,
        "found": found,
        "spans": spans,
        "first": min(hours),
        "last": max(hours),
        "kind": series,
        "name": name,
    }
    return {**shown, "checked": checked} if len(checked) <= _MOST_CARRIED else {**shown, "too_large": True}


def _has_key(feed: GridFeed) -> bool:
    return bool(gridfeed.key_of(feed.key_variable))


def _chosen(request: HttpRequest, series: list[grid.SeriesLine]) -> str:
    """The series of the URL, else the first; empty where nothing is stored."""
    keys = [line.key for line in series]
    asked = request.GET.get("series", "")
    return asked if asked in keys else next(iter(keys), "")


def _unused(lines: list[grid.FeedLine]) -> list[dict[str, str]]:
    """Providers without a feed, and what would switch each on."""
    used = {line.feed.provider for line in lines}
    return [
        {
            "title": provider.title,
            "url": provider.url,
            "needs": f"a key in {provider.key_variable}" if provider.key_variable else "nothing: it wants no key",
            "known": "set" if provider.key_variable and gridfeed.key_of(provider.key_variable) else "",
        }
        for provider in providers(catalog()).values()
        if provider.name not in used
    ]
