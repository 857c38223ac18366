"""POST /api/v1/prom/write: Prometheus remote-write 1.0 and 2.0, told apart by Content-Type. See docs/prometheus.md.

Prometheus drops what is answered 4xx and sends again what is answered 5xx. So 2xx comes after the commit; one sample
that can never be taken costs itself only, and is answered 400 after the others were stored; what may go well next time
is answered 503. Sending again is always safe.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import chain

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from accounting.access import AccessDenied, authenticate
from accounting.api.body import read_snappy
from accounting.api.gate import ingest_gate
from accounting.api.problem import Problem, access_problem, database_problem, problem_response
from accounting.api.telemetry import TROUBLE
from accounting.ingest.dirty import TooWide
from accounting.ingest.formats.prometheus import Translated, batches, translate
from accounting.ingest.formats.prometheus_wire import Series, WireError, read_v1, read_v2
from accounting.ingest.naming import rules_for
from accounting.ingest.store import latest_accepted, store
from accounting.ingest.tally import UnreadTally
from accounting.models import ApiToken

MOST_BYTES = 4 << 20  # compressed
MOST_DECODED_BYTES = 32 << 20
MOST_SAMPLES = 100_000
PROTOCOL = "prometheus"
CONTENT_TYPE = "application/x-protobuf"
V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
READERS: Mapping[str, Callable[[bytes], Iterable[Series]]] = {V1: read_v1, V2: read_v2}
log = structlog.get_logger(__name__)
_unread = UnreadTally(PROTOCOL)


@csrf_exempt
def prom_write(request: HttpRequest) -> HttpResponse:
    try:
        if request.method != "POST":
            raise Problem(405, "method_not_allowed", f"{request.method}: POST remote-write here", Allow="POST")
        with ingest_gate().slot():
            return _take(request, now=datetime.now(UTC))
    except Problem as problem:
        return problem_response(request, problem)


def _take(request: HttpRequest, *, now: datetime) -> HttpResponse:
    try:
        token = authenticate(bearer(request.headers.get("Authorization")), scope=ApiToken.Scope.INGEST, now=now)
        message = message_of(request.headers.get("Content-Type", ""))
        body = read_snappy(request, most_bytes=MOST_BYTES, most_decoded_bytes=MOST_DECODED_BYTES)
        found = _translated(READERS[message](body), token, now)
        _store(found, token, now)
    except AccessDenied as denied:
        raise access_problem(denied) from denied
    except WireError as error:
        raise Problem(400, "bad_protobuf", str(error)) from error
    except TooWide as error:
        raise Problem(413, "too_wide", str(error)) from error
    except TROUBLE as error:
        # Locked, down, full, or a team deleted under our feet: Prometheus keeps what it sent, and sends it again.
        log.warning("remote-write not stored", error=str(error).strip())
        raise database_problem() from error
    written = _written(found) if message == V2 else {}
    if found.wrong:
        detail = f"{found.wrong} samples can never be taken, {found.written} were: {'; '.join(found.faults)}"
        raise Problem(400, "invalid_samples", detail[:2000], **written)
    return HttpResponse(status=204, headers={name.replace("_", "-"): value for name, value in written.items()})


def bearer(authorization: str | None) -> str | None:
    """Basic authentication carries the token as its password; everything else stays as it is."""
    kind, _, coded = (authorization or "").partition(" ")
    if kind.lower() != "basic":
        return authorization
    try:
        _, _, password = base64.b64decode(coded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return authorization
    return f"Bearer {password}"


def message_of(content_type: str) -> str:
    """Which message the body is, by its Content-Type; without one, 1.0's."""
    kind, *parameters = (part.strip() for part in content_type.split(";"))
    named = [part.partition("=")[2].strip().strip('"') for part in parameters if part.lower().startswith("proto=")]
    message = named[0] if named else V1
    if (kind.lower() or CONTENT_TYPE) != CONTENT_TYPE or message not in READERS:
        detail = f"Content-Type {content_type[:120]!r}: send {CONTENT_TYPE} with proto={V1} or proto={V2}"
        raise Problem(415, "unknown_content_type", detail)
    return message


def _translated(series: Iterable[Series], token: ApiToken, now: datetime) -> Translated:
    rules = rules_for(token)
    return translate(_at_most(series), rules=rules, latest=latest_accepted(now), of_team=token.team_id is not None)


def _at_most(series: Iterable[Series]) -> Iterable[Series]:
    values = 0
    for one in series:
        values += len(one.samples)
        if values > MOST_SAMPLES:
            raise Problem(413, "too_many", f"more than {MOST_SAMPLES} samples: lower max_samples_per_send")
        yield one


def _store(found: Translated, token: ApiToken, now: datetime) -> None:
    """In pieces, each in a transaction of its own: where one fails, those before it count as duplicates next time."""
    replies = [store(batch, token=token, now=now, protocol=PROTOCOL) for batch in batches(found)]
    for error in chain.from_iterable(reply.errors for reply in replies):
        if error.list == "jobs":  # a team that does not exist: the reading was taken, its job is nobody's
            found.unread[f"{error.list}: {error.detail}"[:200], error.code] += 1
        else:
            found.refuse(1, error.detail)
            found.written = max(found.written - 1, 0)
    try:
        _unread.add(found.unread, token=token, now=now)
    except DatabaseError as error:  # what is kept stands; the tally is told next time
        log.warning("unread metrics not noted", error=str(error).strip())


def _written(found: Translated) -> dict[str, str]:
    """Values passed over on purpose count as written: sending them again is no use, and nothing is wrong with them."""
    begin = "X_Prometheus_Remote_Write"
    return {
        f"{begin}_Samples_Written": str(found.written),
        f"{begin}_Histograms_Written": "0",
        f"{begin}_Exemplars_Written": "0",
    }
