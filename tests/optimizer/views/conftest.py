"""People who look at the optimizer's pages: a member, a viewer, an auditor, an administrator and a stranger."""

from dataclasses import dataclass

import pytest
from django.test import Client

from accounting.models import Membership, Team, User
from optimizer import tasks
from tests.optimizer.rows import a_team, a_user


@dataclass
class People:
    team: Team
    other_team: Team
    member: Client
    viewer: Client
    auditor: Client
    administrator: Client
    stranger: Client  # of another team


@pytest.fixture
def people(db):
    team, other_team = a_team("Vision"), a_team("Speech")
    roles = User.OrganisationRole
    return People(
        team,
        other_team,
        member=signed_in(a_user("member", team)),
        viewer=signed_in(a_user("viewer", team, Membership.Role.VIEWER)),
        auditor=signed_in(a_user("auditor", organisation_role=roles.AUDITOR)),
        administrator=signed_in(a_user("administrator", organisation_role=roles.ADMINISTRATOR)),
        stranger=signed_in(a_user("stranger", other_team)),
    )


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def sent(monkeypatch):
    """Messages instead of a broker: (experiment id, queue)."""
    messages = []
    monkeypatch.setattr(
        tasks.run_experiment, "apply_async", lambda *, kwargs, queue: messages.append((kwargs["experiment_id"], queue))
    )
    return messages
