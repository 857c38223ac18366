"""What a request asks for: whose figures, which period, which split; and how to answer with a table."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounting.access import can_administer
from accounting.reports import export, periods
from accounting.reports.periods import Period
from accounting.reports.queries import METRICS, SPLITS
from accounting.reports.tables import Table

View = Callable[..., HttpResponse]


def administrators_only(view: View) -> View:
    @login_required
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not can_administer(request.user):
            raise PermissionDenied("Only administrators may do this")
        return view(request, *args, **kwargs)

    return checked


def zone() -> ZoneInfo:
    """The reader's time zone, as the middleware activated it."""
    return timezone.get_current_timezone()  # type: ignore[return-value]


def asked_period(request: HttpRequest) -> Period:
    """The period of the URL. One that cannot be read is said so, and the default is shown."""
    now = timezone.now()
    try:
        return periods.from_query(request.GET, now=now, zone=zone())
    except periods.PeriodRefused as refused:
        messages.warning(request, f"That period cannot be shown: {refused}. Showing the last 24 hours.")
        return periods.preset(periods.DEFAULT, now=now)


def asked_choice(request: HttpRequest, name: str, choices: tuple[str, ...]) -> str:
    """A parameter that has a few values; the first of them where the URL says none or nonsense."""
    value = request.GET.get(name, choices[0])
    return value if value in choices else choices[0]


def asked_split(request: HttpRequest, splits: tuple[str, ...] = SPLITS) -> str:
    return asked_choice(request, "by", splits)


def asked_metric(request: HttpRequest) -> str:
    return asked_choice(request, "show", tuple(METRICS))


def links(request: HttpRequest, name: str, choices: dict[str, str], current: str) -> list[tuple[str, str, bool]]:
    """(words, URL, is current) for each value of one parameter, the rest of the URL kept."""
    rest = {key: value for key, value in request.GET.items() if key != name}
    return [(words, f"?{urlencode({**rest, name: value})}", value == current) for value, words in choices.items()]


def period_context(request: HttpRequest, period: Period) -> dict[str, Any]:
    """What partials/period.html needs, and `period` itself."""
    rest = {key: value for key, value in request.GET.items() if key not in ("period", "from", "to")}
    presets = [(words, f"?{urlencode({**rest, 'period': key})}") for key, (_, words) in periods.PRESETS.items()]
    written = [timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M") for moment in (period.start, period.end)]
    return {
        "period": period,
        "period_choices": [(words, url, words == period.label) for words, url in presets],
        "period_keep": list(rest.items()),
        "period_from": written[0],
        "period_to": written[1],
        "period_zone": zone().key,
        "currency": settings.GREENAI["currency"],
    }


def csv_response(table: Table) -> HttpResponse:
    reply = HttpResponse(export.csv_lines(table), content_type="text/csv; charset=utf-8")
    reply["Content-Disposition"] = f'attachment; filename="{table.name}.csv"'
    return reply
