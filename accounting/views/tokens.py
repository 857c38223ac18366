"""Tokens: make one, see its secret once, watch its first telemetry arrive, revoke it."""

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounting.access import can_administer, can_change, issue_token, revoke_token, visible_to
from accounting.forms import TokenForm
from accounting.models import ApiToken, Device, Site, Team
from accounting.views.agent_command import agent_command, only_this_machine
from accounting.views.source_snippets import snippets

STOP_POLLING = 286  # htmx: this answer is the last one


@login_required
@require_GET
def token_list(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    context = {
        "title": "Tokens",
        "tokens": visible_tokens(request),
        "now": now,
        "may_create": may_make_tokens(request),
    }
    return render(request, "accounting/tokens.html", context)


@login_required
@never_cache
@sensitive_variables("secret")
@require_http_methods(["GET", "POST"])
def token_new(request: HttpRequest) -> HttpResponse:
    """The answer to the POST is the only page that ever holds the secret."""
    administrator = can_administer(request.user)
    teams, sites = _teams_to_change(request), list(Site.objects.all()) if administrator else []
    if not teams and not administrator:
        raise Http404
    form = TokenForm(request.POST or None, teams=teams, sites=sites, administrator=administrator)
    crumbs = [("Tokens", reverse("tokens")), ("New token", "")]
    if request.method != "POST" or not form.is_valid():
        context = {"title": "New token", "form": form, "crumbs": crumbs, "submit": "Create token"}
        return render(request, "accounting/form_page.html", {**context, "cancel_url": reverse("tokens")})
    days = form.cleaned_data["valid_for_days"]
    token, secret = issue_token(
        name=form.cleaned_data["name"],
        scopes=form.cleaned_data["scopes"],
        created_by=request.user,
        expires_at=timezone.now() + timedelta(days=days) if days else None,
        **form.belongs_to,
    )
    context = {"title": "Token created", "token": token, "secret": secret, "crumbs": crumbs}
    if ApiToken.Scope.INGEST in token.scopes:
        context["command"] = agent_command(secret, server=settings.BASE_URL)
        others = snippets(server=settings.BASE_URL, token=secret)
        context["others"] = [one for one in others if one.key not in ("agent", "slurm")]
        context["server"], context["only_here"] = settings.BASE_URL, only_this_machine(settings.BASE_URL)
    return render(request, "accounting/token_created.html", context)


@login_required
@require_GET
def token_arrivals(request: HttpRequest, token_id: int) -> HttpResponse:
    """The fragment that waits for the token's first telemetry; once it is there, polling ends."""
    token = get_object_or_404(visible_tokens(request), pk=token_id)
    devices = Device.objects.filter(told_by__token=token).order_by("host__name", "key").distinct()
    context = {"token": token, "devices": devices.select_related("host")[:20]}
    status = STOP_POLLING if context["devices"] else 200
    return render(request, "accounting/token_arrivals.html", context, status=status)


@login_required
@require_POST
def token_revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    token = get_object_or_404(visible_tokens(request), pk=token_id)
    if not can_change(request.user, token.team):
        raise Http404
    if revoke_token(token, by=request.user, now=timezone.now()):
        messages.success(request, f"{token} is revoked: the next request with it is refused.")
    return redirect("tokens")


def visible_tokens(request: HttpRequest) -> QuerySet[ApiToken]:
    """Tokens of one's teams; those of sites are for people who see everything."""
    rows = ApiToken.objects.select_related("team", "site", "created_by")
    visibility = visible_to(request.user)
    return rows if visibility.team_ids is None else rows.filter(team_id__in=visibility.team_ids)


def may_make_tokens(request: HttpRequest) -> bool:
    return can_administer(request.user) or bool(_teams_to_change(request))


def _teams_to_change(request: HttpRequest) -> list[Team]:
    return [team for team in Team.objects.all() if can_change(request.user, team)]
