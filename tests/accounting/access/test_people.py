from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user
from django.core.exceptions import ValidationError
from django.test import Client, RequestFactory

from accounting.access import (
    AccessDenied,
    InvitationRefused,
    LastAdministrator,
    accept_invitation,
    authenticate,
    deactivate_user,
    invite,
    issue_token,
    one_time_login,
    reactivate_user,
    redeem_one_time_login,
    set_membership,
    withdraw_invitation,
)
from accounting.models import AuditEntry, Invitation, Membership, OneTimeLogin, Team, User

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GOOD_PASSWORD = "seven green turbines"
pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator() -> User:
    return User.objects.create(username="ada", organisation_role="administrator")


@pytest.fixture
def team() -> Team:
    return Team.objects.create(name="Vision", slug="vision")


class TestOneTimeLogin:
    def test_signs_in_once(self, administrator: User) -> None:
        secret = one_time_login(administrator, valid_for=HOUR, now=NOW)
        assert redeem_one_time_login(secret, now=NOW) == administrator
        assert redeem_one_time_login(secret, now=NOW) is None

    def test_ends_at_its_expiry(self, administrator: User) -> None:
        secret = one_time_login(administrator, valid_for=HOUR, now=NOW)
        assert redeem_one_time_login(secret, now=NOW + HOUR) is None
        assert redeem_one_time_login(secret, now=NOW + HOUR - timedelta(microseconds=1)) == administrator

    def test_refuses_an_unknown_secret_and_a_deactivated_person(self, administrator: User) -> None:
        secret = one_time_login(administrator, valid_for=HOUR, now=NOW)
        User.objects.update(is_active=False)
        assert redeem_one_time_login(secret, now=NOW) is None
        assert redeem_one_time_login("guess", now=NOW) is None

    def test_stores_no_secret(self, administrator: User) -> None:
        secret = one_time_login(administrator, valid_for=HOUR, now=NOW)
        assert secret not in str(OneTimeLogin.objects.values())


class TestInvite:
    def test_brings_a_person_into_a_team_with_the_role_offered(self, administrator: User, team: Team) -> None:
        _, secret = invite(email="bo@example.org", invited_by=administrator, now=NOW, team=team, role="viewer")
        user = accept_invitation(secret, password=GOOD_PASSWORD, now=NOW, name="Bo")
        assert (user.username, user.first_name, user.organisation_role) == ("bo@example.org", "Bo", "")
        assert user.check_password(GOOD_PASSWORD)
        assert list(user.memberships.values_list("team", "role")) == [(team.pk, "viewer")]

    def test_is_taken_once(self, administrator: User) -> None:
        _, secret = invite(email="bo@example.org", invited_by=administrator, now=NOW)
        accept_invitation(secret, password=GOOD_PASSWORD, now=NOW)
        with pytest.raises(InvitationRefused, match="used, withdrawn or has expired"):
            accept_invitation(secret, password=GOOD_PASSWORD, now=NOW)

    def test_stays_open_when_the_password_was_too_weak(self, administrator: User) -> None:
        invitation, secret = invite(email="bo@example.org", invited_by=administrator, now=NOW)
        with pytest.raises(ValidationError):
            accept_invitation(secret, password="short", now=NOW)
        assert Invitation.objects.get(pk=invitation.pk).accepted_at is None
        assert accept_invitation(secret, password=GOOD_PASSWORD, now=NOW).is_active

    def test_ends_when_withdrawn_or_expired(self, administrator: User) -> None:
        withdrawn, secret = invite(email="bo@example.org", invited_by=administrator, now=NOW)
        assert withdraw_invitation(withdrawn, by=administrator, now=NOW) is True
        assert withdraw_invitation(withdrawn, by=administrator, now=NOW) is False
        _, expired = invite(email="cy@example.org", invited_by=administrator, now=NOW, valid_for=HOUR)
        for each in (secret, expired):
            with pytest.raises(InvitationRefused):
                accept_invitation(each, password=GOOD_PASSWORD, now=NOW + HOUR)

    def test_is_for_administrators_to_send(self, team: Team) -> None:
        member = User.objects.create(username="member")
        Membership.objects.create(user=member, team=team, role="member")
        with pytest.raises(AccessDenied) as caught:
            invite(email="bo@example.org", invited_by=member, now=NOW, team=team)
        assert caught.value.status == 403

    @pytest.mark.parametrize("email", ["not an address", "ADA@example.org", "x" * 140 + "@example.org"])
    def test_refuses_what_cannot_become_an_account(self, administrator: User, email: str) -> None:
        User.objects.filter(pk=administrator.pk).update(email="ada@example.org")
        with pytest.raises(InvitationRefused):
            invite(email=email, invited_by=administrator, now=NOW)

    def test_refuses_an_unknown_role(self, administrator: User) -> None:
        with pytest.raises(InvitationRefused, match="owner"):
            invite(email="bo@example.org", invited_by=administrator, now=NOW, role="owner")


class TestSetMembership:
    def test_gives_changes_and_takes_away_a_role(self, administrator: User, team: Team) -> None:
        seen = []
        for role in ("member", "viewer", None):
            set_membership(administrator, team, role, by=administrator)
            seen.append(list(Membership.objects.values_list("role", flat=True)))
        assert seen == [["member"], ["viewer"], []]

    def test_refuses_an_unknown_role(self, administrator: User, team: Team) -> None:
        with pytest.raises(ValueError, match="owner"):
            set_membership(administrator, team, "owner", by=administrator)


class TestDeactivateUser:
    def test_ends_sessions_and_links_and_keeps_memberships(self, administrator: User, team: Team) -> None:
        user = User.objects.create(username="bo")
        Membership.objects.create(user=user, team=team)
        secret = one_time_login(user, valid_for=HOUR, now=NOW)
        client = Client()
        client.force_login(user)
        deactivate_user(user, by=administrator, now=NOW)
        request = RequestFactory().get("/")
        request.session = client.session
        assert get_user(request).is_anonymous
        assert redeem_one_time_login(secret, now=NOW) is None
        assert Membership.objects.filter(user=user).exists()
        reactivate_user(user, by=administrator)
        assert get_user(request) == user
        assert redeem_one_time_login(secret, now=NOW) is None

    def test_revokes_their_reading_tokens_and_leaves_machines_posting(self, administrator: User, team: Team) -> None:
        user = User.objects.create(username="bo")
        _, reads = issue_token(name="r", scopes=["ingest", "read"], team=team, created_by=user)
        _, posts = issue_token(name="p", scopes=["ingest"], team=team, created_by=user)
        deactivate_user(user, by=administrator, now=NOW)
        with pytest.raises(AccessDenied):
            authenticate(f"Bearer {reads}", scope="read", now=NOW)
        assert authenticate(f"Bearer {posts}", scope="ingest", now=NOW)
        assert "r (gai_" in str(AuditEntry.objects.get(action="person.deactivated").detail)

    def test_never_leaves_nobody_to_administer(self, administrator: User) -> None:
        with pytest.raises(LastAdministrator, match="ada is the only administrator"):
            deactivate_user(administrator, by=administrator, now=NOW)
        other = User.objects.create(username="eve", organisation_role="administrator")
        deactivate_user(administrator, by=other, now=NOW)
        assert not User.objects.get(pk=administrator.pk).is_active
