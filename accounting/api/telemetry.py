"""POST /api/v1/telemetry: bytes in, what became of them out. The message is docs/api.md's and accounting.agent.wire's.

A 200 comes after the commit and means: send nothing of this again. 4xx: sending the same again is no use. 503: do.
"""

import dataclasses
from datetime import UTC, datetime

import msgspec
import structlog
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from accounting.access import AccessDenied, authenticate
from accounting.agent.wire import MAX_BODY_BYTES, MAX_DECODED_BYTES, TelemetryReply
from accounting.api.body import read_body
from accounting.api.gate import ingest_gate
from accounting.api.problem import Problem, access_problem, database_problem, problem_response
from accounting.ingest.dirty import TooWide
from accounting.ingest.store import latest_accepted, store
from accounting.ingest.validate import EnvelopeError, parse
from accounting.models import ApiToken

TROUBLE = (OperationalError, InterfaceError, InternalError, IntegrityError)  # of the database: nothing was stored
ERRORS_SHOWN = 100  # `rejected` counts them all
log = structlog.get_logger(__name__)


@csrf_exempt
def telemetry(request: HttpRequest) -> HttpResponse:
    try:
        if request.method != "POST":
            raise Problem(405, "method_not_allowed", f"{request.method}: POST telemetry here", Allow="POST")
        with ingest_gate().slot():
            reply = _take(request, now=datetime.now(UTC))
    except Problem as problem:
        return problem_response(request, problem)
    shown = dataclasses.replace(reply, errors=reply.errors[:ERRORS_SHOWN])
    return HttpResponse(msgspec.json.encode(shown), content_type="application/json")


def _take(request: HttpRequest, *, now: datetime) -> TelemetryReply:
    try:
        token = authenticate(request.headers.get("Authorization"), scope=ApiToken.Scope.INGEST, now=now)
        body = read_body(request, most_bytes=MAX_BODY_BYTES, most_decoded_bytes=MAX_DECODED_BYTES)
        batch, errors = parse(body, latest=latest_accepted(now))
        return store(batch, token=token, now=now, errors=errors)
    except AccessDenied as denied:
        raise access_problem(denied) from denied
    except EnvelopeError as error:
        raise Problem(error.status, error.code, error.detail) from error
    except TooWide as error:
        raise Problem(413, "too_wide", str(error)) from error
    except TROUBLE as error:
        # Locked, down, full, read-only, out of time, or a team deleted under our feet: it may go well next time.
        log.warning("telemetry not stored", error=str(error).strip())
        raise database_problem() from error
