"""Which machines a team may use."""

from django.db.models import Q, QuerySet

from accounting.models import Team
from optimizer.models import Hardware


def usable_by(team: Team) -> QuerySet[Hardware]:
    """Approved machines that are open to every team or to this one. Says nothing about whether they are alive."""
    restricted = Hardware.teams.through.objects.values("hardware_id")
    theirs = restricted.filter(team_id=team.pk)
    return Hardware.objects.filter(~Q(pk__in=restricted) | Q(pk__in=theirs), state=Hardware.State.APPROVED)
