"""Hosts: where they stand, and what they are made of; the ledger restates their hours."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounting.access import audit
from accounting.ledger.restate import Cause, hold_book, restate
from accounting.models import DirtyHour, Host, LedgerHour, Restatement
from accounting.views.asking import administrators_only
from accounting.views.fleet_forms import HostForm


@administrators_only
@require_http_methods(["GET", "POST"])
def host_page(request: HttpRequest, host_id: int) -> HttpResponse:
    """Place a host at a site."""
    host = get_object_or_404(Host.objects.select_related("team", "site"), pk=host_id)
    form = HostForm(request.POST or None, instance=host)
    if request.method == "POST" and form.is_valid():
        _place(request, form)
        messages.success(request, f"{host.name} stands at {host.site or 'no site'}; its hours are restated.")
        return redirect("fleet")
    crumbs = [("Fleet", reverse("fleet")), (host.name, "")]
    words = (
        "Its energy is given the grid, PUE, water and price of that site, for all its hours; making the server itself "
        "is carried by its devices."
    )
    context = {
        "title": f"Place {host.name}",
        "form": form,
        "crumbs": crumbs,
        "wide": True,
        "lead": words,
        "cancel_url": reverse("fleet"),
    }
    return render(request, "accounting/form_page.html", context)


def _place(request: HttpRequest, form: HostForm) -> None:
    """Restates the hours of its devices, and marks those that hang on its draw where it stood as where it stands."""
    rows, now = LedgerHour.objects.filter(device__host=form.instance), timezone.now()
    with transaction.atomic():
        hold_book()
        DirtyHour.objects.mark(rows.order_by().values_list("device_id", "hour").distinct(), now=now)
        host, changed = form.save(), form.changed_data
        if changed:
            moved = f"{host.name} was placed at {host.site or 'no site'}" if "site" in changed else ""
            reason = moved or f"what {host.name} is made of was corrected"
            cause = Cause(Restatement.Cause.PLACEMENT, site=host.site)
            restate(rows, reason=reason, actor=request.user, cause=cause, now=now)
        audit(actor=request.user, action="host.placed", subject=host, site=str(host.site or ""))
