"""A web server that only reads, beside a replica of the database: whatever would change something is refused."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse

from accounting.api.problem import Problem, problem_response

READS = ("GET", "HEAD", "OPTIONS")
DETAIL = "this server only reads, from a replica of the database: send changes and sign in at {base_url}"


class ReadOnlyMiddleware:
    """Active with GREENAI_READ_ONLY. A program is answered with a problem document, a person with the same words."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.GREENAI["read_only"]:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in READS:
            return self.get_response(request)
        detail = DETAIL.format(base_url=settings.BASE_URL)
        problem = Problem(405, "read_only", detail, Allow=", ".join(READS))
        if "text/html" in request.headers.get("Accept", ""):
            return HttpResponse(detail, status=405, content_type="text/plain; charset=utf-8", headers=problem.headers)
        return problem_response(request, problem)
