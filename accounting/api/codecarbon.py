"""CodeCarbon's own server, as its tracker and its command line know it: /api/codecarbon/….

| address | what | who |
|---|---|---|
| POST runs, emissions | a tracker begins, a tracker tells: 201 | tokens with the scope ingest |
| POST totals | what the client's `emissions_endpoint` sends: totals since the start | the same |
| GET auth/check, organizations, projects, experiments, runs, … | `codecarbon_reads` | scope read or ingest |
| POST projects, experiments, projects/…/api-tokens | `codecarbon_reads` | ingest; a token: admin |

The client never sends anything twice and waits two seconds, so a post is kept and booked before the answer, and only a
database that does not answer is a server error.
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from accounting.api import codecarbon_reads as reads
from accounting.api.body import read_body
from accounting.api.codecarbon_asked import (
    LONGEST_S,
    MOST_BYTES,
    Asked,
    NewEmission,
    NewRun,
    NewTotal,
    Refused,
    answer,
    asked,
    read,
    refusal,
    utc,
    who,
)
from accounting.api.gate import patient_gate
from accounting.api.problem import Problem
from accounting.api.telemetry import TROUBLE
from accounting.ingest.codecarbon import UnknownRun, UnknownTeam, begin_run, run_of_client, take_emission, told_at
from accounting.ingest.formats.codecarbon import DEFAULT_EXPERIMENT
from accounting.ingest.shapes import EARLIEST
from accounting.ingest.store import latest_accepted
from accounting.models import ApiToken, CodeCarbonEmission

Scope = ApiToken.Scope
TRIES = 2  # a deadlock or a lock that was lost goes well the second time
QUARTER = timedelta(minutes=15)  # every offset from UTC is so many of them
log = structlog.get_logger(__name__)


@csrf_exempt
def codecarbon(request: HttpRequest, rest: str) -> HttpResponse:
    try:
        given = asked(rest)
        body = b""
        if request.method in ("POST", "PATCH"):
            body = read_body(request, most_bytes=MOST_BYTES, most_decoded_bytes=MOST_BYTES)
        with patient_gate().slot():
            return _tried(request, given, body)
    except Refused as refused:
        return refusal(refused)
    except Problem as problem:
        return refusal(Refused(problem.status, problem.detail))
    except UnknownRun as unknown:
        return refusal(Refused(404, str(unknown)))
    except UnknownTeam as unknown:
        return refusal(Refused(422, str(unknown)))


def _tried(request: HttpRequest, given: Asked, body: bytes) -> HttpResponse:
    for attempt in range(1, TRIES + 1):
        try:
            return _answered(request, given, body, now=datetime.now(UTC))
        except TROUBLE as error:
            log.warning("codecarbon post not stored", attempt=attempt, error=str(error).strip())
    raise Refused(503, "the database did not answer")


def _answered(request: HttpRequest, given: Asked, body: bytes, *, now: datetime) -> HttpResponse:
    post = _POSTS.get(given.parts) if request.method == "POST" else None
    if post is None:
        return reads.answered(request, given, body, now=now)
    return post(body, given, who(request, given, Scope.INGEST, now=now), now)


def _new_run(body: bytes, given: Asked, token: ApiToken, now: datetime) -> HttpResponse:
    said: NewRun = read(body, NewRun)
    run = begin_run(
        msgspec.structs.asdict(said) | {"timestamp": _plausible(said.timestamp, now)}, given.told, token=token, now=now
    )
    return answer(msgspec.structs.asdict(said) | {"id": run.pk}, 201)


def _new_emission(body: bytes, given: Asked, token: ApiToken, now: datetime) -> HttpResponse:
    said: NewEmission = read(body, NewEmission)
    at = _plausible(said.timestamp, now, duration_s=said.duration)
    row = _row(said, told_at(at), said.emissions_sum)
    return answer(take_emission(said.run_id, row, token=token, now=now), 201)


def _new_total(body: bytes, given: Asked, token: ApiToken, now: datetime) -> HttpResponse:
    """Local time without an offset, sent at once: the offset is the one that brings it nearest to now."""
    said: NewTotal = read(body, NewTotal)
    written = said.timestamp
    if written.tzinfo is None:
        written = written.replace(tzinfo=UTC)
        written -= QUARTER * round((written - now) / QUARTER)
    at = _plausible(written, now, duration_s=said.duration)
    run = run_of_client(said.run_id, token)
    if run is None:
        fields = msgspec.structs.asdict(said)
        began = at - timedelta(seconds=said.duration)
        kept = {name: value for name, value in fields.items() if name not in _OF_A_POST}
        kept |= {"timestamp": began, "experiment_id": said.experiment_id or DEFAULT_EXPERIMENT}
        told = given.told if given.told.pue is not None else replace(given.told, pue=said.pue)
        run = begin_run(kept, told, token=token, now=now, run_id=said.run_id)
    return answer(take_emission(run.pk, _row(said, told_at(at), said.emissions), token=token, now=now), 201)


_OF_A_POST = frozenset(
    {"run_id", "duration", "emissions", "energy_consumed", "cpu_energy", "gpu_energy", "ram_energy", "pue", "wue"}
)


def _row(said: Any, at_us: int, emissions_kg: float) -> CodeCarbonEmission:
    use = {name: value for name in _USE if (value := getattr(said, name, None)) is not None}
    return CodeCarbonEmission(
        id=uuid.uuid4(),
        at_us=at_us,
        duration_s=float(said.duration),
        energy_kwh=said.energy_consumed,
        cpu_kwh=said.cpu_energy or 0.0,
        gpu_kwh=said.gpu_energy or 0.0,
        ram_kwh=said.ram_energy or 0.0,
        emissions_kg=emissions_kg,
        wue=said.wue,
        use=use,
    )


_USE = (
    "cpu_power", "gpu_power", "ram_power", "cpu_utilization_percent", "gpu_utilization_percent",
    "ram_utilization_percent",
)  # fmt: skip


def _plausible(written: datetime, now: datetime, *, duration_s: float = 0.0) -> datetime:
    """In UTC. Raises Refused: 422 a clock that is wrong."""
    at = utc(written)
    if at > latest_accepted(now):
        detail = f"{at.isoformat()} lies in the future: set the host's clock"
        raise Refused(422, [{"loc": ["body", "timestamp"], "msg": detail, "type": "value_error"}])
    if at < EARLIEST + timedelta(seconds=max(duration_s, LONGEST_S)):
        detail = f"{at.isoformat()} lies before 2001: set the host's clock"
        raise Refused(422, [{"loc": ["body", "timestamp"], "msg": detail, "type": "value_error"}])
    return at


_POSTS: dict[tuple[str, ...], Callable[[bytes, Asked, ApiToken, datetime], HttpResponse]] = {
    ("runs",): _new_run,
    ("emissions",): _new_emission,
    ("totals",): _new_total,
}
