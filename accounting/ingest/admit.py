"""Which items of a checked batch this token may post. The rest become errors; nothing is written here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from accounting.agent.wire import ItemError
from accounting.ingest.shapes import LISTS, CheckedBatch, Fault
from accounting.models import ApiToken, Site, Team


@dataclass(frozen=True, slots=True)
class Admitted:
    """What may be stored. Every item has a host, or the agent has one; every team named exists and may be named."""

    batch: CheckedBatch
    errors: list[ItemError]  # all there were, of reading and of admission
    positions: dict[str, list[int]]  # of each list's items in the message
    team_ids: dict[str, int]  # of the teams named, by slug


def admit(batch: CheckedBatch, *, token: ApiToken, errors: Iterable[ItemError] = ()) -> Admitted:
    """Take out what the token may not post, with why.

    Args:
        errors: what reading the message found; those items are no longer in the batch.
    """
    found = list(errors)
    team_ids = _team_ids(batch, token)
    foreign_sites = _other_sites(batch, token)
    kept: dict[str, list[Any]] = {}
    positions: dict[str, list[int]] = {}
    for name in LISTS:
        items = getattr(batch, name)
        kept[name], positions[name] = items, _positions(name, len(items), found)
        if name == "device_samples" and batch.agent is not None:
            continue  # an agent has a host, and nothing else can be wrong with its samples
        faults = [_fault(name, item, batch, token, team_ids, foreign_sites) for item in items]
        if any(faults):
            places = list(zip(items, positions[name], faults, strict=True))
            found += [ItemError(name, at, f[0], f[1].code, f[1].detail) for _, at, f in places if f is not None]
            kept[name] = [item for item, _, fault in places if fault is None]
            positions[name] = [at for _, at, fault in places if fault is None]
    return Admitted(msgspec.structs.replace(batch, **kept), found, positions, team_ids)


def _positions(name: str, count: int, errors: Sequence[ItemError]) -> list[int]:
    """Where the items that were read stood in the message: everywhere that an error does not."""
    gone = {error.index for error in errors if error.list == name}
    return [at for at in range(count + len(gone)) if at not in gone]


def _fault(
    name: str, item: Any, batch: CheckedBatch, token: ApiToken, team_ids: dict[str, int], foreign_sites: set[str]
) -> tuple[str, Fault] | None:
    if name == "facility_samples":
        return _fault_of_site(item.site, token, foreign_sites)
    if name != "jobs" and item.host is None and batch.agent is None:
        return "host", Fault("missing", "neither the item nor an agent names a host: give one")
    return _fault_of_team(item, token, team_ids) if name in ("jobs", "job_marks") else None


def _fault_of_site(slug: str, token: ApiToken, foreign_sites: set[str]) -> tuple[str, Fault] | None:
    if token.site is None:
        return "site", Fault("not_permitted", f"site {slug!r}: only a site's token may post facility samples")
    if slug == token.site.slug:
        return None
    if slug in foreign_sites:
        return "site", Fault("not_permitted", f"site {slug!r}: this token speaks for {token.site.slug!r} only")
    return "site", Fault("unknown_site", f"there is no site {slug!r}; this token speaks for {token.site.slug!r}")


def _fault_of_team(item: Any, token: ApiToken, team_ids: dict[str, int]) -> tuple[str, Fault] | None:
    if token.team is not None:
        if item.team not in (None, token.team.slug):
            return "team", Fault("not_permitted", f"team {item.team!r}: this token speaks for {token.team.slug!r} only")
        return None
    if item.team is not None and item.team not in team_ids:
        return "team", Fault("unknown_team", f"there is no team {item.team!r}: an administrator can make it")
    if item.team is None and getattr(item, "project", None) is not None:
        return "team", Fault("missing", f"project {item.project!r} belongs to a team: name it")
    return None


def _team_ids(batch: CheckedBatch, token: ApiToken) -> dict[str, int]:
    named = {item.team for item in (*batch.jobs, *batch.job_marks)} - {None}
    if not named:
        return {}
    if token.team is not None:
        return {token.team.slug: token.team.pk}
    return dict(Team.objects.filter(slug__in=named).order_by().values_list("slug", "pk"))


def _other_sites(batch: CheckedBatch, token: ApiToken) -> set[str]:
    if not batch.facility_samples or token.site is None:
        return set()
    named = {sample.site for sample in batch.facility_samples} - {token.site.slug}
    return set(Site.objects.filter(slug__in=named).values_list("slug", flat=True)) if named else set()
