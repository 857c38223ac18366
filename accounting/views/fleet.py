"""Sites, hosts and devices: where they stand, what they draw, what is known of them, and how to say more."""

from datetime import datetime

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounting.access import audit, can_administer, can_change, visible_to
from accounting.factorbook.terms import zone_of
from accounting.forms import SiteForm
from accounting.ledger.instants import hour_of
from accounting.ledger.restate import Cause, hold_book, restate
from accounting.models import Device, LedgerHour, Restatement, SampleConflict, Site, SiteTerms
from accounting.reports import figures, fleet, fleet_tables, jobs, periods
from accounting.reports.carbon_free import site_carbon_free
from accounting.reports.cooling import cooling_outcomes, cooling_table
from accounting.reports.device_sources import counted_sources, told_by
from accounting.reports.job_tables import jobs_table, trend_table
from accounting.reports.live import live, visible_devices
from accounting.reports.making import making_view
from accounting.reports.periods import Period
from accounting.reports.queries import carbon_rate, totals, trend
from accounting.reports.restatements import device_notes
from accounting.reports.tables import Table
from accounting.views.asking import (
    administrators_only,
    asked_metric,
    asked_period,
    csv_response,
    links,
    period_context,
    zone,
)
from accounting.views.fleet_forms import DeviceForm
from accounting.views.terms_form import SiteTermsForm

METRICS = {metric: words for metric, (words, _) in figures.METRIC_WORDS.items()}


@login_required
@require_GET
def fleet_page(request: HttpRequest) -> HttpResponse:
    """`?csv` answers the table of devices as a file, `?csv=sites` that of sites."""
    now, period, visibility = timezone.now(), asked_period(request), visible_to(request.user)
    view = live(visibility, now=now, silent_after_s=settings.GREENAI["agent_silent_s"], most=None)
    lines = fleet.device_lines(visibility, period.start, period.end, view=view)
    if request.GET.get("csv") == "sites":
        return csv_response(fleet_tables.sites_table(fleet.site_lines(visibility, now=now)))
    if "csv" in request.GET:
        return csv_response(fleet_tables.devices_table(lines))
    context = {
        "title": "Fleet",
        "lines": lines,
        "live": view,
        "sites": fleet.site_lines(visibility, now=now),
        "unplaced": fleet.unplaced(visibility),
        "administrator": can_administer(request.user),
        "csv_url": f"?{period.query}&csv=1",
        **period_context(request, period),
    }
    return render(request, "accounting/fleet.html", context)


@administrators_only
@require_http_methods(["GET", "POST"])
def site_new(request: HttpRequest) -> HttpResponse:
    form = SiteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            site = form.save()
            audit(actor=request.user, action="site.created", subject=site)
        messages.success(request, f"{site} is there. Now say where it stands.")
        return redirect("site", site.pk)
    crumbs = [("Fleet", reverse("fleet")), ("New site", "")]
    return render(
        request, "accounting/form_page.html", {"title": "New site", "form": form, "crumbs": crumbs, "submit": "Create"}
    )


@login_required
@require_http_methods(["GET", "POST"])
def site_page(request: HttpRequest, site_id: int) -> HttpResponse:
    """What holds here now and since when; administrators state new terms on the same page."""
    visibility, now = visible_to(request.user), timezone.now()
    site = get_object_or_404(fleet.visible_sites(visibility), pk=site_id)
    administrator = can_administer(request.user)
    if request.method == "POST" and not administrator:
        raise Http404
    latest = site.terms.order_by("valid_from").last()
    period, rate = asked_period(request), carbon_rate(site, now=now)
    outcomes = cooling_outcomes(totals(visibility, period.start, period.end, site_id=site.pk), rate)
    if request.GET.get("csv") == "terms":
        return csv_response(fleet_tables.terms_table(site.name, site.terms.order_by("-valid_from")))
    if request.GET.get("csv") == "cooling":
        return csv_response(cooling_table(outcomes))
    terms_form = SiteTermsForm(request.POST or None, instance=_next_terms(site, latest), now=now, prefix="terms")
    site_form = SiteForm(request.POST or None, instance=site, prefix="site")
    if request.method == "POST":
        if "site-name" in request.POST and site_form.is_valid():
            return _save_site(request, site_form)
        if "terms-valid_from" in request.POST and terms_form.is_valid():
            return _save_terms(request, site, terms_form)
    context = {
        "title": site.name if request.method == "GET" else Site.objects.get(pk=site.pk).name,
        "crumbs": [("Fleet", reverse("fleet")), (site.name, "")],
        "site": site,
        "terms": site.terms.order_by("-valid_from"),
        "stated_zone": bool(zone_of(latest)),
        "rate": rate,
        "cooling": outcomes,
        "cooling_csv": f"?{period.query}&csv=cooling",
        "tariffs": site.tariffs.order_by("-valid_from"),
        "carbon_free": site_carbon_free(site.pk, periods.preset("30d", now=now)),
        "hosts": site.hosts.prefetch_related("devices"),
        "terms_form": terms_form if "terms-valid_from" in request.POST else _blank(site, latest, now),
        "site_form": site_form if "site-name" in request.POST else SiteForm(instance=site, prefix="site"),
        "administrator": administrator,
        "market_matching": settings.GREENAI["market_matching"],
        **period_context(request, period),
    }
    return render(request, "accounting/site.html", context)


def _next_terms(site: Site, latest: SiteTerms | None) -> SiteTerms:
    """A new row that starts out as the terms before it."""
    if latest is None:
        return SiteTerms(site=site)
    own = {"id", "site", "valid_from", "created_at"}
    kept = (field.name for field in SiteTerms._meta.concrete_fields if field.name not in own)
    return SiteTerms(site=site, **{name: getattr(latest, name) for name in kept})


def _blank(site: Site, latest: SiteTerms | None, now: datetime) -> SiteTermsForm:
    """The first terms hold from the site's first hour on, so that nothing stays DEFAULT; later ones from this hour."""
    since = now if latest else site.created_at
    initial = {"valid_from": since.replace(minute=0, second=0, microsecond=0)}
    return SiteTermsForm(instance=_next_terms(site, latest), initial=initial, now=now, prefix="terms")


def _save_site(request: HttpRequest, form: SiteForm) -> HttpResponse:
    with transaction.atomic():
        hold_book()
        site = form.save()
        first = site.tariffs.order_by("valid_from").first()
        if "time_zone" in form.changed_data and first:  # its tariffs are read by another clock from now on
            rows = _rows_of(site).filter(hour__gte=hour_of(first.valid_from))
            cause = Cause(Restatement.Cause.PRICES, site=site)
            reason = f"the tariffs of {site} are read by the clock of {site.time_zone}"
            restate(rows, reason=reason, actor=request.user, cause=cause, now=timezone.now())
        audit(actor=request.user, action="site.changed", subject=site, changed=form.changed_data)
    messages.success(request, "Saved.")
    return redirect("site", site.pk)


def _save_terms(request: HttpRequest, site: Site, form: SiteTermsForm) -> HttpResponse:
    """Terms, what stood before them, and the marks that make the ledger restate it, together or not at all."""
    since, now = form.cleaned_data["valid_from"], timezone.now()
    said = {name: value for name, value in form.cleaned_data.items() if name != "valid_from"}
    if SiteTerms.objects.filter(site=site, valid_from=since, **said).exists():
        messages.info(request, "These very terms hold since then: nothing to restate.")
        return redirect("site", site.pk)
    with transaction.atomic():
        hold_book()
        SiteTerms.objects.update_or_create(site=site, valid_from=since, defaults=said)
        reason = f"new terms of {site} hold since {since:%Y-%m-%d %H:%M} UTC"
        cause = Cause(Restatement.Cause.SITE_TERMS, site=site)
        rows = _rows_of(site).filter(hour__gte=hour_of(since))
        restate(rows, reason=reason, actor=request.user, cause=cause, now=now)
        audit(actor=request.user, action="site.terms", subject=site, since=since.isoformat(), **said)
    messages.success(request, f"Saved. Hours of {site} since {timezone.localtime(since):%-d %b %Y %H:%M} are restated.")
    return redirect("site", site.pk)


def _rows_of(site: Site) -> QuerySet[LedgerHour]:
    """What stands there now, and what is booked there."""
    return LedgerHour.objects.filter(Q(site=site) | Q(device__host__site=site))


@login_required
@require_GET
def device_page(request: HttpRequest, device_id: int) -> HttpResponse:
    now, period, visibility = timezone.now(), asked_period(request), visible_to(request.user)
    device = _visible_device(request, device_id)
    table = _device_table(request, device, period)
    if request.GET.get("csv") == "jobs":
        lines = jobs.heaviest_jobs(visibility, period.start, period.end, limit=100_000, device_id=device.pk)
        return csv_response(jobs_table(lines, link=lambda line: reverse("job", args=[line.id])))
    if "csv" in request.GET:
        return csv_response(table)
    view = live(visibility, now=now, silent_after_s=settings.GREENAI["agent_silent_s"], only=device_id)
    context = {
        "title": device.key,
        "crumbs": [("Fleet", reverse("fleet")), (device.host.name, ""), (device.key, "")],
        "device": device,
        "live": view.devices[0] if view.devices else None,
        "totals": totals(visibility, period.start, period.end, device_id=device.pk),
        "lines": jobs.heaviest_jobs(visibility, period.start, period.end, limit=10, device_id=device.pk),
        "making": making_view(device, now=now),
        "drivers_url": f"{reverse('drivers')}?{period.query}&device={device.pk}",
        "restated": device_notes(device.pk, period.start, period.end),
        "conflicts": SampleConflict.objects.filter(device=device)[:20],
        "agents": device.host.agents.all(),
        "counted": counted_sources(device, period.start, period.end),
        "told_by": told_by(device) if visibility.team_ids is None or can_change(request.user, device.host.team) else [],
        "metric": asked_metric(request),
        "table": table,
        "csv_url": f"?{period.query}&show={asked_metric(request)}&csv=1",
        "metric_links": links(request, "show", METRICS, asked_metric(request)),
        "may_change": can_change(request.user, device.host.team),
        **period_context(request, period),
    }
    return render(request, "accounting/device.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def device_edit(request: HttpRequest, device_id: int) -> HttpResponse:
    device = _visible_device(request, device_id)
    if not can_change(request.user, device.host.team):
        raise Http404
    form = DeviceForm(request.POST or None, instance=device)
    if request.method == "POST" and form.is_valid():
        _save_device(request, form)
        messages.success(request, "Saved. Its hours are restated." if form.changed_data else "Nothing had changed.")
        return redirect("device", device.pk)
    crumbs = [("Fleet", reverse("fleet")), (device.key, reverse("device", args=[device.pk])), ("Edit", "")]
    context = {"title": f"Edit {device.key}", "form": form, "crumbs": crumbs, "wide": True}
    context["cancel_url"] = reverse("device", args=[device.pk])
    return render(request, "accounting/form_page.html", context)


def _save_device(request: HttpRequest, form: DeviceForm) -> None:
    """Restates the others of its host too: a sensor of the whole node decides what counts of them."""
    with transaction.atomic():
        hold_book()
        device, changed = form.save(), form.changed_data
        if changed:
            words = ", ".join(str(form.fields[name].label or name) for name in changed)
            cause = Cause(Restatement.Cause.DEVICE, site=device.host.site)
            rows, reason = LedgerHour.objects.filter(device__host=device.host), f"{words} of {device} corrected"
            restate(rows, reason=reason, actor=request.user, cause=cause, now=timezone.now())
        audit(actor=request.user, action="device.changed", subject=device, changed=changed)


@login_required
@require_GET
def device_power(request: HttpRequest, device_id: int) -> JsonResponse:
    """The last hour of raw power."""
    device, now_us = _visible_device(request, device_id), int(timezone.now().timestamp() * 1e6)
    points = jobs.power_points(device.pk, now_us - 3_600_000_000, now_us)
    lines = [jobs.PowerLine("Power", points)] if points else []
    return JsonResponse(figures.power_figure(lines, zone=zone()))


@login_required
@require_GET
def device_trend(request: HttpRequest, device_id: int) -> JsonResponse:
    device, period, metric = _visible_device(request, device_id), asked_period(request), asked_metric(request)
    found = trend(visible_to(request.user), period, by="team", metric=metric, device_id=device.pk)
    currency = settings.GREENAI["currency"]
    return JsonResponse(figures.trend_figure(found, period=period, metric=metric, currency=currency, zone=zone()))


def _device_table(request: HttpRequest, device: Device, period: Period) -> Table:
    metric = asked_metric(request)
    found = trend(visible_to(request.user), period, by="team", metric=metric, device_id=device.pk)
    return trend_table(found, metric=metric, grain=period.grain, name=f"device-{device.pk}")


def _visible_device(request: HttpRequest, device_id: int) -> Device:
    devices = visible_devices(visible_to(request.user)).select_related("host__team", "host__site")
    return get_object_or_404(devices, pk=device_id)
