"""GET /metrics: what a platform team's Prometheus scrapes. docs/metrics.md has every metric.

Who may: a token with the scope read (the organisation's: everything; a team's: its team), someone signed in, or anyone
where GREENAI_METRICS_OPEN says so. Everything comes from the database, so it is the same whichever process answers.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from accounting.access import EVERYTHING, AccessDenied, Visibility
from accounting.api.auth import READER, visibility_of
from accounting.api.problem import Problem, access_problem, database_problem, problem_response
from accounting.reports.metric_accounts import account_points
from accounting.reports.metric_families import Family, Kind, Point, in_order
from accounting.reports.metric_health import health_points, site_points
from greenai import VERSION
from optimizer.models import Experiment


@csrf_exempt
@never_cache
@gzip_page
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, or OpenMetrics where the caller asks for it. Any refusal is a problem document."""
    try:
        if request.method not in ("GET", "HEAD"):
            raise Problem(405, "method_not_allowed", f"{request.method}: GET the metrics here", Allow="GET, HEAD")
        points = all_points(_visibility(request), now=timezone.now())
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(_registry(points)), content_type=content_type)
    except Problem as problem:
        return problem_response(request, problem)
    except AccessDenied as denied:
        return problem_response(request, access_problem(denied))
    except (OperationalError, InterfaceError):
        return problem_response(request, database_problem())


def all_points(visibility: Visibility, *, now: datetime) -> list[Point]:
    """Everything this reader may see. Roll-ups and counts only: about twenty queries, and one a site."""
    return [
        *health_points(visibility, version=VERSION, now=now, silent_after_s=settings.GREENAI["agent_silent_s"]),
        *_experiments(visibility),
        *site_points(visibility, now=now),
        *account_points(visibility, now=now),
    ]


def _visibility(request: HttpRequest) -> Visibility:
    if settings.GREENAI["metrics_open"] and "Authorization" not in request.headers:
        return EVERYTHING
    request.auth = READER(request)  # type: ignore[attr-defined]
    return visibility_of(request)


def _experiments(visibility: Visibility) -> Iterator[Point]:
    rows = Experiment.objects.order_by()
    if visibility.team_ids is not None:
        rows = rows.filter(workload__team__in=visibility.team_ids)
    counts = dict(rows.values_list("state").annotate(Count("pk")))
    for state in Experiment.State:
        yield Point("greenai_experiments", (state.value,), counts.get(state.value, 0))


def _registry(points: Iterable[Point]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([_metric(family, of) for family, of in in_order(points)]))
    return registry


class _Collected(Collector):
    """The metrics of one answer, as the library wants them."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> list[Metric]:
        return self._found


def _metric(family: Family, points: Iterable[Point]) -> Metric:
    """The library adds `_total` and `_info` by itself."""
    metric: Metric
    if family.kind is Kind.INFO:
        metric = InfoMetricFamily(family.name.removesuffix("_info"), family.help)
    elif family.kind is Kind.COUNTER:
        metric = CounterMetricFamily(family.name.removesuffix("_total"), family.help)
    else:
        metric = GaugeMetricFamily(family.name, family.help)
    for point in points:
        metric.add_sample(family.name, dict(zip(family.labels, point.labels, strict=True)), point.value)
    return metric
