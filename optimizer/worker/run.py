"""Run one experiment: claim it, measure it in a child, write down what came of it.

Whatever happens, the row ends in a state that another worker or the sweeper can go on from: a lost lease writes
nothing, a killed worker leaves a lease that runs out, a child that dies costs one attempt.
"""

import os
import threading
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import structlog
from django.conf import settings

from accounting.methods.units import J_PER_KWH
from optimizer.experiments.claim import Lease, LeaseLost, cancel_running, claim, give_back
from optimizer.experiments.submit import JOB_KIND, job_key
from optimizer.measure.protocol import Plan, PlannedVariant, ProtocolError
from optimizer.measure.summary import summarize
from optimizer.models import Experiment, Hardware
from optimizer.worker import artifacts
from optimizer.worker.marks import LAST_DELIVERY_S, Mark, Marker, Post, folder_of, post_to
from optimizer.worker.register import this_host_name
from optimizer.worker.save import save_failure, save_results
from optimizer.worker.stand_in import StandIn, agent_is_alive
from optimizer.worker.watch import (
    AttemptFailed,
    CancelRequested,
    Heard,
    Hopeless,
    MachineStopping,
    Watch,
    run_child,
)

STOPPING_PATIENCE_S = 2.0  # the server may be stopping too; the mark is sent after the next start
STOP = threading.Event()  # set when this worker process is told to end

log = structlog.get_logger()
Clock = Callable[[], datetime]


def run_experiment(experiment_id: uuid.UUID, *, hardware_key: str, clock: Clock) -> str | None:
    """Claim the experiment for this machine and run it to its end. Minutes to hours; blocks.

    Returns:
        The state it is in then; None where it was not to be had, or where the lease was lost on the way.
    """
    hardware = Hardware.objects.select_related("host__site").filter(key=hardware_key).first()
    lease = hardware and claim(
        experiment_id,
        hardware=hardware,
        owner=f"{hardware.name}, process {os.getpid()}",
        now=clock(),
        lease_s=settings.GREENAI["lease_s"],
        max_attempts=settings.GREENAI["max_attempts"],
    )
    if not hardware or not lease:
        return None
    rows = Experiment.objects.select_related("workload__team", "workload__project", "job")
    experiment = rows.get(pk=experiment_id)
    try:
        return _close(lease, lambda: _measure(lease, experiment, hardware, clock), clock)
    except LeaseLost as lost:
        log.warning("stopped: the lease was lost", reason=str(lost))
        return None


def _close(lease: Lease, measure: Callable[[], str], clock: Clock) -> str:
    """Bring every way an attempt can end to the state it means."""
    most = settings.GREENAI["max_attempts"]
    try:
        return measure()
    except CancelRequested:
        cancel_running(lease, now=clock())
        return Experiment.State.CANCELLED
    except MachineStopping:
        reason = "The machine stopped its worker; waiting to be tried again."
        return give_back(lease, reason=reason, now=clock(), max_attempts=most, counts=False)
    except Hopeless as hopeless:
        save_failure(lease, failures=hopeless.failures, reason=str(hopeless), now=clock())
        return Experiment.State.FAILED
    except (AttemptFailed, ProtocolError, OSError) as error:
        log.warning("an attempt failed", experiment=str(lease.experiment_id), reason=str(error))
        reason = f"Attempt {lease.attempt} failed: {error}"
        return give_back(lease, reason=reason, now=clock(), max_attempts=most)
    except LeaseLost:
        raise
    except Exception as error:  # a fault of ours: say so on the page, and let Celery log where it was
        reason = f"Attempt {lease.attempt} failed in the worker: {type(error).__name__}: {error}"
        give_back(lease, reason=reason, now=clock(), max_attempts=most)
        raise


def _measure(lease: Lease, experiment: Experiment, hardware: Hardware, clock: Clock) -> str:
    mark = _mark(experiment, clock(), hardware)
    journal = folder_of(hardware, settings.DATA_DIR) / f"{experiment.pk}-{lease.fence}.json"
    kept: dict[int, str] = {}

    def take(heard: Heard, folder: Path) -> None:
        baseline = heard.transcript.plan.baseline
        names = {at: built.artifact for at, built in heard.transcript.built.items() if at != baseline}
        kept.update(artifacts.keep(names, child_folder=folder, data_dir=settings.DATA_DIR, experiment_id=experiment.pk))

    post = post_to(settings.BASE_URL)
    stand_in = _stand_in(mark.host, post, folder_of(hardware, settings.DATA_DIR), now=clock())
    with stand_in or nullcontext(), Marker(mark, post=post, journal=journal) as marker:
        watch = Watch(lease, grams_per_j=_grams_per_j(experiment), clock=clock, stop=STOP, on_alive=marker.alive)
        workloads = settings.DATA_DIR / "workloads"
        workloads.mkdir(exist_ok=True)
        try:
            heard = run_child(
                lambda folder: _plan(experiment, workloads, folder),
                watch,
                import_from=settings.BASE_DIR,
                hide=_hidden(),
                keep=[workloads],
                take=take,
            )
        finally:
            marker.end(clock(), patience_s=STOPPING_PATIENCE_S if STOP.is_set() else LAST_DELIVERY_S)
    results = summarize(heard.transcript, heard.log)
    remarks = [*_confinement(heard.granted), marker.problem, stand_in.problem if stand_in else ""]
    save_results(
        lease,
        results,
        failures=heard.transcript.failures,
        artifacts=kept,
        remarks="\n".join(filter(None, remarks)),
        now=clock(),
    )
    return Experiment.State.FINISHED


def _plan(experiment: Experiment, workloads: Path, folder: Path) -> Plan:
    return Plan(
        workload=experiment.workload.builtin,
        folder=str(workloads),
        artifacts=str(folder),
        variants=tuple(
            PlannedVariant(variant.position, variant.technique, variant.parameters)
            for variant in experiment.variants.all()
        ),
        repeats=experiment.repeats,
        seed=experiment.seed,
    )


def _mark(experiment: Experiment, started: datetime, hardware: Hardware) -> Mark:
    workload = experiment.workload
    return Mark(
        job=job_key(experiment.pk),
        name=f"Optimize {workload.name}",
        kind=JOB_KIND,
        model=workload.builtin,
        team=workload.team.slug,
        project=workload.project.slug if workload.project else None,
        host=hardware.host.name if hardware.host else this_host_name(),
        started_at=started.isoformat(),
        alive_at=started.isoformat(),
    )


def _hidden() -> list[Path]:
    """What a model's code must not read: the data folder, and every file that a setting is read from."""
    named = (value for name, value in os.environ.items() if name.endswith("_FILE") and value.startswith("/"))
    return [settings.DATA_DIR, *map(Path, named)]


def _grams_per_j(experiment: Experiment) -> float | None:
    """Grams of CO2e for a joule at the device, at the best figures of the place and time; None where unknown."""
    context = experiment.carbon_context
    if not context:
        return None
    return context["intensity_g_per_kwh"]["mid"] * context["pue"]["mid"] / J_PER_KWH


def _confinement(granted: dict[str, str]) -> list[str]:
    """What the kernel did not grant, for people."""
    network, files = granted.get("network", "unknown"), granted.get("files", "unknown")
    remarks = [] if network == "none" else [f"The measured process was not cut off from the network: {network}."]
    return remarks + ([] if files == "hidden" else [f"The product's files were not hidden from it: {files}."])


def _stand_in(host_name: str, post: Post | None, folder: Path, *, now: datetime) -> StandIn | None:
    """Who meters this machine for the ledger where no agent does. Beside an agent the marks alone are posted."""
    if post is None or agent_is_alive(host_name, now=now):
        return None
    log.info("no agent meters this machine: the worker does, during the experiment", host=host_name)
    return StandIn(post=post, host_name=host_name, folder=folder / "spool")
