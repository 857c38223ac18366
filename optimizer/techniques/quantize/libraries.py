"""The two int8 libraries, with their notices kept quiet: exactly those named here, nothing else.

torch 2.13 still carries `torch.ao.quantization`, which alone has integer kernels for x86 and ARM in eager mode, and
says that it will go. When it does, `dynamic_int8` is what has to change.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.ao.nn.quantized.dynamic import Linear as DynamicLinear

from optimizer.training.quiet import quiet

quiet()
from torchao.quantization import Int8Tensor, Int8WeightOnlyConfig, quantize_  # noqa: E402

__all__ = ["DynamicLinear", "Int8Tensor", "Int8WeightOnlyConfig", "dynamic_int8", "dynamic_layer", "quantize_"]


def dynamic_int8(model: nn.Module) -> nn.Module:
    """Replace every `nn.Linear` in place by one with per-channel int8 weights and integer products."""
    with _deprecation_notices_ignored():
        from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

        return quantize_dynamic(model, {nn.Linear: per_channel_dynamic_qconfig}, inplace=True)


def dynamic_layer(q: Tensor, scale: Tensor, zero: Tensor, bias: Tensor | None) -> nn.Module:
    """One such layer from its int8 weight (out, in), scales and zero points (out,), and bias (out,)."""
    with _deprecation_notices_ignored():
        layer = DynamicLinear(q.shape[1], q.shape[0], bias_=bias is not None)
        layer.set_weight_bias(torch._make_per_channel_quantized_tensor(q, scale, zero, 0), bias)
        return layer


@contextmanager
def _deprecation_notices_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"torch\.ao\.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", r"torch\.quantize_per_tensor, .* are deprecated", UserWarning)
        yield
