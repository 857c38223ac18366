"""A model as one safetensors file, and back: no pickle, so that opening a file never runs code."""

import copy
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class CheckpointMismatch(ValueError):
    """The file does not hold what this model needs."""


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer by name, each once, also the buffers that a state dict leaves out.

    A model built on the meta device has none of them, so whatever is to come back has to be in the file.
    """
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach().contiguous() for name, tensor in named.items()}


def save(model: nn.Module, path: Path) -> None:
    save_file(tensors_of(model), str(path))


def load(path: Path, skeleton: nn.Module) -> nn.Module:
    """Put the saved tensors into `skeleton` (for example built on the meta device) and return it in eval mode.

    Raises:
        CheckpointMismatch: names or shapes differ.
    """
    place(load_file(str(path)), skeleton)
    return skeleton.eval()


def place(tensors: dict[str, Tensor], model: nn.Module) -> None:
    """Replace the parameters and buffers of `model` by these, without copying them.

    Raises:
        CheckpointMismatch: names or shapes differ.
    """
    wanted = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if different := sorted(set(wanted) ^ set(tensors)):
        raise CheckpointMismatch(f"{len(different)} names differ between file and model, the first is {different[0]}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointMismatch(f"{name} is {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}")
        owner_name, _, leaf = name.rpartition(".")
        owner = model.get_submodule(owner_name)
        if leaf in owner._parameters:
            owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=wanted[name].requires_grad)
        else:
            owner._buffers[leaf] = tensor


def fresh_copy(model: nn.Module) -> nn.Module:
    """A deep copy without the original's hooks.

    `copy.deepcopy` copies forward hooks too, and a copied hook writes into whatever the original's hook captured.
    """
    copied = copy.deepcopy(model)
    for module in copied.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks):
            hooks.clear()
    return copied


def on_meta(build, *arguments) -> nn.Module:
    """Build a model that has shapes but no memory yet."""
    with torch.device("meta"):
        return build(*arguments).eval()
