"""Built-in workloads: a model with real data, a unit of work, and a quality that can be checked against the truth.

    minilm-retrieval    sentence encoder; finds the rest of a docstring from its first line; recall at 10
    digits-classifier   small network trained here on scanned digits; accuracy on digits it never saw
    minilm-topics       fine-tunes the sentence encoder to tell standard-library packages apart; accuracy

No network: the models come from installed packages or are trained here, the data from scikit-learn and Python itself.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import nn

from optimizer.training import checkpoint

Batch = Any  # what `worker` understands; opaque to everyone else
Progress = Callable[[float, str], None]


class UnknownWorkload(KeyError):
    """No built-in workload of this key."""


@dataclass(frozen=True, slots=True)
class QualityReading:
    """One score per held-out example, 0..1, in an order that is the same for every model; `mean` is the metric."""

    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.scores) / len(self.scores)


class Workload(ABC):
    """What is to be made cheaper. Deterministic: two workloads of one key and folder hold the same data and weights."""

    key: ClassVar[str]
    kind: ClassVar[Literal["inference", "training"]]
    unit: ClassVar[str]
    quality_metric: ClassVar[str]
    window_s: ClassVar[float] = 0.3  # shortest time in which this workload's energy can be told from noise

    batches: Sequence[Batch]  # one pass of work, the same for every variant
    units_per_batch: int
    singles: Sequence[Batch]  # one unit each: what latency is timed on

    @cached_property
    def model(self) -> nn.Module:
        """The unchanged model, fp32, in eval mode. One object: whoever changes a model copies it first."""
        return self.pretrained()

    @abstractmethod
    def pretrained(self) -> nn.Module:
        """A new object with the same weights every time."""

    @abstractmethod
    def skeleton(self) -> nn.Module:
        """The same architecture on the meta device: shapes without memory, to be filled by `checkpoint.load`."""

    @abstractmethod
    def worker(self, model: nn.Module, *, learning_rate: float | None = None) -> Callable[[Batch], Any]:
        """A function that does one batch: one forward pass, or one optimizer step on `model`, whichever the kind is."""

    @abstractmethod
    def quality(self, model: nn.Module) -> QualityReading:
        """Score `model` on the held-out examples."""

    def save(self, model: nn.Module, path: Path) -> None:
        """Write an unquantized model of this architecture; the file's size is its size on disk."""
        checkpoint.save(model, path)

    def load(self, path: Path) -> nn.Module:
        return checkpoint.load(path, self.skeleton())


class TrainingWorkload(Workload):
    """A workload whose unit is a training step. `learning_rate` is what full fine-tuning uses."""

    kind = "training"
    learning_rate: ClassVar[float]
    steps: ClassVar[int]

    @abstractmethod
    def train(self, model: nn.Module, *, learning_rate: float, progress: Progress) -> dict[str, float]:
        """One whole fine-tuning run, in place; returns facts such as `optimizer_state_bytes`."""


WORKLOADS = {
    "digits-classifier": ("optimizer.training.digits", "DigitsClassifier"),
    "minilm-retrieval": ("optimizer.training.retrieval", "MinilmRetrieval"),
    "minilm-topics": ("optimizer.training.topics", "MinilmTopics"),
}


def load_workload(key: str, *, folder: str | Path) -> Workload:
    """Open a built-in workload; `folder` keeps what is trained here (digits: a few seconds, the first time only).

    Raises:
        UnknownWorkload: no such key.
    """
    if key not in WORKLOADS:
        raise UnknownWorkload(f"no built-in workload {key!r}; there are {', '.join(WORKLOADS)}")
    module, name = WORKLOADS[key]
    return getattr(importlib.import_module(module), name)(Path(folder))
