from datetime import UTC, datetime, timedelta

import pytest

from accounting.access import AccessDenied, authenticate, issue_token, revoke_token
from accounting.models import ApiToken, AuditEntry, Site, Team

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def team() -> Team:
    return Team.objects.create(name="Vision", slug="vision")


def denied(header: str | None, *, scope: str = "ingest", now: datetime = NOW) -> AccessDenied:
    with pytest.raises(AccessDenied) as caught:
        authenticate(header, scope=scope, now=now)
    return caught.value


class TestIssueToken:
    def test_shows_a_secret_that_the_row_does_not_hold(self, team: Team) -> None:
        token, secret = issue_token(name="gpu box", scopes=["ingest"], team=team)
        prefix, public_id, secret_part = secret.split("_", 2)
        assert (prefix, len(public_id), len(secret_part)) == ("gai", 8, 43)
        row = ApiToken.objects.filter(pk=token.pk).values().get()
        assert row["public_id"] == public_id
        assert secret_part not in str(row)
        assert secret_part not in str(AuditEntry.objects.values())

    def test_makes_a_different_secret_each_time(self, team: Team) -> None:
        secrets = {issue_token(name="x", scopes=["read"], team=team)[1] for _ in range(20)}
        assert len(secrets) == 20

    def test_refuses_no_scope_and_an_unknown_one(self, team: Team) -> None:
        with pytest.raises(ValueError, match="choose at least one of ingest, read, admin"):
            issue_token(name="x", scopes=[], team=team)
        with pytest.raises(ValueError, match="root"):
            issue_token(name="x", scopes=["root"], team=team)

    def test_of_the_organisation_may_only_read(self) -> None:
        assert issue_token(name="x", scopes=["read"])[0].scopes == ["read"]
        for scopes in (["ingest"], ["admin"], ["ingest", "read"]):
            with pytest.raises(ValueError, match="may only read"):
                issue_token(name="x", scopes=scopes)

    def test_refuses_a_token_of_two_owners(self, team: Team) -> None:
        site = Site.objects.create(name="Paris", slug="paris")
        with pytest.raises(ValueError, match="not of both"):
            issue_token(name="x", scopes=["read"], team=team, site=site)


class TestAuthenticate:
    def test_finds_the_token_and_its_team(self, team: Team, django_assert_num_queries) -> None:
        token, secret = issue_token(name="x", scopes=["ingest"], team=team)
        with django_assert_num_queries(2):  # the look-up and the note of its use
            found = authenticate(f"Bearer {secret}", scope="ingest", now=NOW)
        with django_assert_num_queries(1):
            assert authenticate(f"Bearer {secret}", scope="ingest", now=NOW) == found
        assert (found, found.team) == (token, team)

    @pytest.mark.parametrize(
        "header", [None, "", "Bearer", "Bearer ", "Basic Zm9v", "Bearer gai_short", "Bearer gai_abcdefgh_é" + "x" * 42]
    )
    def test_answers_401_to_what_is_no_token(self, header: str | None) -> None:
        assert denied(header).status == 401

    def test_answers_401_to_a_wrong_secret_of_a_known_token(self, team: Team) -> None:
        _, secret = issue_token(name="x", scopes=["ingest"], team=team)
        assert denied(f"Bearer {secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}").status == 401

    def test_answers_401_from_the_instant_a_token_expires(self, team: Team) -> None:
        _, secret = issue_token(name="x", scopes=["ingest"], team=team, expires_at=NOW)
        authenticate(f"Bearer {secret}", scope="ingest", now=NOW - timedelta(microseconds=1))
        assert denied(f"Bearer {secret}").status == 401

    def test_answers_401_once_revoked(self, team: Team) -> None:
        token, secret = issue_token(name="x", scopes=["ingest"], team=team)
        assert revoke_token(token, by="test", now=NOW) is True
        assert revoke_token(token, by="test", now=NOW) is False
        assert "revoked" in denied(f"Bearer {secret}").detail

    @pytest.mark.parametrize("held", ["ingest", "read", "admin"])
    @pytest.mark.parametrize("asked", ["ingest", "read", "admin"])
    def test_lets_each_scope_do_only_its_own(self, team: Team, held: str, asked: str) -> None:
        _, secret = issue_token(name="x", scopes=[held], team=team)
        if held == asked:
            assert authenticate(f"Bearer {secret}", scope=asked, now=NOW).scopes == [held]
        else:
            assert denied(f"Bearer {secret}", scope=asked).status == 403

    def test_notes_its_last_use_at_most_once_a_minute(self, team: Team) -> None:
        token, secret = issue_token(name="x", scopes=["ingest"], team=team)
        noted = []
        for seconds in (0, 59, 60):
            authenticate(f"Bearer {secret}", scope="ingest", now=NOW + timedelta(seconds=seconds))
            token.refresh_from_db()
            noted.append(token.last_used_at)
        assert noted == [NOW, NOW, NOW + timedelta(seconds=60)]
