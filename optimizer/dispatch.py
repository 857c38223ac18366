"""Where a queued experiment goes: an approved machine that its team may use, that is alive, and that it fits on."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Q

from accounting.reports.queries import carbon_rate
from optimizer.experiments.builtin import builtin
from optimizer.experiments.machines import usable_by
from optimizer.models import Experiment, Hardware

State = Experiment.State


@dataclass(frozen=True, slots=True)
class Placement:
    """The machine an experiment was given, or why it has to wait."""

    hardware: Hardware | None
    reason: str = ""


@transaction.atomic
def place(experiment_id: uuid.UUID, *, now: datetime, silent_after_s: float) -> Placement:
    """Choose a machine for a queued experiment and write it down, or write down why none fits.

    The caller sends the machine's worker a message after the commit. Placing twice is harmless: a claim takes only what
    is still meant for its machine.
    """
    rows = Experiment.objects.select_for_update(of=("self",)).select_related("workload__team")
    experiment = rows.filter(pk=experiment_id, state=State.QUEUED).first()
    if experiment is None:
        return Placement(None, "not waiting")
    placement = choose(experiment, now=now, silent_after_s=silent_after_s)
    if placement.hardware is None:
        Experiment.objects.filter(pk=experiment_id).update(hardware=None, step=placement.reason[:200])
    else:
        host = placement.hardware.host
        Experiment.objects.filter(pk=experiment_id).update(
            hardware=placement.hardware,
            nudged_at=now,
            step=f"Waiting for {placement.hardware.name}"[:200],
            carbon_context=carbon_rate(host.site if host else None, now=now).as_json(),
        )
    return placement


def choose(experiment: Experiment, *, now: datetime, silent_after_s: float) -> Placement:
    """The fitting machine with the fewest experiments before it; the reason where there is none."""
    usable = usable_by(experiment.workload.team)
    if not usable.exists():
        return Placement(None, _why_none_usable())
    alive = usable.select_related("host__site").filter(heartbeat_at__gt=now - timedelta(seconds=silent_after_s))
    open_ones = Q(experiments__state__in=(State.QUEUED, State.RUNNING)) & ~Q(experiments=experiment.pk)
    by_queue = alive.annotate(before=Count("experiments", filter=open_ones)).order_by("before", "name")
    fitting = [hardware for hardware in by_queue if not _misfit(experiment, hardware)]
    if fitting:
        return Placement(fitting[0])
    if by_queue:
        return Placement(None, f"No machine is large enough. {_misfit(experiment, by_queue[0])}")
    names = ", ".join(usable.values_list("name", flat=True)[:3])
    return Placement(None, f"No machine answers: {names} sent no sign of life for {silent_after_s:.0f} s")


def _misfit(experiment: Experiment, hardware: Hardware) -> str:
    """Why the experiment does not fit on this machine; empty where it does or where the machine says too little."""
    needed = builtin(experiment.workload.builtin).memory_bytes
    there = hardware.capabilities.get("memory_bytes")
    if there is not None and there < needed:
        return f"{hardware.name} has {there / 2**30:.1f} GiB of memory, {needed / 2**30:.1f} are needed"
    return ""


def _why_none_usable() -> str:
    if Hardware.objects.filter(state=Hardware.State.APPROVED).exists():
        return "No machine is open to this team: an administrator can change that under Hardware"
    if Hardware.objects.filter(state=Hardware.State.PENDING).exists():
        return "No machine is approved yet: an administrator can approve one under Hardware"
    return "No machine has registered: start `manage.py hardware_worker` on one"
