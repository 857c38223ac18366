"""How good a model is, example by example, against known answers."""

import torch
from torch import Tensor


def correct(logits: Tensor, labels: Tensor) -> tuple[float, ...]:
    """1 where the largest of `logits` (N, K) is at the label (N,), else 0."""
    return tuple((logits.argmax(dim=-1) == labels).float().tolist())


def found_in_top(queries: Tensor, documents: Tensor, *, k: int) -> tuple[float, ...]:
    """1 for query i (N, C) when document i (N, C) is among its k nearest by dot product, else 0."""
    similarity = queries @ documents.T  # (N, N)
    nearest = similarity.topk(k, dim=-1).indices  # (N, k)
    truth = torch.arange(len(queries)).unsqueeze(-1)  # (N, 1)
    return tuple((nearest == truth).any(dim=-1).float().tolist())
