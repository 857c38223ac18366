"""Errors as RFC 9457 problem documents: one shape for every refusal of the API."""

import re
import uuid
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse

TITLES = {
    400: "The request cannot be read",
    401: "Who are you?",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    411: "Length required",
    413: "Too large",
    415: "Unsupported encoding",
    422: "The request makes no sense",
    503: "Try again later",
}
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
        "title": TITLES[problem.status],
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
