"""Making variants, in the child: build, save, open again. What is measured is what the saved file gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from optimizer.measure import memory
from optimizer.measure.protocol import BASELINE, PlannedVariant
from optimizer.techniques import registry
from optimizer.training.checkpoint import fresh_copy
from optimizer.training.data import TrainingWorkload, Workload, load_workload

Progress = Callable[[float, str], None]


class WrongKind(ValueError):
    """A technique for training on a workload that serves, or the other way round."""


@dataclass(frozen=True)
class Recipe:
    """One variant with its parameters complete and checked."""

    position: int
    technique: str
    parameters: dict[str, Any]

    @classmethod
    def of(cls, planned: PlannedVariant, workload: Workload) -> "Recipe":
        """
        Raises:
            WrongKind: the technique does not fit the workload.
            ParameterError, UnknownTechnique: the plan names what does not exist.
        """
        if planned.technique == BASELINE:
            return cls(planned.position, BASELINE, {})
        spec = registry.technique(planned.technique)
        if spec.kind != workload.kind:
            raise WrongKind(f"{spec.name} is for {spec.kind}, {workload.key} is {workload.kind}")
        registry.code_of(spec.key)  # imported now: its time and energy are no cost of making this variant
        return cls(planned.position, spec.key, spec.complete(planned.parameters))

    @property
    def file_name(self) -> str:
        return f"{self.position}-{self.technique}.safetensors"

    def make(self, workload: Workload, artifacts: Path, progress: Progress) -> dict[str, float]:
        """Build (and train, if that is the kind), and save. Returns facts worth keeping."""
        if self.technique == BASELINE:
            model = fresh_copy(workload.model)
        else:
            model = registry.code_of(self.technique).apply(workload.model, workload, self.parameters, progress=_quiet)
        facts: dict[str, float] = {}
        if isinstance(workload, TrainingWorkload):
            facts = workload.train(model, learning_rate=self._learning_rate(workload), progress=progress)
        self._save(workload, model, artifacts / self.file_name)
        progress(1.0, "saved")
        return facts

    def open(self, workload: Workload, artifacts: Path) -> nn.Module:
        path = artifacts / self.file_name
        if self.technique == BASELINE:
            return workload.load(path)
        return registry.code_of(self.technique).load(path, workload, self.parameters)

    def worker(self, workload: Workload, model: nn.Module) -> Callable[[Any], Any]:
        return workload.worker(model, learning_rate=self.parameters.get("learning_rate"))

    def _learning_rate(self, workload: TrainingWorkload) -> float:
        return self.parameters.get("learning_rate", workload.learning_rate)

    def _save(self, workload: Workload, model: nn.Module, path: Path) -> None:
        if self.technique == BASELINE:
            workload.save(model, path)
        else:
            registry.code_of(self.technique).save(model, path)


def peak_of(recipe: Recipe, workload_key: str, folder: str, artifacts: str, threads: int) -> int:
    """In a fresh process: open this one variant, do every batch once, and answer the peak in bytes."""
    torch.set_num_threads(threads)
    workload = load_workload(workload_key, folder=folder)
    memory.reset_peak()
    work = recipe.worker(workload, recipe.open(workload, Path(artifacts)))
    for batch in workload.batches:
        work(batch)
    return memory.peak_bytes()


def modules_of(workload: Workload, recipes: Sequence[Recipe]) -> list[str]:
    """What the fork server imports, so that every variant's process starts from the same floor."""
    techniques = {f"optimizer.techniques.{r.technique}.apply" for r in recipes if r.technique != BASELINE}
    return [__name__, type(workload).__module__, *sorted(techniques)]


def _quiet(fraction: float, text: str) -> None:
    """Most of the time goes into training and saving, which tell their own progress."""
