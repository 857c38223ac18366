"""Quantized models as plain tensors, so that they fit a safetensors file: integers, scales, zero points, biases.

The weight of a linear layer `name` becomes `name.dynamic.*` or `name.weight_only.*`, an embedding's `name.q`,
`name.scale`, `name.low`; everything else keeps its own name.
"""

import torch
from torch import Tensor, nn

from optimizer.techniques.quantize.libraries import DynamicLinear, Int8Tensor, dynamic_layer
from optimizer.techniques.quantize.rows import Int8Embedding
from optimizer.training import checkpoint

Tensors = dict[str, Tensor]


def pack(model: nn.Module) -> Tensors:
    """Every tensor of the model; weights are int8 (out, in) with a scale per output channel."""
    tensors: Tensors = {}
    quantized: set[str] = set()
    for name, module in model.named_modules():
        if parts := _pack_linear(module):
            quantized.add(name)
            tensors |= {f"{name}.{key}": tensor.detach().contiguous() for key, tensor in parts.items()}
    for name, tensor in checkpoint.tensors_of(model).items():
        if name.rpartition(".")[0] not in quantized:
            tensors[name] = tensor
    return tensors


def unpack(tensors: Tensors, skeleton: nn.Module) -> nn.Module:
    """Rebuild the quantized layers inside `skeleton` (meta device) and fill in the rest.

    Raises:
        CheckpointMismatch: the file does not hold what the skeleton needs.
    """
    linears: dict[tuple[str, str], Tensors] = {}
    rest: Tensors = {}
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        layer, _, form = owner.rpartition(".")
        if form in _UNPACK:
            linears.setdefault((layer, form), {})[leaf] = tensor
        else:
            rest[name] = tensor
    for name, module in list(skeleton.named_modules()):
        if isinstance(module, nn.Embedding) and f"{name}.q" in rest:
            skeleton.set_submodule(name, Int8Embedding(module.num_embeddings, module.embedding_dim).to("meta"))
    for layer, _ in linears:
        skeleton.set_submodule(layer, nn.Identity())  # wants no tensor while the rest is put in place
    checkpoint.place(rest, skeleton)
    for (layer, form), parts in linears.items():
        skeleton.set_submodule(layer, _UNPACK[form](parts))
    return skeleton


def _pack_linear(module: nn.Module) -> Tensors:
    if isinstance(module, DynamicLinear):
        q, bias = module._packed_params._weight_bias()
        form, scale, zero, q = "dynamic", q.q_per_channel_scales(), q.q_per_channel_zero_points(), q.int_repr()
    elif isinstance(module, nn.Linear) and isinstance(module.weight, Int8Tensor):
        form, bias, weight = "weight_only", module.bias, module.weight
        q, scale, zero = weight.qdata, weight.scale, weight.zero_point
    else:
        return {}
    parts = {f"{form}.q": q, f"{form}.scale": scale, f"{form}.zero": zero}
    return parts if bias is None else {**parts, f"{form}.bias": bias}


def _dynamic(parts: Tensors) -> nn.Module:
    return dynamic_layer(parts["q"], parts["scale"], parts["zero"], parts.get("bias"))


def _weight_only(parts: Tensors) -> nn.Module:
    q, bias = parts["q"], parts.get("bias")  # (out, in), (out,)
    layer = nn.Linear(q.shape[1], q.shape[0], bias=bias is not None, device="meta")
    weight = Int8Tensor(q, parts["scale"], [1, q.shape[1]], torch.float32, zero_point=parts["zero"])
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


_UNPACK = {"dynamic": _dynamic, "weight_only": _weight_only}
