"""Machines that run experiments: who they are, whether they live, who may use them."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounting.access import audit, can_administer
from optimizer.experiments.states import OPEN
from optimizer.forms import HardwareTeamsForm
from optimizer.models import Hardware
from optimizer.tasks import MISSED_HEARTBEATS
from optimizer.views import scope


@login_required
def index(request: HttpRequest) -> HttpResponse:
    open_ones = Count("experiments", filter=Q(experiments__state__in=OPEN))
    machines = Hardware.objects.select_related("host").prefetch_related("teams").annotate(open_experiments=open_ones)
    context = {
        "title": "Hardware",
        "machines": [_line(machine) for machine in machines],
        "may_administer": can_administer(request.user),
        "worker_command": "python manage.py hardware_worker",
    }
    return render(request, "optimizer/hardware.html", context)


@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Which teams may use it. GET shows it to everyone, POST is for administrators."""
    machine = get_object_or_404(Hardware.objects.select_related("host", "approved_by"), pk=pk)
    form = HardwareTeamsForm(instance=machine)
    if request.method == "POST":
        scope.require_administrator(request)
        form = HardwareTeamsForm(request.POST, instance=machine)
        if form.is_valid():
            with transaction.atomic():
                form.save()
                names = [str(team) for team in machine.teams.all()]
                audit(actor=request.user, action="hardware.teams", subject=machine, teams=names)
            return redirect("hardware")
    context = {
        "title": machine.name,
        "crumbs": [("Hardware", reverse("hardware")), (machine.name, "")],
        "form": form,
        "may_administer": can_administer(request.user),
        **_line(machine),
    }
    return render(request, "optimizer/hardware_detail.html", context)


@login_required
@require_POST
def set_state(request: HttpRequest, pk: int) -> HttpResponse:
    scope.require_administrator(request)
    machine = get_object_or_404(Hardware, pk=pk)
    state = request.POST.get("state", "")
    if state not in (Hardware.State.APPROVED, Hardware.State.RETIRED):
        raise BadRequest(f"{state!r} is not a state that can be chosen: approved or retired")
    with transaction.atomic():
        machine.state = state
        if state == Hardware.State.APPROVED:
            machine.approved_by, machine.approved_at = request.user, timezone.now()
        machine.save(update_fields=["state", "approved_by", "approved_at"])
        audit(actor=request.user, action=f"hardware.{state}", subject=machine)
    return redirect("hardware")


def _line(machine: Hardware) -> dict[str, object]:
    """A machine with what only the clock tells: whether it still gives signs of life."""
    silent_after = timedelta(seconds=settings.GREENAI["heartbeat_s"] * MISSED_HEARTBEATS)
    alive = machine.heartbeat_at is not None and machine.heartbeat_at > timezone.now() - silent_after
    tones = {Hardware.State.PENDING: "warn", Hardware.State.APPROVED: "good", Hardware.State.RETIRED: ""}
    return {"machine": machine, "alive": alive, "tone": tones[Hardware.State(machine.state)]}
