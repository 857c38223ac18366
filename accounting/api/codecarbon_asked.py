"""What a CodeCarbon client asks: the address taken apart, who asks, the body, and refusals in its own server's words.

The client puts an address together by plain concatenation, so what stands before `/runs` is free: pairs of words there
say what the protocol has no place for. See docs/codecarbon.md.
"""

import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from django.http import HttpRequest, HttpResponse

from accounting.access import AccessDenied, authenticate, authenticate_key
from accounting.ingest.codecarbon import Told
from accounting.models import ApiToken

MOST_BYTES = 1 << 16  # a post is half a kilobyte
LONGEST_S = 366 * 86_400.0
_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,60}")
_RESOURCES = ("runs", "emissions", "auth", "organizations", "projects", "experiments", "telemetry", "lastrun", "totals")

Text = Annotated[str, msgspec.Meta(max_length=20_000)]
_Energy = Annotated[float, msgspec.Meta(ge=0, le=1e8)]
_Amount = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
_Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
_Number = int | float | None


class Refused(Exception):
    """Answered as `{"detail": …}`: the client logs it as it comes."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(str(detail))
        self.status = status
        self.detail = detail


class NewRun(msgspec.Struct):
    timestamp: datetime
    experiment_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    os: Text | None = None
    python_version: Text | None = None
    codecarbon_version: Text | None = None
    cpu_count: _Number = None
    cpu_model: Text | None = None
    gpu_count: _Number = None
    gpu_model: Text | None = None
    longitude: _Number = None
    latitude: _Number = None
    region: Text | None = None
    provider: Text | None = None
    ram_total_size: _Number = None
    tracking_mode: Text | None = None


class NewEmission(msgspec.Struct):
    timestamp: datetime
    run_id: uuid.UUID
    duration: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)]
    emissions_sum: _Amount
    energy_consumed: _Energy
    emissions_rate: _Amount | None = None
    cpu_power: _Amount | None = None
    gpu_power: _Amount | None = None
    ram_power: _Amount | None = None
    cpu_energy: _Energy | None = None
    gpu_energy: _Energy | None = None
    ram_energy: _Energy | None = None
    cpu_utilization_percent: _Percent | None = None
    gpu_utilization_percent: _Percent | None = None
    ram_utilization_percent: _Percent | None = None
    wue: _Amount | None = None


class NewTotal(msgspec.Struct):
    """What the generic hook `emissions_endpoint` posts at flush and stop: totals since the start, local time."""

    timestamp: datetime
    run_id: uuid.UUID
    duration: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)]
    emissions: _Amount
    energy_consumed: _Energy
    experiment_id: str = ""
    project_name: Text = ""
    cpu_energy: _Energy | None = None
    gpu_energy: _Energy | None = None
    ram_energy: _Energy | None = None
    pue: Annotated[float, msgspec.Meta(gt=0, le=100)] | None = None
    wue: _Amount | None = None
    os: Text | None = None
    python_version: Text | None = None
    codecarbon_version: Text | None = None
    cpu_count: _Number = None
    cpu_model: Text | None = None
    gpu_count: _Number = None
    gpu_model: Text | None = None
    longitude: _Number = None
    latitude: _Number = None
    country_iso_code: Text | None = None
    region: Text | None = None
    cloud_provider: Text | None = None
    cloud_region: Text | None = None
    ram_total_size: _Number = None
    tracking_mode: Text | None = None


class NewProject(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    organization_id: str = ""
    description: Text | None = None


class NewOrganization(msgspec.Struct):
    name: Text
    description: Text | None = None


class NewExperiment(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    project_id: str
    timestamp: datetime | None = None
    description: Text | None = None
    on_cloud: bool | None = None
    country_name: Text | None = None
    country_iso_code: Text | None = None
    region: Text | None = None
    cloud_provider: Text | None = None
    cloud_region: Text | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    told: Told
    parts: tuple[str, ...]  # ("runs",), ("experiments", "5b0f…"), …
    key: str  # a token that stands in the address; empty: in a header


def asked(path: str) -> Asked:
    """An address below /api/codecarbon; empty parts (a double slash) count for nothing.

    Raises:
        Refused: 404 an address that nobody knows or that cannot be printed, 422 a word before it that makes no sense.
    """
    parts = [part for part in path.split("/") if part]
    told, key = Told(), ""
    while parts and parts[0] not in _RESOURCES:
        if len(parts) < 2 or (take := _OPTIONS.get(parts[0])) is None:
            raise Refused(404, f"Not Found: {parts[0][:60]!r} is none of {', '.join((*_OPTIONS, *_RESOURCES))}")
        if parts[0] == "token":
            key = parts[1]
        else:
            told = replace(told, **{parts[0]: take(parts[1])})
        parts = parts[2:]
    if not parts:
        raise Refused(404, "Not Found: the client adds /runs, /emissions, … to this address")
    if not all(part.isprintable() for part in parts):  # NUL, which PostgreSQL takes in no text
        raise Refused(404, f"Not Found: {'/'.join(parts)[:60]!r} holds what no address here does")
    return Asked(told, tuple(parts), key)


def _name(longest: int) -> Any:
    def take(written: str) -> str:
        if len(written) > longest or not written.isprintable():
            raise Refused(422, f"{written[:60]!r} in the address: at most {longest} printable characters")
        return written

    return take


def _slug(written: str) -> str:
    if not _SLUG.fullmatch(written):
        raise Refused(422, f"{written[:60]!r} in the address is no slug: letters, digits, - and _, 60 at most")
    return written


def _pue(written: str) -> float:
    try:
        pue = float(written)
    except ValueError:
        pue = math.nan
    if not 1.0 <= pue <= 10.0:
        raise Refused(422, f"pue {written[:60]!r} in the address: a number from 1 to 10, as in pue/1.2")
    return pue


_OPTIONS: Mapping[str, Any] = {
    "host": _name(255), "pue": _pue, "job": _name(200), "team": _slug, "project": _slug, "token": str,
}  # fmt: skip


def who(request: HttpRequest, given: Asked, *scopes: ApiToken.Scope, now: datetime) -> ApiToken:
    """The token, by the header of a tracker, else of the command line, else in the address; of any of these scopes.

    Raises:
        Refused: 401 or 403.
    """
    key = request.headers.get("x-api-token") or given.key
    denied: AccessDenied | None = None
    for scope in scopes:
        try:
            if key:
                return authenticate_key(key.strip(), scope=scope, now=now)
            return authenticate(request.headers.get("Authorization"), scope=scope, now=now)
        except AccessDenied as error:
            denied = error
    assert denied is not None
    raise Refused(denied.status, denied.detail)


def read(body: bytes, shape: type[Any]) -> Any:
    """The body as this shape.

    Raises:
        Refused: 422 with the field at fault.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        message, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".")
        raise Refused(
            422, [{"loc": ["body", *([field] if field else [])], "msg": message, "type": "value_error"}]
        ) from error
    except (msgspec.DecodeError, RecursionError) as error:  # the latter: nested too deep
        raise Refused(422, [{"loc": ["body"], "msg": f"not JSON: {error}", "type": "json_invalid"}]) from error


def utc(at: datetime) -> datetime:
    """A time without an offset counts as UTC, as it does for the client's own server."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def answer(content: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(content), status=status, content_type="application/json")


def refusal(refused: Refused) -> HttpResponse:
    response = answer({"detail": refused.detail}, refused.status)
    if refused.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="greenai"'
    return response
