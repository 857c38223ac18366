"""What a new installation starts with: a site, a team, an administrator, and a token for this machine's agent."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction

from accounting.access import AccessDenied, authenticate, issue_token
from accounting.models import ApiToken, Site, Team, User
from optimizer.experiments.builtin import add_builtin_workloads


@dataclass(frozen=True, slots=True)
class Installation:
    site: Site
    team: Team
    administrator: User
    token_file: Path


@transaction.atomic
def prepare(*, data_dir: Path, now: datetime) -> Installation:
    """Make what is missing and keep what is there; safe to run at every start."""
    site = Site.objects.order_by("pk").first() or Site.objects.create(name="Main site", slug="main")
    team = Team.objects.order_by("pk").first()
    if team is None:
        team = Team.objects.create(name="First team", slug="first-team")
        add_builtin_workloads(team)
    administrator = first_administrator() or _create_administrator()
    return Installation(site, team, administrator, _agent_token_file(data_dir, site, now=now))


def first_administrator() -> User | None:
    return (
        User.objects.filter(is_active=True, organisation_role=User.OrganisationRole.ADMINISTRATOR)
        .order_by("pk")
        .first()
    )


def _create_administrator() -> User:
    taken = User.objects.filter(username="admin").exists()
    user = User(
        username=f"admin-{secrets.token_hex(2)}" if taken else "admin",
        organisation_role=User.OrganisationRole.ADMINISTRATOR,
        is_staff=True,
        is_superuser=True,
    )
    user.set_unusable_password()  # signs in by the one-time link, then sets a password under Members
    user.save()
    return user


def _agent_token_file(data_dir: Path, site: Site, *, now: datetime) -> Path:
    """A file with a token for this machine's agent: the one kept there while it works, else a new one."""
    path = data_dir / "agent.token"
    if path.exists():
        try:
            authenticate(f"Bearer {path.read_text().strip()}", scope=ApiToken.Scope.INGEST, now=now)
            return path
        except AccessDenied:
            path.unlink()
    _, secret = issue_token(name="This machine's agent", scopes=[ApiToken.Scope.INGEST], site=site)
    path.touch(mode=0o600)
    path.write_text(secret + "\n")
    return path
