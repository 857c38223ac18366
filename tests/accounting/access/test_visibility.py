import pytest
from django.contrib.auth.models import AnonymousUser

from accounting.access import Visibility, can_administer, can_change, issue_token, visible_to
from accounting.models import Membership, Site, Team, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def teams() -> tuple[Team, Team]:
    return Team.objects.create(name="Vision", slug="vision"), Team.objects.create(name="Speech", slug="speech")


def person(name: str, organisation_role: str = "", **fields: object) -> User:
    return User.objects.create(username=name, organisation_role=organisation_role, **fields)


class TestVisibleTo:
    def test_shows_a_member_and_a_viewer_their_teams_only(self, teams: tuple[Team, Team]) -> None:
        for role in Membership.Role.values:
            user = person(role)
            Membership.objects.create(user=user, team=teams[0], role=role)
            assert visible_to(user) == Visibility(team_ids=frozenset([teams[0].pk]), unattributed=False)
            assert [visible_to(user).shows(pk) for pk in (teams[0].pk, teams[1].pk, None)] == [True, False, False]

    @pytest.mark.parametrize("role", ["administrator", "auditor"])
    def test_shows_the_organisation_every_team_and_what_no_team_answers_for(self, role: str) -> None:
        assert visible_to(person("them", role)) == Visibility(team_ids=None, unattributed=True)

    def test_shows_nothing_to_the_inactive_and_to_strangers(self, teams: tuple[Team, Team]) -> None:
        gone = person("gone", "administrator", is_active=False)
        Membership.objects.create(user=gone, team=teams[0])
        for user in (gone, AnonymousUser()):
            assert visible_to(user) == Visibility(team_ids=frozenset(), unattributed=False)

    def test_shows_a_teams_token_its_team_and_a_sites_token_nothing(self, teams: tuple[Team, Team]) -> None:
        of_team, _ = issue_token(name="x", scopes=["read"], team=teams[0])
        of_site, _ = issue_token(name="y", scopes=["read"], site=Site.objects.create(name="Paris", slug="paris"))
        assert Visibility.of_token(of_team) == Visibility(frozenset([teams[0].pk]), unattributed=False)
        assert Visibility.of_token(of_site) == Visibility(frozenset(), unattributed=False)


class TestCanChange:
    def test_lets_members_change_their_team_and_viewers_none(self, teams: tuple[Team, Team]) -> None:
        member, viewer = person("member"), person("viewer")
        Membership.objects.create(user=member, team=teams[0], role="member")
        Membership.objects.create(user=viewer, team=teams[0], role="viewer")
        assert [can_change(member, team) for team in (*teams, None)] == [True, False, False]
        assert [can_change(viewer, team) for team in (*teams, None)] == [False, False, False]

    def test_lets_administrators_change_all_and_auditors_nothing(self, teams: tuple[Team, Team]) -> None:
        administrator, auditor = person("admin", "administrator"), person("auditor", "auditor")
        Membership.objects.create(user=auditor, team=teams[0], role="member")
        assert [can_change(administrator, team) for team in (*teams, None)] == [True, True, True]
        assert [can_change(auditor, team) for team in (*teams, None)] == [False, False, False]

    def test_counts_a_superuser_as_administrator_unless_inactive(self) -> None:
        assert can_administer(person("root", is_superuser=True))
        assert not can_administer(person("ex", is_superuser=True, is_active=False))
        assert not can_administer(AnonymousUser())
