"""From a workload to the variants worth measuring: the unchanged model first, then every technique's suggestions.

The goal leaves nothing out: which technique serves which goal on this machine is what the experiment is to find out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optimizer.techniques.registry import all_techniques, technique

BASELINE = "none"  # the technique of the unchanged model
BASELINE_LABELS = {"inference": "Unchanged model", "training": "Full fine-tuning"}


@dataclass(frozen=True, slots=True)
class PlannedVariant:
    """One configuration to build and measure."""

    technique: str
    label: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Names this choice in a form: technique and label."""
        return f"{self.technique}: {self.label}"


def baseline(workload_kind: str) -> PlannedVariant:
    return PlannedVariant(BASELINE, BASELINE_LABELS[workload_kind])


def candidates(workload_kind: str, builtin: str) -> list[PlannedVariant]:
    """What to try on this workload, in the order of the registry, with every parameter spelled out."""
    return [
        planned(spec.key, suggestion.label, suggestion.parameters)
        for spec in all_techniques().values()
        for suggestion in spec.variants(workload_kind, builtin)
    ]


def planned(key: str, label: str, parameters: Mapping[str, object]) -> PlannedVariant:
    """A variant with its parameters checked and completed.

    Raises:
        UnknownTechnique, ParameterError: from `optimizer.techniques`.
    """
    return PlannedVariant(key, label, dict(technique(key).complete(parameters)))


def plan(workload_kind: str, builtin: str, *, chosen: list[str] | None = None) -> list[PlannedVariant]:
    """The baseline and the candidates; only those whose `key` was chosen, where a person chose."""
    tried = [variant for variant in candidates(workload_kind, builtin) if chosen is None or variant.key in chosen]
    return [baseline(workload_kind), *tried]
