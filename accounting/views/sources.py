"""Sources: who posts, what came of it, and how to connect another program."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounting.access import can_administer, visible_to
from accounting.reports import sources
from accounting.views.agent_command import only_this_machine
from accounting.views.asking import asked_choice, csv_response, links
from accounting.views.source_snippets import snippets
from accounting.views.tokens import may_make_tokens, visible_tokens


@login_required
@require_GET
def source_list(request: HttpRequest) -> HttpResponse:
    """`?csv=sources` and `unread` answer the tables as files; `?connect=` chooses the kind of program."""
    unread = sources.unread_metrics(visible_tokens(request))
    context = _lines(request)
    if request.GET.get("csv") == "sources":
        return csv_response(sources.sources_table(context["lines"]))
    if request.GET.get("csv") == "unread":
        return csv_response(sources.unread_table(unread))
    kinds = {one.key: one for one in snippets(server=settings.BASE_URL)}
    chosen = asked_choice(request, "connect", tuple(kinds))
    context |= {
        "title": "Sources",
        "may_create": may_make_tokens(request),
        "unread": unread[: sources.MOST_UNREAD],
        "files": sources.imported_files(visible_to(request.user)),
        "kinds": links(request, "connect", {key: one.title for key, one in kinds.items()}, chosen),
        "snippet": kinds[chosen],
        "server": settings.BASE_URL,
        "only_here": only_this_machine(settings.BASE_URL),
    }
    return render(request, "accounting/sources.html", context)


@login_required
@require_GET
def source_lines(request: HttpRequest) -> HttpResponse:
    """The fragment of the page that follows what comes in."""
    return render(request, "accounting/source_lines.html", _lines(request))


def _lines(request: HttpRequest) -> dict[str, Any]:
    now, silent_after_s = timezone.now(), settings.GREENAI["agent_silent_s"]
    lines = sources.source_lines(visible_tokens(request), now=now, silent_after_s=silent_after_s)
    administrator = can_administer(request.user)
    return {"lines": lines, "may_create": may_make_tokens(request), "administrator": administrator}
