"""What every page's navigation shows: the sections a person may open, where they are, and what waits for them."""

from dataclasses import dataclass

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from accounting.access import EVERYTHING, Visibility, can_administer, visible_to
from accounting.models import Membership, User
from optimizer.models import Experiment, Recommendation


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str
    current: bool
    count: int = 0
    count_hint: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    links: list[Link]


def navigation(request: HttpRequest) -> dict[str, object]:
    """A context processor: nothing for strangers, three small queries for a person.

    `may_act`: the person may change something somewhere, so that pages offer it; every view checks for itself.
    """
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    visibility = visible_to(user)
    advice = _of_visible_teams(Recommendation.objects.filter(state=Recommendation.State.OPEN), "team", visibility)
    busy = Experiment.objects.filter(state__in=[Experiment.State.RUNNING, Experiment.State.QUEUED])
    running = _of_visible_teams(busy, "workload__team", visibility)
    sections = [
        ("", [("Overview", "home"), ("Teams", "teams"), ("Jobs", "jobs"), ("Fleet", "fleet")]),
        (
            "Make cheaper",
            [
                ("Advice", "recommendations", advice, "open"),
                ("Experiments", "experiments", running, "queued or running"),
                ("Workloads", "workloads"),
                ("Hardware", "hardware"),
            ],
        ),
        (
            "Account",
            [
                ("Factors", "factors"),
                ("Grid", "grid"),
                ("Prices", "prices"),
                ("Contracts", "contracts"),
                ("Restatements", "restatements"),
                *([("Reconciliation", "reconciliation")] if visibility == EVERYTHING else []),
                ("Estimate", "estimate-new"),
            ],
        ),
        (
            "Set up",
            [
                ("Sources", "sources"),
                *([("Imports", "imports")] if may_import(user) else []),
                *([("Label rules", "label-rules")] if visibility == EVERYTHING else []),
                ("Tokens", "tokens"),
                *([("Members", "members")] if can_administer(user) else []),
            ],
        ),
    ]
    shown = [
        Section(title, [link for entry in entries if (link := _link(request, *entry))]) for title, entries in sections
    ]
    role = _role(user)
    return {
        "navigation": [section for section in shown if section.links],
        "role_words": role,
        "may_act": role in ("administrator", "member"),
    }


def may_import(user: User) -> bool:
    """An administrator, or a member of some team. At most one query."""
    if can_administer(user):
        return True
    member = user.memberships.filter(role=Membership.Role.MEMBER)
    return user.organisation_role != User.OrganisationRole.AUDITOR and member.exists()


def _link(request: HttpRequest, label: str, name: str, count: int = 0, count_hint: str = "") -> Link | None:
    """None where that app has no such page."""
    try:
        url = reverse(name)
    except NoReverseMatch:
        return None
    current = request.path == url or (url != "/" and request.path.startswith(url) and not _is_deeper(request, name))
    return Link(label, url, current, count, count_hint)


def _is_deeper(request: HttpRequest, name: str) -> bool:
    """Label rules lie below the fleet's address and have a link of their own."""
    return name == "fleet" and request.path.startswith(reverse("label-rules"))


def _of_visible_teams(rows: QuerySet, path: str, visibility: Visibility) -> int:
    if visibility.team_ids is not None:
        rows = rows.filter(**{f"{path}_id__in": visibility.team_ids})
    return rows.count()


def _role(user: User) -> str:
    if can_administer(user):
        return "administrator"
    if user.organisation_role:
        return user.organisation_role
    roles = set(user.memberships.values_list("role", flat=True))
    if not roles:
        return "in no team yet"
    return "member" if Membership.Role.MEMBER in roles else "viewer"
