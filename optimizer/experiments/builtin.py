"""The workloads that come with the product, as the web sees them. Their models and data are in `optimizer.training`."""

from dataclasses import dataclass

from accounting.models import Team
from optimizer.models import Workload


@dataclass(frozen=True, slots=True)
class BuiltinWorkload:
    key: str  # of optimizer.training.data
    name: str
    description: str
    kind: str  # "inference" or "training": which techniques apply
    functional_unit: str
    quality_metric: str  # 0..1
    memory_bytes: int  # what a machine needs to run the whole experiment, with room to spare


BUILTIN = {
    workload.key: workload
    for workload in (
        BuiltinWorkload(
            key="minilm-retrieval",
            name="MiniLM sentence search",
            description=(
                "The sentence encoder all-MiniLM-L6-v2 (22.7 million parameters) embeds Python docstrings for search. "
                "Quality is how often the rest of a docstring is among the ten nearest to its first line."
            ),
            kind="inference",
            functional_unit="inference",
            quality_metric="recall@10",
            memory_bytes=3 << 30,
        ),
        BuiltinWorkload(
            key="digits-classifier",
            name="Handwritten digits",
            description=(
                "Three linear layers (0.3 million parameters) trained on scikit-learn's scanned digits. Quality is "
                "accuracy on digits that it was not trained on."
            ),
            kind="inference",
            functional_unit="image",
            quality_metric="accuracy",
            memory_bytes=1 << 30,
        ),
        BuiltinWorkload(
            key="minilm-topics",
            name="MiniLM topic fine-tuning",
            description=(
                "The MiniLM sentence encoder is fine-tuned to tell from a docstring which package it is from: full "
                "fine-tuning against methods that train fewer parameters. Quality is accuracy on unseen docstrings."
            ),
            kind="training",
            functional_unit="training step",
            quality_metric="accuracy",
            memory_bytes=4 << 30,
        ),
    )
}


class UnknownBuiltin(KeyError):
    """No workload of this key comes with the product."""


def builtin(key: str) -> BuiltinWorkload:
    """
    Raises:
        UnknownBuiltin: no such workload.
    """
    try:
        return BUILTIN[key]
    except KeyError:
        raise UnknownBuiltin(f"no built-in workload {key!r}; there are {', '.join(BUILTIN)}") from None


def add_builtin_workload(team: Team, key: str) -> Workload:
    """Give a team this workload; the one it has already where it was added before."""
    facts = builtin(key)
    workload, _ = Workload.objects.get_or_create(
        team=team,
        name=facts.name,
        defaults={
            "builtin": facts.key,
            "description": facts.description,
            "kind": facts.kind,
            "functional_unit": facts.functional_unit,
            "quality_metric": facts.quality_metric,
        },
    )
    return workload


def add_builtin_workloads(team: Team) -> list[Workload]:
    """Give a team every built-in workload."""
    return [add_builtin_workload(team, key) for key in BUILTIN]
