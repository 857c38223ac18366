"""POST /api/v1/estimates: runs in, what they come to out. The document is accounting.estimates'; nothing is stored.

A run that cannot be reckoned is refused in its place, and the others are answered: only a document that cannot be read
refuses the call.
"""

import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema

from accounting.api.auth import READER
from accounting.api.body import read_body
from accounting.api.problem import Problem
from accounting.estimates.answer import MOST_BYTES, MOST_RUNS, TooMany, Unreadable, answer, read_document
from accounting.estimates.run import EXPECTED, NUMBERS, QUANTITIES, TEXTS, UNIT_COUNT, Limits
from accounting.factorbook import catalog

router = Router(tags=["estimates"])


class Quantity(Schema):
    low: float
    mid: float
    high: float
    unit: str
    status: str = Field(description="MEASURED, MODELLED or DEFAULT")
    method: str = Field(description="the formula used, and which of its inputs were given")
    factors: list[str] = Field(description="ids of the catalogue's factors behind the figure")


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


class RunAnswer(Schema):
    id: str | int | None
    error: RunError | None = None
    it_energy_kwh: Quantity | None
    facility_energy_kwh: Quantity | None
    co2e_location_kg: Quantity | None
    co2e_market_kg: Quantity | None
    embodied_kg: Quantity | None
    co2e_total_kg: Quantity | None
    water_onsite_l: Quantity | None
    water_offsite_l: Quantity | None
    water_l: Quantity | None
    cost: Quantity | None
    sci_g_per_unit: Quantity | None
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

    Nothing is stored. A run that cannot be reckoned answers `error` in its place; the others are answered.
    """
    body = read_body(request, most_bytes=MOST_BYTES, most_decoded_bytes=MOST_BYTES)
    try:
        runs = read_document(body)
    except TooMany as error:
        raise Problem(413, "too_many", str(error)) from error
    except Unreadable as error:
        raise Problem(422, "bad_document", str(error)) from error
    answered = answer(catalog(), runs, currency=settings.GREENAI["currency"])
    return HttpResponse(json.dumps(answered, allow_nan=False), content_type="application/json")
