"""POST /v1/metrics: OpenTelemetry's metrics over HTTP (OTLP), protobuf or JSON. See docs/opentelemetry.md.

A 200 comes after the commit. What it says was rejected can never be taken and is not to be sent again; all the rest was
kept. 503 may go well next time. Refusals are google.rpc.Status in the request's own encoding, as the protocol wants.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec
import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from accounting.access import AccessDenied, authenticate
from accounting.agent.wire import TelemetryReply
from accounting.api.body import read_body
from accounting.api.gate import ingest_gate
from accounting.api.problem import Problem, access_problem, database_problem
from accounting.api.telemetry import TROUBLE
from accounting.ingest.dirty import TooWide
from accounting.ingest.formats.otlp import Translated, batches, translate
from accounting.ingest.formats.otlp_wire import Metric, WireError, read_json, read_protobuf
from accounting.ingest.naming import rules_for
from accounting.ingest.store import store
from accounting.ingest.tally import UnreadTally
from accounting.models import ApiToken

MOST_BYTES = 4 << 20  # compressed, as it comes over the wire
MOST_DECODED_BYTES = 8 << 20
MOST_POINTS = 50_000
LONGEST_MESSAGE = 1000
PROTOBUF, JSON = "application/x-protobuf", "application/json"
READERS: Mapping[str, Callable[[bytes], Iterator[Metric]]] = {PROTOBUF: read_protobuf, JSON: read_json}
# google.rpc.Code by HTTP status; everything else is INVALID_ARGUMENT.
CODES = {401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 429: 8, 503: 14}
INVALID_ARGUMENT = 3
log = structlog.get_logger(__name__)
_unread = UnreadTally("otlp")


@csrf_exempt
def otlp_metrics(request: HttpRequest) -> HttpResponse:
    written = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    encoding = written if written in READERS else PROTOBUF
    try:
        if request.method != "POST":
            raise Problem(405, "method_not_allowed", f"{request.method}: POST metrics here", Allow="POST")
        with ingest_gate().slot():
            found = _take(request, written, now=datetime.now(UTC))
        return _answer(found, encoding)
    except Problem as problem:
        return _refusal(problem, encoding)


def _take(request: HttpRequest, encoding: str, *, now: datetime) -> Translated:
    try:
        token = authenticate(request.headers.get("Authorization"), scope=ApiToken.Scope.INGEST, now=now)
        if encoding not in READERS:
            raise Problem(415, "unknown_content_type", f"Content-Type {encoding[:80]!r}: send {PROTOBUF} or {JSON}")
        body = read_body(request, most_bytes=MOST_BYTES, most_decoded_bytes=MOST_DECODED_BYTES)
        metrics = _at_most(READERS[encoding](body))
        found = translate(metrics, rules=rules_for(token), of_team=token.team.slug if token.team else None)
        _store(found, token, now)
    except AccessDenied as denied:
        raise access_problem(denied) from denied
    except WireError as error:
        raise Problem(400, "bad_otlp", str(error)) from error
    except TooWide as error:
        raise Problem(413, "too_wide", str(error)) from error
    except TROUBLE as error:
        # Locked, down, full, out of time, or a team deleted under our feet: the exporter sends it again.
        log.warning("otlp metrics not stored", error=str(error).strip())
        raise database_problem() from error
    return found


def _at_most(metrics: Iterator[Metric]) -> Iterator[Metric]:
    points = 0
    for metric in metrics:
        points += metric.count
        if points > MOST_POINTS:
            raise Problem(413, "too_many", f"more than {MOST_POINTS} points: lower send_batch_max_size")
        yield metric


def _store(found: Translated, token: ApiToken, now: datetime) -> None:
    """In pieces, each in a transaction of its own: where one fails, those before it count as duplicates next time."""
    for batch, points in batches(found):
        reply = store(batch, token=token, now=now, protocol="otlp")
        _add_refused(found, reply, samples=len(batch.device_samples), points=points)
    try:
        _unread.add(found.unread, token=token, now=now)
    except DatabaseError as error:  # what is kept stands; the counts are told next time
        log.warning("unread metrics not noted", error=str(error).strip())


def _add_refused(found: Translated, reply: TelemetryReply, *, samples: int, points: list[int]) -> None:
    """A message of ours that names no sample or span (an unknown team, say) warns only: the energy was kept."""
    begins = {"device_samples": 0, "energy_spans": samples}
    for error in reply.errors:
        if error.list in begins:
            count = points[begins[error.list] + error.index]
            found.refused += count
            found.unread["(points)", f"{error.field}: {error.code}"] += count
        found.warn(error.detail)
    if reply.conflicts:
        found.refused += reply.conflicts
        found.warn(f"{reply.conflicts} points say otherwise than what is stored of their moment, and were set aside")


def _answer(found: Translated, encoding: str) -> HttpResponse:
    """Empty where everything was taken; else how many points were not, and why."""
    message = "; ".join(found.faults)[:LONGEST_MESSAGE]
    if encoding == JSON:
        told = {"rejectedDataPoints": str(found.refused), "errorMessage": message}
        return HttpResponse(msgspec.json.encode({"partialSuccess": told} if message else {}), content_type=JSON)
    reply = ExportMetricsServiceResponse()
    if message:
        reply.partial_success.rejected_data_points = found.refused
        reply.partial_success.error_message = message
    return HttpResponse(reply.SerializeToString(), content_type=PROTOBUF)


def _refusal(problem: Problem, encoding: str) -> HttpResponse:
    code, message = CODES.get(problem.status, INVALID_ARGUMENT), problem.detail[:LONGEST_MESSAGE]
    body = msgspec.json.encode({"code": code, "message": message}) if encoding == JSON else _status(code, message)
    return HttpResponse(body, status=problem.status, content_type=encoding, headers=problem.headers)


def _status(code: int, message: str) -> bytes:
    """google.rpc.Status { int32 code = 1; string message = 2; } as protobuf."""
    text = message.encode(errors="replace")
    return bytes((0x08, code, 0x12)) + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    pieces = []
    while number > 0x7F:
        pieces.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*pieces, number))
