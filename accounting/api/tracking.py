"""For clients that track a job from inside it: who meters this machine, and whether a job's figures are final."""

from datetime import UTC, datetime
from typing import Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema

from accounting.api.asking import Narrowed, filters_of
from accounting.api.auth import INGEST, READER, visibility_of
from accounting.api.problem import Problem
from accounting.models import Job
from accounting.reports.job_progress import job_progress
from accounting.reports.metering import who_meters

router = Router(tags=["tracking"])
LONGEST = {"host": 255, "boot": 80}


class Known(Schema):
    device: str
    kind: str
    model: str


class Metered(Schema):
    """`here`: mark its devices and measure nothing. `elsewhere`: under another owner's token. `no`: nobody does."""

    metered: Literal["here", "elsewhere", "no"]
    host: str
    lasting: bool  # by an agent; else by a client inside a job, for as long as that runs
    devices: list[Known]


class JobState(Schema):
    """`complete`: ended, its readings have come, and the ledger has counted them. Else `pending` says what is missing.

    `start` and `end` hold all of it so far: ask `/api/v1/footprint` for them.
    """

    job: str
    team: str | None
    started_at: datetime | None
    ended_at: datetime | None
    start: datetime | None
    end: datetime | None
    complete: bool
    pending: list[str]


@router.get("/metering", auth=INGEST, response=Metered)
def metering(request: HttpRequest, host: str, boot: str = "") -> Metered:
    """Whether an agent was heard of lately on the machine of this host name, or of this boot of the kernel."""
    for name, value in (("host", host), ("boot", boot)):
        if len(value) > LONGEST[name] or "\x00" in value or (name == "host" and not value.strip()):
            raise Problem(422, "bad_parameters", f"{name}: 1 to {LONGEST[name]} characters without NUL")
    found = who_meters(request.auth, host=host, boot=boot, now=datetime.now(UTC))  # type: ignore[attr-defined]
    devices = [Known(device=one.key, kind=one.kind, model=one.model) for one in found.devices]
    return Metered(metered=found.metered, host=found.host, lasting=found.lasting, devices=devices)


@router.get("/job", auth=READER, response=JobState)
def job_state(request: HttpRequest, asked: Narrowed = Query(...)) -> JobState:  # noqa: B008  ninja's way
    """How far a job has come. `job` is required, `team` where several have one of that name."""
    if asked.job is None:
        raise Problem(422, "bad_parameters", "job: which one? Give the name that its scheduler or its client posts")
    found = filters_of(visibility_of(request), asked)
    job = Job.objects.select_related("team").get(pk=found["job_id"])
    progress = job_progress(job, now=datetime.now(UTC))
    return JobState(
        job=job.key, team=job.team.slug if job.team else None, started_at=job.started_at, ended_at=job.ended_at,
        start=progress.start, end=progress.end, complete=not progress.pending, pending=progress.pending,
    )  # fmt: skip
