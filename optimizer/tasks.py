"""What Celery is asked to do. Each task may be lost, repeated or reordered: the database decides what it changes."""

import uuid
from functools import partial

import structlog
from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from optimizer.dispatch import place
from optimizer.experiments.sweep import sweep_expired, waiting_for_a_nudge, without_outcome
from optimizer.models import Experiment
from optimizer.recommend import recommend_for_experiment as conclude

log = structlog.get_logger()
MISSED_HEARTBEATS = 4  # a machine is taken for silent after so many


@shared_task(name="optimizer.run_experiment")
def run_experiment(*, experiment_id: str, hardware_key: str) -> None:
    """Runs in the worker that consumes the queue `hardware.<key>`; nothing else may send it elsewhere."""
    from optimizer.worker.run import run_experiment as run  # torch's rooms: never loaded by the web process

    state = run(uuid.UUID(experiment_id), hardware_key=hardware_key, clock=timezone.now)
    log.info("experiment message", experiment=experiment_id, hardware=hardware_key, state=state or "not claimed")
    if state == Experiment.State.FINISHED:
        conclude(uuid.UUID(experiment_id), now=timezone.now())


@shared_task(name="optimizer.sweep_experiments")
def sweep_experiments() -> None:
    """Beat's: put right whatever a lost worker or a lost message left behind."""
    now = timezone.now()
    counts = sweep_expired(now=now, max_attempts=settings.GREENAI["max_attempts"])
    if any(counts.values()):
        log.warning("leases ran out", **counts)
    for experiment_id in without_outcome():
        conclude(experiment_id, now=now)
    for experiment_id in waiting_for_a_nudge(now=now, not_nudged_for_s=settings.GREENAI["lease_s"]):
        nudge(experiment_id)


@shared_task(name="optimizer.recommend_for_experiment")
def recommend_for_experiment(*, experiment_id: str) -> None:
    conclude(uuid.UUID(experiment_id), now=timezone.now())


def nudge_on_commit(experiment_id: uuid.UUID) -> None:
    """Place the experiment and tell its machine, once the caller's transaction is committed."""
    transaction.on_commit(partial(nudge, experiment_id))


def nudge(experiment_id: uuid.UUID) -> None:
    """Place a queued experiment and send its machine's worker a message. A message that is lost is sent again later."""
    silent_after_s = settings.GREENAI["heartbeat_s"] * MISSED_HEARTBEATS
    hardware = place(experiment_id, now=timezone.now(), silent_after_s=silent_after_s).hardware
    if hardware is None:
        return
    message = {"experiment_id": str(experiment_id), "hardware_key": hardware.key}
    try:
        run_experiment.apply_async(kwargs=message, queue=hardware.queue)
    except OperationalError as error:  # the broker is away: the sweeper sends it again
        log.warning("no message could be sent", experiment=str(experiment_id), error=str(error))
