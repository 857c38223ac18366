"""Who runs an experiment now: a lease that expires, and a fence that rises with every claim.

Each function is one guarded update whose row count is checked. A worker that lost its lease (a stopped clock, a slow
disk, a second message) finds its fence outdated and changes nothing.
"""

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce

from accounting.models import Job
from optimizer.experiments.machines import usable_by
from optimizer.experiments.states import before
from optimizer.models import Experiment, Hardware

State = Experiment.State


class LeaseLost(Exception):
    """Another claim, a cancellation or the sweeper came first: this worker must stop and write nothing more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one experiment until it expires. Valid only while the row carries the same fence."""

    experiment_id: uuid.UUID
    fence: int
    attempt: int
    lease_s: float


@dataclass(frozen=True, slots=True)
class Progress:
    """What a person sees while an experiment runs."""

    step: str
    percent: float
    eta_s: float | None = None
    power_w: float | None = None  # the machine's draw now, before cooling
    energy_j: float = 0.0  # of this attempt so far, before cooling
    co2e_g: float | None = None  # of this attempt so far, with cooling; None where no intensity is known


@transaction.atomic
def claim(
    experiment_id: uuid.UUID, *, hardware: Hardware, owner: str, now: datetime, lease_s: float, max_attempts: int
) -> Lease | None:
    """Take an experiment that waits for this machine, or whose last runner fell silent; None when it is not to be had.

    One experiment at a time on one machine: its row is locked, so that two claims for it stand in line.
    """
    experiment = Experiment.objects.select_related("workload__team").filter(pk=experiment_id).first()
    if experiment is None:
        return None
    machine = usable_by(experiment.workload.team).filter(pk=hardware.pk).order_by()
    if not list(machine.select_for_update().values_list("pk")):
        return None
    free = Q(state=State.QUEUED) | Q(state=State.RUNNING, lease_expires_at__lte=now)
    other = Experiment.objects.filter(hardware_id=hardware.pk, state=State.RUNNING, lease_expires_at__gt=now)
    taken = Experiment.objects.filter(
        free, ~Exists(other.exclude(pk=OuterRef("pk"))), pk=experiment_id, hardware_id=hardware.pk,
        attempt__lt=max_attempts, cancel_requested_at=None,
    ).update(
        state=State.RUNNING, fence=F("fence") + 1, attempt=F("attempt") + 1, lease_owner=owner,
        lease_expires_at=now + timedelta(seconds=lease_s), started_at=Coalesce("started_at", now), explanation="",
        step="Starting", percent=0.0, eta_s=None, power_w=None, energy_j=0.0, co2e_g=None,
    )  # fmt: skip
    if taken != 1:
        return None
    Job.objects.filter(experiment=experiment_id, started_at=None).update(started_at=now)
    fence, attempt = Experiment.objects.values_list("fence", "attempt").get(pk=experiment_id)
    return Lease(experiment_id, fence, attempt, lease_s)


def renew(lease: Lease, *, now: datetime) -> bool:
    """Extend the lease; True when someone asked for the experiment to be cancelled.

    Raises:
        LeaseLost: it is no longer this worker's.
    """
    return _extend(lease, now)


def report(lease: Lease, progress: Progress, *, now: datetime) -> bool:
    """Write progress and extend the lease; True when someone asked for the experiment to be cancelled.

    Raises:
        LeaseLost: it is no longer this worker's; nothing was written.
    """
    return _extend(lease, now, **asdict(progress))


def finish(lease: Lease, *, now: datetime, remarks: str = "") -> None:
    """Close as finished. Call it first in the transaction that writes the measurements: the row is then locked.

    Args:
        remarks: what a person should know of this run, beside its outcome.

    Raises:
        LeaseLost: it is no longer this worker's; roll back.
    """
    _close(lease, State.FINISHED, now, step="Done", percent=100.0, explanation=remarks)


def fail(lease: Lease, *, reason: str, now: datetime) -> None:
    """Close as failed for a reason that another attempt would meet again."""
    _close(lease, State.FAILED, now, explanation=reason)


def cancel_running(lease: Lease, *, now: datetime) -> None:
    """Close as cancelled, once the child has stopped."""
    _close(lease, State.CANCELLED, now, explanation="Cancelled while it ran.")


@transaction.atomic
def give_back(lease: Lease, *, reason: str, now: datetime, max_attempts: int, counts: bool = True) -> str:
    """Hand the experiment back after an attempt that came to nothing; the state it is in then.

    Args:
        counts: False when the attempt is not the experiment's fault: the machine was told to stop.
    """
    row = Experiment.objects.select_for_update().only("cancel_requested_at").get(pk=lease.experiment_id)
    if row.cancel_requested_at is not None:  # nobody would claim it again
        cancel_running(lease, now=now)
        return State.CANCELLED
    if counts and lease.attempt >= max_attempts:
        _close(lease, State.QUARANTINED, now, explanation=quarantine_reason(lease.attempt, reason))
        return State.QUARANTINED
    _guarded(
        lease, State.QUEUED, explanation=reason, attempt=F("attempt") - (0 if counts else 1), step="Waiting",
        lease_owner="", lease_expires_at=None, eta_s=None, power_w=None, nudged_at=None,
    )  # fmt: skip
    return State.QUEUED


@transaction.atomic
def request_cancel(experiment_id: uuid.UUID, *, now: datetime) -> bool:
    """Cancel a waiting experiment at once, ask a running one to stop; False when there is nothing left to cancel."""
    rows = Experiment.objects.filter(pk=experiment_id)
    waiting = rows.filter(state=State.QUEUED)
    if waiting.update(
        state=State.CANCELLED, finished_at=now, cancel_requested_at=now, explanation="Cancelled before it ran."
    ):
        end_job(experiment_id, now)
        return True
    return bool(rows.filter(state=State.RUNNING, cancel_requested_at=None).update(cancel_requested_at=now))


def quarantine_reason(attempts: int, last: str) -> str:
    return f"Set aside after {attempts} attempts that did not finish. The last one: {last}"


def end_job(experiment_id: uuid.UUID, now: datetime) -> None:
    """An experiment that never ran leaves a job without times, so that it shows in no list of past work."""
    Job.objects.filter(experiment=experiment_id, ended_at=None).exclude(started_at=None).update(ended_at=now)


def _extend(lease: Lease, now: datetime, **columns: Any) -> bool:
    rows = Experiment.objects.filter(pk=lease.experiment_id, fence=lease.fence, state=State.RUNNING)
    if rows.update(lease_expires_at=now + timedelta(seconds=lease.lease_s), **columns) != 1:
        raise _lost(lease)
    return Experiment.objects.filter(pk=lease.experiment_id).exclude(cancel_requested_at=None).exists()


@transaction.atomic
def _close(lease: Lease, state: str, now: datetime, **columns: Any) -> None:
    _guarded(lease, state, finished_at=now, lease_owner="", lease_expires_at=None, eta_s=None, power_w=None, **columns)
    end_job(lease.experiment_id, now)


def _guarded(lease: Lease, after: str, **columns: Any) -> None:
    rows = Experiment.objects.filter(pk=lease.experiment_id, fence=lease.fence, state=State.RUNNING)
    if rows.filter(state__in=before(after)).update(state=after, **columns) != 1:
        raise _lost(lease)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"experiment {lease.experiment_id}: fence {lease.fence} is outdated, another claim holds it")
