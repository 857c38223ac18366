"""From a goal and a workload to the variants worth measuring: the unchanged model first, then the candidates."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PlannedVariant:
    """One configuration to build and measure. Technique "none" is the unchanged model."""

    technique: str
    label: str
    parameters: dict[str, Any] = field(default_factory=dict)
