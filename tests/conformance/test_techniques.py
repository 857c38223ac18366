"""What every technique keeps to. A new folder under `optimizer/techniques` is tested by being there."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest
import torch
from torch import Tensor, nn

from optimizer.techniques import registry
from optimizer.techniques.base import Suggestion, TechniqueSpec
from optimizer.training.checkpoint import tensors_of
from optimizer.training.data import WORKLOADS, TrainingWorkload, Workload, load_workload

pytestmark = pytest.mark.torch_training

SPECS = registry.all_techniques()
KEPT = TemporaryDirectory()  # trained workloads and artifacts of this session
KINDS = {"digits-classifier": "inference", "minilm-retrieval": "inference", "minilm-topics": "training"}
CASES = [
    (spec, key, suggestion)
    for spec in SPECS.values()
    for key in WORKLOADS
    for suggestion in spec.variants(KINDS[key], key)
]


@dataclass(frozen=True)
class Applied:
    workload: Workload
    model: nn.Module
    told: tuple[tuple[float, str], ...]
    before: dict[str, Tensor]
    hooked: list[nn.Module]
    artifact: Path


@cache
def opened(key: str) -> Workload:
    return load_workload(key, folder=KEPT.name)


@cache
def apply(technique: str, key: str, label: str) -> Applied:
    spec, workload = SPECS[technique], opened(key)
    (suggestion,) = (s for s in spec.suggestions if s.label == label)
    parameters, code = spec.complete(suggestion.parameters), registry.code_of(technique)
    before = {name: tensor.clone() for name, tensor in tensors_of(workload.model).items()}
    told: list[tuple[float, str]] = []
    hooked: list[nn.Module] = []
    hook = workload.model.register_forward_hook(lambda module, inputs, output: hooked.append(module))
    model = code.apply(workload.model, workload, parameters, progress=lambda f, text: told.append((f, text)))
    outputs(workload, model)
    hook.remove()
    artifact = Path(KEPT.name) / f"{technique}-{key}-{label}.safetensors"
    code.save(model, artifact)
    return Applied(workload, model, tuple(told), before, hooked, artifact)


def outputs(workload: Workload, model: nn.Module) -> Tensor:
    batch = workload.batches[0]
    inputs = batch[0] if isinstance(workload, TrainingWorkload) else batch
    model.eval()
    with torch.inference_mode():
        return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0].key}-{case[1]}-{case[2].label}")
def case(request: pytest.FixtureRequest) -> tuple[TechniqueSpec, str, Suggestion]:
    return request.param


@pytest.fixture
def applied(case: tuple[TechniqueSpec, str, Suggestion]) -> Applied:
    spec, key, suggestion = case
    return apply(spec.key, key, suggestion.label)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
class TestEverySpec:
    def test_says_what_it_is_and_where_it_comes_from(self, spec: TechniqueSpec) -> None:
        assert spec.kind in ("inference", "training")
        assert all((spec.key, spec.name, spec.summary, spec.source))
        assert urlsplit(spec.url).scheme == "https"

    def test_explains_every_parameter_and_gives_it_a_valid_default(self, spec: TechniqueSpec) -> None:
        assert spec.complete({}) == {p.name: p.default for p in spec.parameters}
        assert all(p.help and p.check(p.default) == p.default for p in spec.parameters)

    def test_suggests_different_valid_configurations_of_known_workloads(self, spec: TechniqueSpec) -> None:
        complete = [tuple(spec.complete(s.parameters).items()) for s in spec.suggestions]
        assert 0 < len(complete) == len(set(complete)) == len({s.label for s in spec.suggestions})
        assert {key for s in spec.suggestions for key in s.workloads} <= set(WORKLOADS)

    def test_is_read_without_torch(self, spec: TechniqueSpec) -> None:
        script = f"import sys, optimizer.techniques.{spec.key}.spec; print('torch' in sys.modules)"
        answer = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
        )
        assert answer.stdout.strip() == "False"

    def test_code_exports_what_the_contract_names(self, spec: TechniqueSpec) -> None:
        code = registry.code_of(spec.key)
        assert all(callable(getattr(code, name)) for name in ("apply", "save", "load"))


class TestEverySuggestion:
    def test_applies_to_every_workload_of_its_kind_that_it_is_offered_for(self) -> None:
        assert {spec.key for spec, _, _ in CASES} == set(SPECS)
        assert {key for _, key, _ in CASES} == set(WORKLOADS)

    def test_leaves_the_given_model_untouched(self, applied: Applied) -> None:
        now = tensors_of(applied.workload.model)
        assert now.keys() == applied.before.keys()
        assert all(torch.equal(tensor, applied.before[name]) for name, tensor in now.items())
        assert all(parameter.requires_grad for parameter in applied.workload.model.parameters())
        assert applied.hooked == []  # the original's hooks were not copied along

    def test_tells_a_progress_that_rises_to_one(self, applied: Applied) -> None:
        fractions = [fraction for fraction, _ in applied.told]
        assert fractions == sorted(fractions) and fractions[-1] == 1.0
        assert all(text for _, text in applied.told)

    def test_saved_file_opens_as_the_same_model_to_the_last_bit(
        self, case: tuple[TechniqueSpec, str, Suggestion], applied: Applied
    ) -> None:
        spec, _, suggestion = case
        code, parameters = registry.code_of(spec.key), spec.complete(suggestion.parameters)
        again = code.load(applied.artifact, applied.workload, parameters)
        assert torch.equal(outputs(applied.workload, again), outputs(applied.workload, applied.model))

    def test_saved_file_is_smaller_than_the_unchanged_model(self, applied: Applied) -> None:
        whole = sum(tensor.nbytes for tensor in applied.before.values())
        assert applied.artifact.stat().st_size < 0.7 * whole

    def test_can_do_the_workloads_unit_of_work(self, applied: Applied) -> None:
        model = applied.model
        if isinstance(applied.workload, TrainingWorkload):
            assert sum(p.numel() for p in model.parameters() if p.requires_grad) > 0
        work = applied.workload.worker(model)
        assert work(applied.workload.batches[0]) is not None
