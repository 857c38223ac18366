"""Ways in and out."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounting.access import invite, one_time_login
from accounting.models import User
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough sentence"


class TestOneTimeLink:
    def link(self, user: User) -> str:
        return reverse("login-once", args=[one_time_login(user, valid_for=timedelta(hours=1), now=timezone.now())])

    def test_is_not_spent_by_a_preview_and_signs_in_once_by_its_button(self, client: Client) -> None:
        address = self.link(rows.an_administrator())
        for _ in range(3):
            seen = client.get(address)
            assert seen.status_code == 200 and b'<button class="primary" autofocus>' in seen.content
            assert seen.headers["Referrer-Policy"] == "strict-origin"
        assert "_auth_user_id" not in client.session
        answer = client.post(address)
        assert (answer.status_code, answer.url) == (302, "/")
        assert client.get("/").status_code == 200

        again = Client().post(address)
        assert again.status_code == 410 and b"manage.py login_link" in again.content

    def test_needs_the_forms_token_like_every_post(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        assert strict.post(self.link(rows.an_administrator())).status_code == 403


class TestPassword:
    def test_signs_in_and_out(self, client: Client) -> None:
        user = rows.a_user()
        user.set_password(PASSWORD)
        user.save()
        wrong = client.post(reverse("login"), {"username": "ada", "password": "wrong"})
        assert wrong.status_code == 200 and b"do not match" in wrong.content
        assert client.post(reverse("login"), {"username": "ada", "password": PASSWORD}).url == "/"
        assert client.get(reverse("logout")).status_code == 405
        assert client.post(reverse("logout")).url == reverse("login")
        assert client.get("/").status_code == 302

    def test_can_be_set_by_someone_who_came_by_a_link(self, client: Client) -> None:
        user = rows.a_user()
        user.set_unusable_password()
        user.save()
        client.force_login(user)
        assert b"You have no password yet" in client.get(reverse("profile")).content
        answer = client.post(reverse("profile"), {"form": "password", "new": PASSWORD})
        assert answer.status_code == 302
        assert client.get("/").status_code == 200  # still signed in
        user.refresh_from_db()
        assert user.check_password(PASSWORD)

    def test_change_asks_for_the_present_one(self, client: Client) -> None:
        user = rows.a_user()
        user.set_password(PASSWORD)
        user.save()
        client.force_login(user)
        refused = client.post(reverse("profile"), {"form": "password", "old": "no", "new": PASSWORD + "2"})
        assert b"not your present password" in refused.content
        short = client.post(reverse("profile"), {"form": "password", "old": PASSWORD, "new": "short"})
        assert b"at least 12 characters" in short.content


class TestInvitation:
    def invited(self, **more: object) -> str:
        _, secret = invite(
            email="bo@example.org", invited_by=rows.an_administrator(), now=timezone.now(), team=rows.a_team(), **more
        )
        return reverse("invitation", args=[secret])

    def test_makes_an_account_in_the_team_and_signs_in(self, client: Client) -> None:
        address = self.invited()
        assert b"Join GreenAI" in client.get(address).content
        answer = client.post(address, {"name": "Bo", "password": PASSWORD}, follow=True)
        assert b"bo@example.org" in answer.content
        user = User.objects.get(username="bo@example.org")
        assert user.memberships.get().team.name == "Vision"

    def test_stays_open_after_a_weak_password_and_closes_after_use(self, client: Client) -> None:
        address = self.invited()
        weak = client.post(address, {"name": "Bo", "password": "short"})
        assert b"at least 12 characters" in weak.content
        assert client.post(address, {"name": "Bo", "password": PASSWORD}).status_code == 302
        again = Client().post(address, {"name": "Bo", "password": PASSWORD})
        assert b"ask for another" in again.content


class TestTimeZone:
    def test_of_the_reader_shows_times(self, client: Client) -> None:
        user = rows.an_administrator()
        client.force_login(user)
        saved = client.post(reverse("profile"), {"form": "about", "first_name": "Ada", "time_zone": "Asia/Tokyo"})
        assert saved.status_code == 302
        rows.a_device()
        assert b"Asia/Tokyo" in client.get(reverse("fleet")).content

    def test_that_this_machine_does_not_know_falls_back_to_utc(self, client: Client) -> None:
        client.force_login(rows.a_user(time_zone="Mars/Olympus"))
        assert client.get("/").context["period_zone"] == "UTC"
