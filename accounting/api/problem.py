"""Errors as RFC 9457 problem documents: one shape for every refusal of the API."""

import random
import re
import uuid
from typing import Any

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from accounting.access import AccessDenied

TITLES = {
    400: "The request cannot be read",
    401: "Who are you?",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    409: "Already done",
    411: "Length required",
    413: "Too large",
    415: "Unsupported encoding",
    422: "The request makes no sense",
    503: "Try again later",
}
RETRY_AFTER_S = (3, 8)  # spread, so that those who were turned away together do not come back together
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Problem(Exception):
    """A refusal. `code` is stable, for programs; `detail` says what to do, for people."""

    def __init__(self, status: int, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def request_id(request: HttpRequest) -> str:
    """The caller's X-Request-ID where it is harmless to repeat, else one of our own."""
    given = request.headers.get("X-Request-ID", "")
    return given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex


def problem_response(request: HttpRequest, problem: Problem) -> HttpResponse:
    document: dict[str, Any] = {
        "type": f"urn:greenai:problem:{problem.code}",
        "title": TITLES.get(problem.status, "Refused"),
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path,
        "code": problem.code,
        "request_id": request_id(request),
    }
    return HttpResponse(
        msgspec.json.encode(document),
        status=problem.status,
        content_type="application/problem+json",
        headers=problem.headers,
    )


def access_problem(denied: AccessDenied) -> Problem:
    """The answer to someone who may not."""
    if denied.status == 401:
        return Problem(401, "unauthorized", denied.detail, WWW_Authenticate='Bearer realm="greenai"')
    return Problem(403, "not_permitted", denied.detail)


def retry_after() -> str:
    """Seconds to wait before coming back."""
    return str(random.randint(*RETRY_AFTER_S))


def database_problem() -> Problem:
    """The database is locked, down, full, read-only or too slow. It may go well next time."""
    detail = "the database did not answer: send this again"
    return Problem(503, "try_again", detail, Retry_After=retry_after())


def answer_problems(api: NinjaAPI) -> None:
    """Have a ninja API answer every refusal as a problem document."""

    @api.exception_handler(Problem)
    def _(request: HttpRequest, problem: Problem) -> HttpResponse:
        return problem_response(request, problem)

    @api.exception_handler(AccessDenied)
    def _(request: HttpRequest, denied: AccessDenied) -> HttpResponse:
        return problem_response(request, access_problem(denied))

    @api.exception_handler(ValidationError)
    def _(request: HttpRequest, error: ValidationError) -> HttpResponse:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in error.errors)
        return problem_response(request, Problem(422, "bad_parameters", faults))

    @api.exception_handler(HttpError)
    def _(request: HttpRequest, error: HttpError) -> HttpResponse:
        return problem_response(request, Problem(error.status_code, "refused", str(error)))

    @api.exception_handler(OperationalError)
    @api.exception_handler(InterfaceError)
    def _(request: HttpRequest, error: Exception) -> HttpResponse:
        return problem_response(request, database_problem())
