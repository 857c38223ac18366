"""What CodeCarbon's command line reads and makes: the organisation, projects, experiments, runs, and a token.

The organisation is this server's, a project a team's, an experiment what runs name. Ids of organisation and projects
are UUIDs made of our own numbers, as the client expects UUIDs.
"""

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse

from accounting.access import issue_token
from accounting.api.codecarbon_asked import (
    Asked,
    NewExperiment,
    NewOrganization,
    NewProject,
    Refused,
    answer,
    read,
    who,
)
from accounting.ingest.codecarbon import clean, experiment_of, mine, project_named
from accounting.models import ApiToken, CodeCarbonEmission, CodeCarbonExperiment, CodeCarbonRun, Project

ORGANISATION = uuid.UUID("67726565-6e61-4900-8000-000000000001")
_PROJECT = 0x677265656E61490180 << 56  # before a project's own number
_NUMBERS = (1 << 56) - 1
LISTED = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Scope = ApiToken.Scope
Answer = Callable[[ApiToken, list[str], datetime], Any]


def answered(request: HttpRequest, given: Asked, body: bytes, *, now: datetime) -> HttpResponse:
    """Everything but a tracker's posts."""
    method = request.method or ""
    shape = (method, *("*" if at in _VARIABLE.get(given.parts[0], ()) else part for at, part in enumerate(given.parts)))
    if shape in _READS:
        token = who(request, given, Scope.READ, Scope.INGEST, now=now)
        return answer(_READS[shape](token, list(given.parts), now))
    if shape in _WRITES:
        make, scope, status = _WRITES[shape]
        token = who(request, given, scope, now=now)
        return answer(make(token, list(given.parts), body, now), status)
    known = {one[1:] for one in (*_READS, *_WRITES)}
    if shape[1:] in known or given.parts in (("runs",), ("emissions",), ("totals",)):
        raise Refused(405, "Method Not Allowed")
    raise Refused(404, "Not Found")


def _check(token: ApiToken, parts: list[str], now: datetime) -> dict[str, Any]:
    speaks_for = str(token.team or token.site or "the organisation")
    return {"user": {"id": token.public_id, "name": token.name, "organizations": [str(ORGANISATION)]},
            "speaks_for": speaks_for, "scopes": token.scopes}  # fmt: skip


def _organisation(token: ApiToken, parts: list[str], now: datetime) -> dict[str, str]:
    if len(parts) > 1 and parts[1] != str(ORGANISATION):
        raise Refused(404, f"organization {parts[1][:60]} not found: this server has one, {ORGANISATION}")
    return {"id": str(ORGANISATION), "name": "GreenAI", "description": "The organisation of this server"}


def _organisations(token: ApiToken, parts: list[str], now: datetime) -> list[dict[str, str]]:
    return [_organisation(token, [], now)]


def _make_organisation(token: ApiToken, parts: list[str], body: bytes, now: datetime) -> dict[str, str]:
    said: NewOrganization = read(body, NewOrganization)
    ours = _organisation(token, parts, now)
    if said.name != ours["name"]:
        raise Refused(403, f"this server has one organisation, {ours['name']}: choose it instead of making another")
    return ours


def _projects_of(token: ApiToken) -> QuerySet[Project]:
    if token.team_id is not None:
        return Project.objects.filter(team=token.team_id)
    return Project.objects.none() if token.site_id is not None else Project.objects.all()


def project_uuid(pk: int) -> uuid.UUID:
    return uuid.UUID(int=_PROJECT | pk)


def _project_row(project: Project) -> dict[str, Any]:
    return {"id": str(project_uuid(project.pk)), "name": project.name, "description": "",
            "organization_id": str(ORGANISATION), "public": False}  # fmt: skip


def _project_at(token: ApiToken, written: str) -> Project:
    try:
        number = uuid.UUID(written).int
    except ValueError:
        number = 0
    found = (
        _projects_of(token).select_related("team").filter(pk=number & _NUMBERS).first()
        if number & ~_NUMBERS == _PROJECT
        else None
    )
    if found is None:
        raise Refused(404, f"project {written[:60]} not found")
    return found


def _projects(token: ApiToken, parts: list[str], now: datetime) -> list[dict[str, Any]]:
    _organisation(token, parts, now)
    return [_project_row(project) for project in _projects_of(token).order_by("name", "pk")[:LISTED]]


def _project(token: ApiToken, parts: list[str], now: datetime) -> dict[str, Any]:
    return _project_row(_project_at(token, parts[1]))


def _make_project(token: ApiToken, parts: list[str], body: bytes, now: datetime) -> dict[str, Any]:
    said: NewProject = read(body, NewProject)
    if token.team is None:
        raise Refused(403, "a project is a team's: use a team's token")
    return _project_row(project_named(token.team, clean(said.name)))


def _make_token(token: ApiToken, parts: list[str], body: bytes, now: datetime) -> dict[str, Any]:
    project = _project_at(token, parts[1])
    name = f"CodeCarbon, {project.name}"[:120]
    made, secret = issue_token(name=name, scopes=[Scope.INGEST], team=project.team, created_by=token.created_by)
    return {"id": made.public_id, "project_id": parts[1], "name": name, "token": secret, "access": 2}


def _experiments_of(token: ApiToken) -> QuerySet[CodeCarbonExperiment]:
    return CodeCarbonExperiment.objects.filter(mine(token)).select_related("project")


def _experiment_row(experiment: CodeCarbonExperiment) -> dict[str, Any]:
    project = None if experiment.project_id is None else str(project_uuid(experiment.project_id))
    return {"id": experiment.key, "timestamp": experiment.created_at, "name": experiment.name,
            "description": experiment.description, "project_id": project, **_NOWHERE, **experiment.place}  # fmt: skip


_NOWHERE: dict[str, Any] = {
    "on_cloud": False, "country_name": None, "country_iso_code": None, "region": None, "cloud_provider": None,
    "cloud_region": None,
}  # fmt: skip


def _experiment_at(token: ApiToken, written: str) -> CodeCarbonExperiment:
    found = _experiments_of(token).filter(key=written).first()
    if found is None:
        raise Refused(404, f"experiment {written[:60]} not found")
    return found


def _experiment(token: ApiToken, parts: list[str], now: datetime) -> dict[str, Any]:
    return _experiment_row(_experiment_at(token, parts[1]))


def _experiments(token: ApiToken, parts: list[str], now: datetime) -> list[dict[str, Any]]:
    project = _project_at(token, parts[1])
    return [_experiment_row(one) for one in _experiments_of(token).filter(project=project)[:LISTED]]


def _make_experiment(token: ApiToken, parts: list[str], body: bytes, now: datetime) -> dict[str, Any]:
    said: NewExperiment = read(body, NewExperiment)
    project = _project_at(token, said.project_id)
    place = {name: clean(v) if isinstance(v, str) else v for name in _NOWHERE if (v := getattr(said, name)) is not None}
    fields = {
        "name": clean(said.name),
        "description": clean(said.description, 2000),
        "project": project,
        "place": place,
    }
    return _experiment_row(experiment_of(token, str(uuid.uuid4()), now=now, **fields))


def _runs_of(token: ApiToken) -> QuerySet[CodeCarbonRun]:
    return CodeCarbonRun.objects.filter(experiment__in=_experiments_of(token).values("pk")).select_related("experiment")


def _run_row(run: CodeCarbonRun) -> dict[str, Any]:
    return {"id": str(run.pk), "timestamp": run.began_at, "experiment_id": run.experiment.key,
            "tracking_mode": run.mode, **run.machine}  # fmt: skip


def _run_at(token: ApiToken, written: str) -> CodeCarbonRun:
    try:
        found = _runs_of(token).filter(pk=uuid.UUID(written)).first()
    except ValueError:
        found = None
    if found is None:
        raise Refused(404, f"run {written[:60]} not found")
    return found


def _run(token: ApiToken, parts: list[str], now: datetime) -> dict[str, Any]:
    return _run_row(_run_at(token, parts[1]))


def _runs(token: ApiToken, parts: list[str], now: datetime) -> list[dict[str, Any]]:
    runs = _runs_of(token)
    if parts[0] == "experiments":
        runs = runs.filter(experiment=_experiment_at(token, parts[1]))
    return [_run_row(run) for run in runs[:LISTED]]


def _last_run(token: ApiToken, parts: list[str], now: datetime) -> dict[str, Any] | None:
    runs = _runs_of(token).filter(experiment__project=_project_at(token, parts[2]))
    last = runs.order_by("-began_at").first()
    return _run_row(last) if last else None


def _emissions(token: ApiToken, parts: list[str], now: datetime) -> dict[str, Any]:
    """As a page that holds everything, up to a limit."""
    run = _run_at(token, parts[1])
    of_run = CodeCarbonEmission.objects.filter(run=run).order_by("at_us")
    rows = [_emission_row(row, run) for row in of_run[: 10 * LISTED]]
    return {"items": rows, "total": of_run.count(), "page": 1, "size": len(rows), "pages": 1}


def _emission_row(row: CodeCarbonEmission, run: CodeCarbonRun) -> dict[str, Any]:
    return {
        "id": str(row.pk), "run_id": str(run.pk), "timestamp": EPOCH + timedelta(microseconds=row.at_us),
        "duration": row.duration_s, "emissions_sum": row.emissions_kg,
        "emissions_rate": row.emissions_kg / row.duration_s, "energy_consumed": row.energy_kwh,
        "cpu_energy": row.cpu_kwh, "gpu_energy": row.gpu_kwh, "ram_energy": row.ram_kwh, "wue": row.wue, **row.use,
    }  # fmt: skip


def _sums(token: ApiToken, parts: list[str], now: datetime) -> list[dict[str, Any]]:
    """Each run's posts added up, as posted."""
    runs = _runs_of(token).filter(experiment=_experiment_at(token, parts[1]))[:LISTED]
    return [_run_row(run) | _sum_of(run) for run in runs]


def _sum_of(run: CodeCarbonRun) -> dict[str, Any]:
    of_run = CodeCarbonEmission.objects.filter(run=run).order_by()
    if run.tells_totals:
        of_run = of_run.filter(pk__in=of_run.order_by("-duration_s").values("pk")[:1])
    sums = of_run.aggregate(
        emissions=Sum("emissions_kg"), energy_consumed=Sum("energy_kwh"), duration=Sum("duration_s"),
        cpu_energy=Sum("cpu_kwh"), gpu_energy=Sum("gpu_kwh"), ram_energy=Sum("ram_kwh"), emissions_count=Count("pk"),
    )  # fmt: skip
    return {"run_id": str(run.pk), **{name: value or 0 for name, value in sums.items()}}


_VARIABLE: dict[str, Iterable[int]] = {
    "organizations": (1,), "projects": (1,), "experiments": (1,), "runs": (1,), "lastrun": (2,),
}  # fmt: skip
_READS: dict[tuple[str, ...], Answer] = {
    ("GET", "auth", "check"): _check,
    ("GET", "organizations"): _organisations,
    ("GET", "organizations", "*"): _organisation,
    ("GET", "organizations", "*", "projects"): _projects,
    ("GET", "projects", "*"): _project,
    ("GET", "projects", "*", "experiments"): _experiments,
    ("GET", "experiments", "*"): _experiment,
    ("GET", "experiments", "*", "runs"): _runs,
    ("GET", "experiments", "*", "runs", "sums"): _sums,
    ("GET", "runs"): _runs,
    ("GET", "runs", "*"): _run,
    ("GET", "runs", "*", "emissions"): _emissions,
    ("GET", "lastrun", "project", "*"): _last_run,
}
_WRITES: dict[tuple[str, ...], tuple[Callable[[ApiToken, list[str], bytes, datetime], Any], ApiToken.Scope, int]] = {
    ("POST", "organizations"): (_make_organisation, Scope.INGEST, 201),
    ("PATCH", "organizations", "*"): (_make_organisation, Scope.INGEST, 200),
    ("POST", "projects"): (_make_project, Scope.INGEST, 201),
    ("POST", "experiments"): (_make_experiment, Scope.INGEST, 201),
    ("POST", "projects", "*", "api-tokens"): (_make_token, Scope.ADMIN, 201),
}
