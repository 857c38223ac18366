"""Who gets in where: strangers to the sign-in page, and nobody to another team's things."""

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from accounting.access import issue_token
from accounting.models import Job, Membership, Site, User
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db

OPEN = {"login", "login-once", "invitation", "logout", "healthz", "readyz"}
GET_PAGES = [
    "home",
    "home-live",
    "home-trend",
    "teams",
    "jobs",
    "jobs-heaviest",
    "fleet",
    "sources",
    "source-lines",
    "tokens",
    "profile",
    "trend",
    "factors",
    "prices",
    "contracts",
]
ADMIN_PAGES = [
    "members",
    "member-invite",
    "team-new",
    "site-new",
    "tariff-new",
    "contract-new",
    "contract-import",
    "label-rule-new",
]


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def named_routes() -> dict[str, object]:
    """Every page of accounting and the landing page, by name, with the arguments it needs."""
    found = {}
    for name, entries in get_resolver().reverse_dict.lists():
        if isinstance(name, str):
            found[name] = dict.fromkeys(entries[0][0][0][1], "1")
    return found


class TestStrangers:
    def test_are_sent_to_sign_in_from_every_page(self, client: Client) -> None:
        from accounting import urls

        names = {path.name for path in urls.urlpatterns} - OPEN | {"home", "home-live", "home-trend"}
        assert len(names) > 25
        for name in names:
            address = reverse(name, kwargs=named_routes()[name])
            for answer in (client.get(address), client.post(address)):
                assert answer.status_code in (302, 405), (name, answer.status_code)
                if answer.status_code == 302:
                    assert answer.url.startswith("/login/"), name

    @pytest.mark.parametrize("name", ["login", "healthz"])
    def test_see_what_is_open(self, client: Client, name: str) -> None:
        assert client.get(reverse(name)).status_code == 200


class TestMembers:
    @pytest.mark.parametrize("name", GET_PAGES)
    def test_open_their_pages_even_with_no_team_and_no_data(self, name: str) -> None:
        assert signed_in(rows.a_user()).get(reverse(name)).status_code == 200

    @pytest.mark.parametrize("name", ADMIN_PAGES)
    def test_are_refused_what_administrators_do(self, name: str) -> None:
        answer = signed_in(rows.a_user(team=rows.a_team())).get(reverse(name))
        assert answer.status_code == 403 and b"Your role does not allow this" in answer.content
        assert signed_in(rows.an_administrator()).get(reverse(name)).status_code == 200

    def test_do_not_find_another_teams_things(self) -> None:
        theirs = rows.a_team("Theirs")
        device = rows.a_device(team=theirs)
        site = Site.objects.create(name="x", slug="x")
        job = Job.objects.create(team=theirs, key="a")
        token, _ = issue_token(name="t", scopes=["read"], team=theirs)
        nobodys = Job.objects.create(key="nobodys")
        client = signed_in(rows.a_user(team=rows.a_team("Ours")))
        addresses = [
            reverse("job", args=[job.pk]), reverse("job-energy", args=[job.pk]), reverse("job-power", args=[job.pk]),
            reverse("job", args=[nobodys.pk]), reverse("device", args=[device.pk]),
            reverse("device-edit", args=[device.pk]), reverse("device-power", args=[device.pk]),
            reverse("device-trend", args=[device.pk]), reverse("team", args=[theirs.pk]),
            reverse("site", args=[site.pk]), reverse("token-arrivals", args=[token.pk]),
            reverse("trend") + f"?team={theirs.pk}", reverse("split-csv") + f"?team={theirs.pk}",
            reverse("job", args=[10**30]),
        ]  # fmt: skip
        for address in addresses:
            assert client.get(address).status_code == 404, address
        assert client.post(reverse("token-revoke", args=[token.pk])).status_code == 404
        assert client.post(reverse("project-new", args=[theirs.pk]), {"name": "x"}).status_code == 404

    def test_see_their_own(self) -> None:
        team = rows.a_team()
        device, job = rows.a_device(team=team), Job.objects.create(team=team, key="a")
        client = signed_in(rows.a_user(team=team, role=Membership.Role.VIEWER))
        for address in (
            reverse("job", args=[job.pk]), reverse("device", args=[device.pk]), reverse("team", args=[team.pk]),
        ):  # fmt: skip
            assert client.get(address).status_code == 200

    def test_who_only_look_on_change_nothing(self) -> None:
        team = rows.a_team()
        device = rows.a_device(team=team)
        client = signed_in(rows.a_user(team=team, role=Membership.Role.VIEWER))
        assert client.get(reverse("device-edit", args=[device.pk])).status_code == 404
        assert client.post(reverse("project-new", args=[team.pk]), {"name": "x"}).status_code == 404
        assert client.get(reverse("token-new")).status_code == 404


class TestAuditors:
    def test_see_everything_and_change_nothing(self) -> None:
        team = rows.a_team()
        device = rows.a_device(team=team)
        job, site = Job.objects.create(key="nobodys"), Site.objects.create(name="x", slug="x")
        client = signed_in(rows.a_user(organisation_role=User.OrganisationRole.AUDITOR))
        assert client.get(reverse("job", args=[job.pk])).status_code == 200
        assert client.get(reverse("site", args=[site.pk])).status_code == 200
        assert client.post(reverse("site", args=[site.pk]), {"site-name": "y"}).status_code == 404
        assert client.get(reverse("device-edit", args=[device.pk])).status_code == 404
        assert client.get(reverse("members")).status_code == 403


class TestTemplates:
    def test_hold_no_script_or_handler_that_the_policy_would_refuse(self) -> None:
        import re
        from pathlib import Path

        from django.conf import settings

        pages = list(Path(settings.BASE_DIR, "templates").rglob("*.html"))
        assert len(pages) > 30
        for page in pages:
            text = page.read_text()
            assert not re.search(r"<script(?![^>]*\bsrc=)", text), f"{page}: inline script"
            assert not re.search(r"\son[a-z]+\s*=|javascript:|hx-on|hx-vals=.js:", text), f"{page}: inline handler"
            assert not re.search(r"(?:src|href)=[\"']https?://", text), f"{page}: another host"

    def test_answers_carry_the_strict_policy(self, client: Client) -> None:
        policy = client.get(reverse("login")).headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy + ";" and "unsafe-eval" not in policy


class TestWhatIsOffered:
    """Nobody is shown a button that leads to a refusal."""

    @pytest.mark.parametrize(("role", "offered"), [("member", True), ("viewer", False)])
    def test_members_are_offered_what_viewers_may_not(self, role: str, offered: bool) -> None:
        user = rows.a_user()
        Membership.objects.create(user=user, team=rows.a_team(), role=role)
        client = signed_in(user)
        for page in ("fleet", "tokens", "home"):
            assert (reverse("token-new") in client.get(reverse(page)).content.decode()) is offered, page
        assert ("New experiment" in client.get(reverse("experiments")).content.decode()) is offered
        assert f"{role} ·" in client.get(reverse("jobs")).content.decode()

    def test_auditors_are_offered_nothing_to_change(self) -> None:
        client = signed_in(rows.a_user(organisation_role=User.OrganisationRole.AUDITOR))
        for page in ("fleet", "tokens", "home"):
            assert reverse("token-new") not in client.get(reverse(page)).content.decode(), page
