"""CodeCarbon's runs and posts into the database: kept as told, and booked as spans of energy. The only writer of both.

A run's posts may come in any order and more than once: the spans are those of the posts that are there. A late one
corrects the span of the one after it, by a higher revision. Posts of one run take turns.
"""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q

from accounting.agent.wire import DeviceInfo, EnergySpan, JobInfo, TelemetryBatch
from accounting.ingest.columns import EPOCH, microsecond
from accounting.ingest.formats.codecarbon import (
    DEFAULT_EXPERIMENT,
    Machine,
    Post,
    Stretch,
    drawn,
    machine_of,
    stretch,
    together,
)
from accounting.ingest.shapes import UNREADABLE
from accounting.ingest.store import store
from accounting.models import (
    ApiToken,
    CodeCarbonEmission,
    CodeCarbonExperiment,
    CodeCarbonRun,
    Device,
    Project,
    Team,
)

MOST_TEXT = 200
JOB_KIND = "codecarbon"
_AT_ONCE = 50  # rows read behind a late post; more only where several stand at one instant
log = structlog.get_logger(__name__)


class UnknownRun(LookupError):
    """Nobody made this run, or another team did."""


class UnknownTeam(LookupError):
    """The team that the address names is not there, or is another one than the token's."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the address says beside the message: see docs/codecarbon.md."""

    host: str = ""
    pue: float | None = None
    job: str = ""
    team: str = ""  # slug
    project: str = ""  # slug


def clean(value: object, longest: int = MOST_TEXT) -> str:
    """Text that every database takes."""
    return UNREADABLE.sub("", str(value if value is not None else ""))[:longest]


def mine(token: ApiToken) -> Q:
    """The experiments that a token speaks for; those of everyone where it speaks for the organisation."""
    if token.team_id is not None:
        return Q(team=token.team_id)
    return Q(team=None, site=token.site_id) if token.site_id is not None else Q()


def experiment_of(token: ApiToken, key: str, *, now: datetime, **said: Any) -> CodeCarbonExperiment:
    """The experiment of this id, made when it is new: a tracker may name one that nobody made here."""
    name = "CodeCarbon" if key == DEFAULT_EXPERIMENT else f"Experiment {key[:8]}"
    fresh = {"site_id": token.site_id, "name": name, "created_at": now} | said
    owner = {"team_id": token.team_id} if token.team_id is not None else {"team_id": None, "site_id": token.site_id}
    return CodeCarbonExperiment.objects.get_or_create(key=key, **owner, defaults=fresh)[0]


def begin_run(
    said: dict[str, Any], told: Told, *, token: ApiToken, now: datetime, run_id: uuid.UUID | None = None
) -> CodeCarbonRun:
    """Take in a run; nothing is booked before it tells of energy.

    Args:
        said: the fields of the client's run; `timestamp` is a datetime.
        run_id: where the client made the id itself; it is found again by it.

    Raises:
        UnknownTeam: the address names a team that is not there.
    """
    _refuse_team(told, token)
    experiment = experiment_of(token, clean(said["experiment_id"], 100), now=now)
    machine = {name: clean(v) if isinstance(v, str) else v for name, v in said.items() if name not in _NOT_MACHINE}
    is_process = said.get("tracking_mode") == CodeCarbonRun.Mode.PROCESS
    made_id = run_id or uuid.uuid4()
    run = CodeCarbonRun(
        id=made_id,
        experiment=experiment,
        mode=CodeCarbonRun.Mode.PROCESS if is_process else CodeCarbonRun.Mode.MACHINE,
        host_name=told.host or machine_of(machine).host_name,
        host_told=bool(told.host),
        job_key=told.job or job_key(made_id),
        job_told=bool(told.job),
        team_slug=told.team,
        pue_told=told.pue,
        project_slug=told.project,
        machine=machine,
        tells_totals=run_id is not None,
        began_at=said["timestamp"],
    )
    run.save(force_insert=True)
    return run


_NOT_MACHINE = frozenset({"timestamp", "experiment_id", "tracking_mode"})


def job_key(run_id: uuid.UUID) -> str:
    return f"codecarbon-{run_id}"


def _refuse_team(told: Told, token: ApiToken) -> None:
    if not told.team:
        return
    of_token = token.team.slug if token.team is not None else None
    if of_token not in (None, told.team) or not Team.objects.filter(slug=told.team).exists():
        raise UnknownTeam(f"team {told.team!r} is not there, or this token does not speak for it")


def take_emission(run_id: uuid.UUID, row: CodeCarbonEmission, *, token: ApiToken, now: datetime) -> uuid.UUID:
    """Keep a post and book what it says; the id under which it stands. The same again changes nothing.

    Args:
        row: a post that is not saved yet, without its run.

    Raises:
        UnknownRun: the token speaks for no such run.
    """
    with transaction.atomic():
        run = _run(run_id, token)
        row.run = run
        same = {"at_us": row.at_us, "duration_s": row.duration_s, "energy_kwh": row.energy_kwh}
        if found := CodeCarbonEmission.objects.filter(run=run, **same).order_by().first():
            return found.id
        row.save(force_insert=True)
        _book(run, row, token, now)
    return row.id


def run_of_client(run_id: uuid.UUID, token: ApiToken) -> CodeCarbonRun | None:
    """The run whose id its client made, where it told of it before.

    Raises:
        UnknownRun: someone else's.
    """
    run = CodeCarbonRun.objects.filter(pk=run_id).order_by().first()
    if run is not None:
        with transaction.atomic():
            return _run(run_id, token)
    return None


def _run(run_id: uuid.UUID, token: ApiToken) -> CodeCarbonRun:
    """The run, held until the transaction ends."""
    owner = Q(*[(f"experiment__{name}", value) for name, value in mine(token).children])
    runs = CodeCarbonRun.objects.select_for_update(of=("self",)).select_related("experiment__project")
    run = runs.filter(owner, pk=run_id).order_by().first()
    if run is None:
        raise UnknownRun(f"run {run_id} is not known to this token: POST it to /runs first")
    return run


def _book(run: CodeCarbonRun, row: CodeCarbonEmission, token: ApiToken, now: datetime) -> None:
    """First what the post changes of the one after it, which makes room for its own span."""
    of_run = CodeCarbonEmission.objects.filter(run=run)
    earlier = of_run.filter(at_us__lt=row.at_us).order_by("-at_us", "-duration_s", "-energy_kwh")[:_AT_ONCE]
    before = _instants(list(earlier), run)[:1]
    here, *after = _instants(list(of_run.filter(at_us__gte=row.at_us).order_by("at_us")[:_AT_ONCE]), run)[:2]
    corrects = bool(after) or len(here.rows) > 1
    if corrects:
        run.revision += 1
    if after:
        _store(run, after[0], stretch(after[0].post, here.post), token, now)
    _store(run, here, stretch(here.post, before[0].post if before else None), token, now, is_last=not after)
    started_us = stretch(here.post, before[0].post if before else None).started_us
    run.told_from_us = min(started_us, started_us if run.told_from_us is None else run.told_from_us)
    run.told_to_us = max(here.post.at_us, run.told_to_us or 0)
    run.save(update_fields=["told_from_us", "told_to_us", *(["revision"] if corrects else [])])


@dataclass(frozen=True, slots=True)
class _Instant:
    rows: list[CodeCarbonEmission]
    post: Post


def _instants(rows: Sequence[CodeCarbonEmission], run: CodeCarbonRun) -> list[_Instant]:
    found = []
    for _, several in groupby(rows, key=lambda row: row.at_us):
        of_instant = list(several)
        found.append(_Instant(of_instant, together(_post(row, run) for row in of_instant)))
    return found


def _post(row: CodeCarbonEmission, run: CodeCarbonRun) -> Post:
    energies = (row.energy_kwh, row.cpu_kwh, row.gpu_kwh, row.ram_kwh)
    return Post(row.at_us, row.duration_s, *energies, total=run.tells_totals)


def _store(
    run: CodeCarbonRun, at: _Instant, says: Stretch, token: ApiToken, now: datetime, *, is_last: bool = False
) -> None:
    process = run.pk.hex[:12] if run.mode == CodeCarbonRun.Mode.PROCESS else ""
    parts = drawn(says.post, _machine(run), pue=run.pue_told or 1.0, process=process)
    hole_from_us = says.hole_from_us
    if hole_from_us is None and any(row.hole_told for row in at.rows):
        hole_from_us = says.started_us  # what was said to be missing is not: the span of it shrinks onto known energy
    reach = {"host": run.host_name, "job": run.job_key, "source": "codecarbon", "revision": run.revision}
    ended = _instant(says.ended_us)
    spans = [
        EnergySpan(part.device.device, _instant(says.started_us), ended, part.energy_j, status=part.status,
                   run=f"codecarbon {run.pk}", **reach)
        for part in parts
    ]  # fmt: skip
    if hole_from_us is not None:
        spans += [
            EnergySpan(part.device.device, _instant(hole_from_us), ended, None, run=f"codecarbon {run.pk} lost",
                       **reach)
            for part in parts
        ]  # fmt: skip
        CodeCarbonEmission.objects.filter(pk__in=[row.pk for row in at.rows]).update(hole_told=True)
    devices = [_on_host(part.device, run.host_name) for part in parts]
    is_first = run.told_from_us is None or says.started_us < run.told_from_us
    batch = TelemetryBatch(devices=devices, jobs=[_job(run, says, token, is_first, is_last)], energy_spans=spans)
    reply = store(batch, token=token, now=now, protocol="codecarbon")
    if reply.rejected or reply.conflicts:
        log.warning("codecarbon post not booked whole", run=str(run.pk), errors=reply.errors, conflicts=reply.conflicts)
    if process:
        _carry_no_making(run, [device.device for device in devices if device.device.endswith(process)], says, token)


def _machine(run: CodeCarbonRun) -> Machine:
    return machine_of(run.machine)


def _on_host(device: DeviceInfo, host: str) -> DeviceInfo:
    return DeviceInfo(
        device.device, device.kind, device.model, memory_bytes=device.memory_bytes, host=host, units=device.units,
        total=device.total,
    )  # fmt: skip


def _job(run: CodeCarbonRun, says: Stretch, token: ApiToken, is_first: bool, is_last: bool) -> JobInfo:
    """The run's own job; of one that the address names only whose it is: others may tell of it too."""
    team = run.team_slug or None
    project = _project(run, owned=token.team_id is not None or team is not None)
    if run.job_told:
        return JobInfo(run.job_key, team=team, project=project)
    return JobInfo(
        run.job_key,
        name=clean(run),
        kind=JOB_KIND,
        team=team,
        project=project,
        started_at=_instant(says.started_us) if is_first else None,
        ended_at=_instant(says.ended_us) if is_last else None,
    )


def _project(run: CodeCarbonRun, *, owned: bool) -> str | None:
    project: Project | None = run.experiment.project
    return (run.project_slug or (project.slug if project is not None else None)) if owned else None


def _carry_no_making(run: CodeCarbonRun, keys: list[str], says: Stretch, token: ApiToken) -> None:
    """A process's share of a machine is no thing that was made; it is there as long as the run tells of it."""
    end = EPOCH + timedelta(microseconds=says.ended_us)
    hosts = {"host__team": token.team_id} if token.team_id is not None else {
        "host__team": None, "host__site": token.site_id
    }  # fmt: skip
    of_run = Device.objects.filter(Q(retired_at=None) | Q(retired_at__lt=end), key__in=keys, host__name=run.host_name)
    of_run.filter(**hosts).update(embodied_kg=0.0, retired_at=end, retirement=Device.Retirement.PASSED_ON)


def _instant(us: int) -> str:
    return (EPOCH + timedelta(microseconds=us)).isoformat()


def told_at(at: datetime) -> int:
    return microsecond(at)


SLUG = re.compile(r"[^a-z0-9]+")


def project_named(team: Team, name: str) -> Project:
    """The team's project of this name, made when it is new."""
    slug = SLUG.sub("-", name.lower()).strip("-")[:60] or "codecarbon"
    return Project.objects.get_or_create(team=team, slug=slug, defaults={"name": clean(name, 120)})[0]
