"""Jobs and the marks that say which device they held.

Whose job a name means: under a team's token, the team's. Under a site's token, the team that the item or the batch's
`jobs` list names; else that of the job which last marked one of the site's devices under that name; else nobody's.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from accounting.agent.wire import ItemError
from accounting.ingest.admit import Admitted
from accounting.ingest.columns import NO_JOB, microsecond
from accounting.ingest.fleet import Fleet
from accounting.models import ApiToken, Job, JobMark, Project

_JOB = Job._meta.db_table
JobKey = tuple[int | None, str]  # team, name
MarkKey = tuple[int, int, int]  # job, device, start


@dataclass(slots=True)
class Jobs:
    """What the job names of one batch stand for."""

    team_ids: dict[str, int]  # by slug
    owners: dict[str, int | None] = field(default_factory=dict)  # team by job name, where an item does not say
    by_key: dict[JobKey, Job] = field(default_factory=dict)
    moved: list[Job] = field(default_factory=list)  # known before, and now of another project

    def key(self, name: str, team: str | None = None) -> JobKey:
        return (self.team_ids[team] if team is not None else self.owners[name]), name

    def ids_of(self, names: list[str | None]) -> list[int]:
        ids = {name: NO_JOB if name is None else self.by_key[self.key(name)].pk for name in set(names)}
        return [ids[name] for name in names]


@dataclass(frozen=True, slots=True)
class Span:
    """A device's time in which what the ledger says may have changed."""

    device_id: int
    start_us: int
    end_us: int


def register_jobs(admitted: Admitted, *, token: ApiToken) -> Jobs:
    """Find or make every job the batch names, and take over what its `jobs` list says."""
    batch = admitted.batch
    items = (*batch.jobs, *batch.job_marks)
    names = {item.job for item in items} | ({sample.job for sample in batch.device_samples} - {None})
    names |= {use.job for use in batch.device_uses} | ({span.job for span in batch.energy_spans} - {None})
    jobs = Jobs(admitted.team_ids)
    if not names:
        return jobs
    known = _find(names)
    jobs.owners = _owners(names, items, jobs, known, token)
    wanted = {jobs.key(name) for name in names} | {jobs.key(item.job, item.team) for item in items}
    jobs.by_key = known | _make(wanted - known.keys())
    if batch.jobs:
        _describe(jobs, [(jobs.by_key[jobs.key(item.job, item.team)], item) for item in batch.jobs])
    return jobs


def keep_marks(
    admitted: Admitted, fleet: Fleet, jobs: Jobs, *, now_us: int, import_id: int | None = None
) -> tuple[list[Span], list[ItemError]]:
    """Open marks and close them; the spans that changed hands, and marks that had nothing to hold.

    A mark without a device holds every device of its host that is known by now. An end that was posted stays when the
    mark is posted again without one.
    """
    wanted, errors = _wanted_marks(admitted, fleet, jobs)
    standing = _standing_marks(wanted)
    spans, rows = [], []
    for key, end_us in sorted(wanted.items()):
        job_id, device_id, start_us = key
        if key not in standing:
            spans.append(Span(device_id, start_us, now_us if end_us is None else end_us))
        elif end_us in (None, standing[key]):
            continue
        else:
            ends = (end_us, now_us if standing[key] is None else standing[key])
            spans.append(Span(device_id, min(ends), max(ends)))
        mark = JobMark(job_id=job_id, device_id=device_id, started_at_us=start_us, ended_at_us=end_us)
        mark.file_import_id = import_id
        rows.append(mark)
    JobMark.objects.bulk_create(
        rows,
        500,
        update_conflicts=True,
        update_fields=["ended_at_us"],
        unique_fields=["job", "device", "started_at_us"],
    )
    return spans, errors


def _owners(
    names: set[str], items: tuple[Any, ...], jobs: Jobs, known: dict[JobKey, Job], token: ApiToken
) -> dict[str, int | None]:
    """The team each name means, where the item does not say."""
    if token.team_id is not None:
        return dict.fromkeys(names, token.team_id)
    said = {item.job: jobs.team_ids[item.team] for item in items if item.team is not None}
    asked = {name for team_id, name in known if team_id is not None} - said.keys()
    marked: dict[str, int | None] = {}
    if asked:
        marks = JobMark.objects.filter(
            job__key__in=asked, device__host__site=token.site_id, device__host__team=None
        ).order_by("started_at_us")
        marked = dict(marks.values_list("job__key", "job__team"))
    return dict.fromkeys(names) | marked | said


def _find(names: set[str]) -> dict[JobKey, Job]:
    """Known by team and key; the rest of a job comes when asked. One query, written out: nearly every batch asks it."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, team_id, key FROM {_JOB} WHERE key IN ({', '.join(['%s'] * len(names))})", sorted(names)
        )
        found = [Job.from_db(connection.alias, ["id", "team_id", "key"], row) for row in cursor.fetchall()]
    return {(job.team_id, job.key): job for job in found}


def _make(keys: set[JobKey]) -> dict[JobKey, Job]:
    if not keys:
        return {}
    ordered = sorted(keys, key=lambda key: (key[0] or 0, key[1]))
    new = [Job(team_id=team_id, key=name) for team_id, name in ordered]
    Job.objects.bulk_create(new, ignore_conflicts=True)  # another batch may have been first
    return _find({name for _, name in keys})


def _describe(jobs: Jobs, said: list[tuple[Job, Any]]) -> None:
    """Take over what is said; what is left empty stays as it was. A statement for each set of fields that changes."""
    project_ids = _projects({(job.team_id, item.project) for job, item in said if item.project is not None})
    changes: dict[tuple[str, ...], dict[int, Job]] = defaultdict(dict)
    for job, item in sorted(said, key=lambda pair: pair[0].pk):
        news = {name: getattr(item, name) for name in ("name", "kind", "model", "started_at", "ended_at")}
        if item.project is not None:
            news["project_id"] = project_ids[job.team_id, item.project]
        changed = {name: value for name, value in news.items() if value not in (None, "", getattr(job, name))}
        for name, value in changed.items():
            setattr(job, name, value)
        if changed:
            changes[tuple(sorted(changed))][job.pk] = job
        if "project_id" in changed:
            jobs.moved.append(job)
    for names, of_names in sorted(changes.items()):
        Job.objects.bulk_update(of_names.values(), [name.removesuffix("_id") for name in names], 500)


def _projects(named: set[tuple[int | None, str]]) -> dict[tuple[int | None, str], int]:
    """The projects of these (team, slug), made where they are new. Two queries at most where all are known."""
    if not named:
        return {}
    slugs = {slug for _, slug in named}
    for _ in range(2):
        rows = Project.objects.filter(slug__in=slugs).order_by().values_list("team_id", "slug", "pk")
        found = {(team_id, slug): pk for team_id, slug, pk in rows}
        if not (missing := named - found.keys()):
            break
        new = [Project(team_id=team_id, slug=slug, name=slug) for team_id, slug in sorted(missing, key=str)]
        Project.objects.bulk_create(new, ignore_conflicts=True)  # another batch may have been first
    return {key: found[key] for key in named}


def _wanted_marks(admitted: Admitted, fleet: Fleet, jobs: Jobs) -> tuple[dict[MarkKey, int | None], list[ItemError]]:
    wanted: dict[MarkKey, int | None] = {}
    errors = []
    for item, position in zip(admitted.batch.job_marks, admitted.positions["job_marks"], strict=True):
        held = fleet.device_ids_of(item.host) if item.device is None else [fleet.device_id(item.host, item.device)]
        if not held:
            host = item.host or fleet.own_host
            detail = f"host {host!r} has no devices yet: describe them under `devices` first"
            errors.append(ItemError("job_marks", position, "device", "no_devices", detail))
        job = jobs.by_key[jobs.key(item.job, item.team)]
        end_us = None if item.ended_at is None else microsecond(item.ended_at)
        for device_id in held:
            key = (job.pk, device_id, microsecond(item.started_at))
            wanted[key] = wanted.get(key) if end_us is None else end_us
    return wanted, errors


def _standing_marks(wanted: dict[MarkKey, int | None]) -> dict[MarkKey, int | None]:
    if not wanted:
        return {}
    job_ids, device_ids, starts = (set(part) for part in zip(*wanted, strict=True))
    marks = JobMark.objects.filter(
        job__in=job_ids, device__in=device_ids, started_at_us__range=(min(starts), max(starts))
    )
    return {(m.job_id, m.device_id, m.started_at_us): m.ended_at_us for m in marks}
