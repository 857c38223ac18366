"""An embedding table of 8-bit rows: each row has its own scale and offset."""

import torch
from torch import Tensor, nn


class Int8Embedding(nn.Module):
    """Row i holds q_i in 0..255 and stands for low_i + scale_i q_i; |error| <= scale_i / 2."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.register_buffer("q", torch.empty(rows, width, dtype=torch.uint8))
        self.register_buffer("scale", torch.empty(rows, 1))
        self.register_buffer("low", torch.empty(rows, 1))

    @classmethod
    def from_float(cls, table: nn.Embedding) -> "Int8Embedding":
        weight = table.weight.detach()  # (V, C)
        low, high = weight.amin(dim=1, keepdim=True), weight.amax(dim=1, keepdim=True)  # (V, 1)
        scale = ((high - low) / 255).clamp(min=torch.finfo(torch.float32).tiny)
        made = cls(*weight.shape)
        made.q = ((weight - low) / scale).round().clamp(0, 255).to(torch.uint8)
        made.scale, made.low = scale, low
        return made

    def forward(self, ids: Tensor) -> Tensor:
        return self.low[ids] + self.scale[ids] * self.q[ids]  # (..., C)


def int8_embeddings(model: nn.Module) -> nn.Module:
    """Replace every `nn.Embedding` in place."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Embedding):
            model.set_submodule(name, Int8Embedding.from_float(module))
    return model
