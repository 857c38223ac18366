"""People: invited, given roles, shut out."""

import pytest
from django.test import Client
from django.urls import reverse

from accounting.models import Invitation, User
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


def change(client: Client, person: User, **said: object) -> str:
    answer = client.post(reverse("member-change", args=[person.pk]), said, follow=True)
    person.refresh_from_db()
    return answer.content.decode()


class TestInviting:
    def test_shows_a_link_that_works(self, admin: Client) -> None:
        team = rows.a_team()
        page = admin.post(reverse("member-invite"), {"email": "bo@example.org", "team": team.pk, "role": "viewer"})
        link = page.context["link"]
        assert link in page.content.decode() and link.startswith("http://testserver/invitation/")
        joined = Client().post(link, {"name": "Bo", "password": "a long enough sentence"})
        assert joined.status_code == 302
        assert User.objects.get(email="bo@example.org").memberships.get().role == "viewer"

    def test_of_someone_who_is_in_says_so(self, admin: Client) -> None:
        rows.a_user("bo@example.org", email="bo@example.org")
        page = admin.post(reverse("member-invite"), {"email": "bo@example.org", "role": "member"})
        assert b"has an account already" in page.content and not Invitation.objects.exists()

    def test_can_be_withdrawn(self, admin: Client) -> None:
        link = admin.post(reverse("member-invite"), {"email": "bo@example.org", "role": "member"}).context["link"]
        assert b"bo@example.org" in admin.get(reverse("members")).content
        admin.post(reverse("invitation-withdraw", args=[Invitation.objects.get().pk]))
        assert b"ask for another" in Client().post(link, {"name": "B", "password": "a long enough sentence"}).content


class TestChanging:
    def test_shuts_out_at_once_and_lets_in_again(self, admin: Client) -> None:
        person, theirs = rows.a_user(), Client()
        theirs.force_login(person)
        assert theirs.get("/").status_code == 200
        change(admin, person, what="deactivate")
        assert theirs.get("/").status_code == 302
        change(admin, person, what="reactivate")
        assert person.is_active

    def test_keeps_the_last_administrator(self, admin: Client) -> None:
        root = User.objects.get(username="root")
        assert "make another one first" in change(admin, root, what="deactivate")
        assert "make another one first" in change(admin, root, what="organisation_role", role="auditor")
        assert (root.is_active, root.organisation_role) == (True, "administrator")

    def test_gives_roles_and_takes_them(self, admin: Client) -> None:
        person, team = rows.a_user(is_superuser=True, is_staff=True), rows.a_team()
        change(admin, person, what="organisation_role", role="auditor")
        assert (person.organisation_role, person.is_superuser, person.is_staff) == ("auditor", False, False)
        change(admin, person, what="membership", team=team.pk, role="viewer")
        assert person.memberships.get().role == "viewer"
        change(admin, person, what="membership", team=team.pk, role="")
        assert not person.memberships.exists()

    @pytest.mark.parametrize("said", [{"what": "crown"}, {"what": "organisation_role", "role": "king"}, {}])
    def test_refuses_what_it_does_not_know(self, admin: Client, said: dict[str, str]) -> None:
        person = rows.a_user()
        assert admin.post(reverse("member-change", args=[person.pk]), said).status_code == 403
