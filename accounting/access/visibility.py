"""What a person or a program may see and change."""

from dataclasses import dataclass
from typing import Self

from django.contrib.auth.models import AnonymousUser

from accounting.models import ApiToken, Membership, Team, User

Role = User.OrganisationRole


@dataclass(frozen=True, slots=True)
class Visibility:
    """Whose figures may be shown. Reports filter by it and by nothing else."""

    team_ids: frozenset[int] | None  # None: every team
    unattributed: bool  # energy that no team answers for

    @classmethod
    def of_token(cls, token: ApiToken) -> Self:
        """A team's token sees its team, the organisation's everything. A site's token speaks for machines that many
        teams share, so it reads nothing."""
        if token.team_id is None and token.site_id is None:
            return cls(team_ids=None, unattributed=True)
        return cls(frozenset([token.team_id]) if token.team_id is not None else frozenset(), unattributed=False)

    def shows(self, team_id: int | None) -> bool:
        """Whether figures of this team (None: of no team) may be shown."""
        if team_id is None:
            return self.unattributed
        return self.team_ids is None or team_id in self.team_ids


EVERYTHING = Visibility(team_ids=None, unattributed=True)
NOTHING = Visibility(team_ids=frozenset(), unattributed=False)


def visible_to(user: User | AnonymousUser) -> Visibility:
    """What this person may see: everything for administrators and auditors, else their teams. At most one query."""
    if not user.is_active:
        return NOTHING
    if can_administer(user) or user.organisation_role == Role.AUDITOR:
        return EVERYTHING
    team_ids = Membership.objects.filter(user_id=user.pk).values_list("team_id", flat=True)
    return Visibility(team_ids=frozenset(team_ids), unattributed=False)


def can_administer(user: User | AnonymousUser) -> bool:
    """May change people, sites, tokens and hardware of the whole organisation."""
    return bool(user.is_active and (user.is_superuser or user.organisation_role == Role.ADMINISTRATOR))


def can_change(user: User | AnonymousUser, team: Team | None) -> bool:
    """May act for a team: run experiments, decide on advice, make its tokens. Without a team only administrators may.

    An auditor changes nothing, not even in a team of their own.
    """
    if can_administer(user):
        return True
    if not user.is_active or team is None or user.organisation_role == Role.AUDITOR:
        return False
    return Membership.objects.filter(user_id=user.pk, team=team, role=Membership.Role.MEMBER).exists()
