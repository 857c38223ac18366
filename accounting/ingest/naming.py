"""Whose a reading is, by the labels it came with: a pod's, a resource's. Pure, but for reading the rules.

What our own labels say holds. Else the first rule that matches; else a pod is a job of its own and nobody's.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.db.models import Q

from accounting.models import ApiToken, LabelRule

JOB, TEAM, PROJECT = "greenai.job", "greenai.team", "greenai.project"  # Prometheus: with _ in place of dots
NAMESPACE, POD = ("namespace", "k8s.namespace.name"), ("pod", "k8s.pod.name")
SHORT_NAMES = {  # what Prometheus says for OpenTelemetry's: a rule is written once for both
    "k8s.namespace.name": "namespace",
    "k8s.pod.name": "pod",
    "k8s.container.name": "container",
    "k8s.node.name": "node",
}
LONGEST_JOB = 200
LONGEST_VALUE = 256  # of a label that a rule is tried on
_QUOTED = re.compile(r"\{([^{}]+)\}")
_NOT_SLUG = re.compile(r"[^a-zA-Z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Named:
    """Whose a reading is. `team` is a slug; None: nobody's, or the token's."""

    job: str
    team: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A `LabelRule` as it is applied."""

    matches: tuple[tuple[str, str], ...]  # label, regular expression of the whole value
    job: str
    team: str | None = None
    project: str = ""


def rules_for(token: ApiToken) -> list[Rule]:
    """The rules of the token's site and those of every site, in order. One query."""
    mine = Q(site=None) | Q(site=token.site_id) if token.site_id is not None else Q(site=None)
    return [rule_of(row) for row in LabelRule.objects.filter(mine).select_related("team").order_by("position", "pk")]


def rule_of(row: LabelRule) -> Rule:
    """A row as it is applied."""
    return Rule(tuple(sorted(row.matches.items())), row.job, row.team.slug if row.team else None, row.project)


def named(labels: Mapping[str, str], rules: Iterable[Rule]) -> Named | None:
    """The job that these labels mean; None where they tell of none.

    Args:
        labels: as they came; both `greenai.job` and `greenai_job` are our own.
    """
    if own := _own(labels, JOB):
        return Named(own[:LONGEST_JOB], _own(labels, TEAM), slug_of(_own(labels, PROJECT) or "") or None)
    if (found := by_rule(labels, rules)) is not None:
        return found[1]
    pod = _first(labels, POD)
    if not pod:
        return None
    namespace = _first(labels, NAMESPACE)
    return Named((f"{namespace}/{pod}" if namespace else pod)[:LONGEST_JOB])


def by_rule(labels: Mapping[str, str], rules: Iterable[Rule]) -> tuple[int, Named] | None:
    """The first rule that matches and names a job, by its place, and what it says."""
    labels = _with_short_names(labels)
    for place, rule in enumerate(rules):
        if (groups := _matched(rule, labels)) is not None:
            known = {**labels, **groups}
            job = _filled(rule.job, known)
            if job:
                return place, Named(job[:LONGEST_JOB], rule.team, slug_of(_filled(rule.project, known)) or None)
    return None


def slug_of(text: str) -> str:
    """Text as a slug of at most 60 characters."""
    return _NOT_SLUG.sub("-", text).strip("-")[:60]


def _with_short_names(labels: Mapping[str, str]) -> Mapping[str, str]:
    known = {short: labels[long] for long, short in SHORT_NAMES.items() if long in labels}
    return {**known, **labels} if known else labels


def _own(labels: Mapping[str, str], name: str) -> str | None:
    return labels.get(name) or labels.get(name.replace(".", "_")) or None


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _matched(rule: Rule, labels: Mapping[str, str]) -> dict[str, str] | None:
    """The named groups of a rule whose every expression matches; None where one does not."""
    groups: dict[str, str] = {}
    for label, expression in rule.matches:
        value = labels.get(label, "")
        found = _compiled(expression).fullmatch(value) if len(value) <= LONGEST_VALUE else None
        if found is None:
            return None
        groups |= {name: value for name, value in found.groupdict().items() if value is not None}
    return groups


def _filled(template: str, known: Mapping[str, str]) -> str:
    """A template with the labels and groups it quotes; one that is not there is left out."""
    return _QUOTED.sub(lambda quoted: known.get(quoted[1], ""), template).strip(" /-")


@lru_cache(maxsize=512)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)
