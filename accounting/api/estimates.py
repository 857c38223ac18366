"""POST /api/v1/estimates: runs in, what they come to out. The document is accounting.estimates'; nothing is stored.

A run that cannot be reckoned is refused in its place, and the others are answered: only a document that cannot be read
refuses the call.
"""

import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Field, Router, Schema

from accounting.api.auth import READER
from accounting.api.body import read_body
from accounting.api.problem import Problem
from accounting.api.schemas import Quantities
from accounting.estimates.answer import MOST_BYTES, MOST_RUNS, TooMany, Unreadable, answer, read_document
from accounting.estimates.run import EXPECTED, NUMBERS, QUANTITIES, TEXTS, UNIT_COUNT, Limits
from accounting.factorbook.books import catalog_for
from accounting.models import ApiToken

router = Router(tags=["estimates"])


class Driver(Schema):
    source: str
    share: float


class Mismatched(Schema):
    quantity: str
    expected: float
    got: float
    ratio: float | None
    likely_cause: str
    explanation: str


class RunError(Schema):
    code: str
    field: str
    detail: str


class RunAnswer(Quantities):
    id: str | int | None
    error: RunError | None = None
    drivers: list[Driver] = Field(description="what makes co2e_total_kg as wide as it is; shares add up to 1")
    mismatches: list[Mismatched]
    warnings: list[str]


class Estimates(Schema):
    runs: list[RunAnswer]


def _number(limits: Limits) -> dict[str, Any]:
    least = {"exclusiveMinimum" if limits.open else "minimum": limits.least}
    return {"type": "integer" if limits.whole else "number", "maximum": limits.most, **least}


def _body_schema() -> dict[str, Any]:
    """As `accounting.estimates.run` reads it: this describes, that decides."""
    unit = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "count": _number(UNIT_COUNT)},
        "required": ["name", "count"],
    }
    expected = {"type": "object", "properties": {quantity: _number(EXPECTED) for quantity in QUANTITIES}}
    properties = {
        "id": {"type": ["string", "integer"]},
        **{text: {"type": "string"} for text in TEXTS},
        **{name: _number(limits) for name, limits in NUMBERS.items()},
        "functional_unit": unit,
        "expected": expected,
    }
    run = {"type": "object", "properties": properties, "additionalProperties": False}
    runs = {"type": "array", "items": run, "maxItems": MOST_RUNS}
    return {"type": "object", "properties": {"runs": runs}, "required": ["runs"]}


@router.post(
    "/estimates",
    auth=READER,
    response=Estimates,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _body_schema()}}}},
)
def estimates(request: HttpRequest) -> HttpResponse:
    """What runs come to: energy, carbon, water, cost and SCI, each with its range, status, method and factors.

    Own factors of the organisation, and of the team whose token asks, go before the packaged ones. Nothing
    is stored. A run that cannot be reckoned answers `error` in its place; the others are answered.
    """
    body = read_body(request, most_bytes=MOST_BYTES, most_decoded_bytes=MOST_BYTES)
    try:
        runs = read_document(body)
    except TooMany as error:
        raise Problem(413, "too_many", str(error)) from error
    except Unreadable as error:
        raise Problem(422, "bad_document", str(error)) from error
    reader = request.auth  # type: ignore[attr-defined]
    team_id = reader.team_id if isinstance(reader, ApiToken) else None
    book = catalog_for(at=timezone.now(), team_id=team_id)
    answered = answer(book, runs, currency=settings.GREENAI["currency"])
    return HttpResponse(json.dumps(answered, allow_nan=False), content_type="application/json")
