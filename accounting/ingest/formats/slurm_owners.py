"""Whose a Slurm account's jobs are, as the importer states it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from accounting.ingest.formats.imported import ImportRefused

_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,60}")
_NOT_SLUG = re.compile(r"[^a-zA-Z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Owner:
    """`team` None: nobody's. A project is always a team's."""

    team: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Owners:
    as_project: bool
    stated: Mapping[str, Owner]
    team: str | None = None  # of accounts that nothing is stated of

    def of(self, account: str) -> Owner:
        account = account.strip()
        slug = _NOT_SLUG.sub("-", account).strip("-")[:60] if self.as_project else ""
        owner = self.stated.get(account.lower()) or Owner(None, slug or None)
        team = owner.team or self.team
        return Owner(team, owner.project if team else None)


def owners(written: str, *, team: str = "") -> Owners:
    """Read what is stated of accounts: `project` (each is a project), nothing, or a line an account.

    A line is `account = team`, `account = team/project` or `account = /project` (of the team imported for).

    Raises:
        ImportRefused: a line is none of these.
    """
    lines = [line.strip() for line in re.split(r"[\n;]", written) if line.strip()]
    as_project = "project" in lines
    stated = {}
    for line in lines:
        if line == "project":
            continue
        account, equals, owner = (part.strip() for part in line.partition("="))
        of_team, _, project = (part.strip() for part in owner.partition("/"))
        slugs = [slug for slug in (of_team, project) if slug]
        if not equals or not account or not slugs or not all(map(_is_slug, slugs)):
            raise ImportRefused(f"accounts: {line[:60]!r} is not like physics = team-a or physics = team-a/project-x")
        stated[account.lower()] = Owner(of_team or None, project or None)
    return Owners(as_project, stated, team or None)


def _is_slug(text: str) -> bool:
    return _SLUG.fullmatch(text) is not None
