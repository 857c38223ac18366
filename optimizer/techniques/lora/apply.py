"""LoRA with peft (Hu et al. 2021, arXiv 2106.09685).

Each chosen linear layer W (out, in) is frozen and answers h = W x + (alpha / r) B A x, with A (r, in) random and
B (out, r) zero, so that training starts at exactly the unchanged model. A, B and the task's head are trained.
"""

from collections.abc import Mapping
from pathlib import Path

from optimizer.techniques.base import Progress, Setting
from optimizer.training.checkpoint import CheckpointMismatch, fresh_copy
from optimizer.training.data import Workload
from optimizer.training.quiet import quiet
from optimizer.training.seed import seed_everything

quiet()
from peft import LoraConfig, get_peft_model  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import nn  # noqa: E402

SEED = 11  # of the random A
NOT_ADAPTED = ("head", "pooler")  # trained in full, or without influence on the output


def apply(model: nn.Module, workload: Workload, parameters: Mapping[str, Setting], *, progress: Progress) -> nn.Module:
    """The model to train: only the corrections and the head require a gradient."""
    adapted = _adapt(fresh_copy(model), parameters)
    progress(1.0, "low-rank corrections added")
    return adapted


def merge(model: nn.Module) -> nn.Module:
    """A plain model of the original architecture with W + (alpha / r) B A in each adapted layer; `model` stays."""
    return fresh_copy(model).merge_and_unload().eval()


def save(model: nn.Module, path: Path) -> None:
    """The trained tensors alone: the frozen model is the same for every task and is kept once."""
    save_file({n: p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}, str(path))


def load(path: Path, workload: Workload, parameters: Mapping[str, Setting]) -> nn.Module:
    """
    Raises:
        CheckpointMismatch: the file was trained with other parameters.
    """
    adapted = _adapt(workload.pretrained(), parameters)
    trained = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    tensors = load_file(str(path))
    if {n: t.shape for n, t in tensors.items()} != {n: p.shape for n, p in trained.items()}:
        raise CheckpointMismatch(f"{path.name} holds other tensors than rank {parameters['rank']} has on these layers")
    for name, parameter in trained.items():
        parameter.data = tensors[name]
    return adapted.eval()


def _adapt(model: nn.Module, parameters: Mapping[str, Setting]) -> nn.Module:
    """Wrap `model`, in place."""
    seed_everything(SEED)
    linears = [
        n for n, m in model.named_modules() if isinstance(m, nn.Linear) and not set(NOT_ADAPTED) & set(n.split("."))
    ]
    targets = [n for n in linears if parameters["targets"] == "all" or ".attention." in n]
    if not targets:
        raise ValueError(f"no linear layer to adapt with targets={parameters['targets']!r}: try targets='all'")
    config = LoraConfig(
        r=parameters["rank"], lora_alpha=parameters["alpha"], target_modules=targets, modules_to_save=["head"]
    )
    return get_peft_model(model, config)
