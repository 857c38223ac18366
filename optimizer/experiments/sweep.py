"""What no worker is left to do: experiments whose runner fell silent, and those that still wait for a nudge."""

import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from optimizer.experiments.claim import end_job, quarantine_reason
from optimizer.models import Experiment

State = Experiment.State


@transaction.atomic
def sweep_expired(*, now: datetime, max_attempts: int) -> dict[str, int]:
    """Requeue, cancel or set aside every running experiment whose lease ran out; how many of each.

    Requeuing makes the silent worker's fence void: whatever it still writes is refused, also before the next claim.
    """
    counts = {"requeued": 0, "cancelled": 0, "quarantined": 0}
    expired = Experiment.objects.filter(state=State.RUNNING, lease_expires_at__lte=now)
    for experiment in expired.select_for_update().only("pk", "attempt", "fence", "lease_owner", "cancel_requested_at"):
        silent = f"the worker {experiment.lease_owner or 'unknown'} fell silent."
        guarded = expired.filter(pk=experiment.pk, fence=experiment.fence)
        gone = {"lease_owner": "", "lease_expires_at": None, "eta_s": None, "power_w": None}
        if experiment.cancel_requested_at is not None:
            reason = f"Cancelled; {silent}"
            counts["cancelled"] += guarded.update(state=State.CANCELLED, finished_at=now, explanation=reason, **gone)
        elif experiment.attempt >= max_attempts:
            reason = quarantine_reason(experiment.attempt, silent)
            counts["quarantined"] += guarded.update(
                state=State.QUARANTINED, finished_at=now, explanation=reason, **gone
            )
        else:
            reason = f"Attempt {experiment.attempt} did not finish: {silent} Waiting to be tried again."
            counts["requeued"] += guarded.update(
                state=State.QUEUED, explanation=reason, step="Waiting", nudged_at=None, **gone
            )
            continue
        end_job(experiment.pk, now)
    return counts


def waiting_for_a_nudge(*, now: datetime, not_nudged_for_s: float) -> list[uuid.UUID]:
    """Queued experiments, oldest first, that no message was sent for lately and whose machine is not busy."""
    stale = now - timedelta(seconds=not_nudged_for_s)
    busy = Experiment.objects.filter(state=State.RUNNING, hardware_id=OuterRef("hardware_id"))
    waiting = Experiment.objects.filter(Q(nudged_at=None) | Q(nudged_at__lte=stale), state=State.QUEUED)
    return list(waiting.exclude(Exists(busy)).order_by("created_at").values_list("pk", flat=True))


def without_outcome() -> list[uuid.UUID]:
    """Finished experiments that nobody has drawn a conclusion from yet."""
    finished = Experiment.objects.filter(state=State.FINISHED, outcome=Experiment.Outcome.NONE)
    return list(finished.order_by("finished_at").values_list("pk", flat=True))
