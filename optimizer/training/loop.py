"""The training loop: AdamW, a fixed number of steps, one seed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from optimizer.training.seed import seed_everything

Loss = Callable[[nn.Module, Any], Tensor]  # (model, batch) -> scalar


class Trainer:
    """One optimizer over the parameters of `model` that require a gradient.

    AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) keeps two moments per trained parameter, which is the
    optimizer state that `optimizer_state_bytes` counts.
    """

    def __init__(self, model: nn.Module, loss: Loss, *, learning_rate: float, warmup_steps: int = 0) -> None:
        self.model, self.loss, self.warmup_steps, self.learning_rate = model, loss, warmup_steps, learning_rate
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not self.trained:
            raise ValueError("no parameter requires a gradient: there is nothing to train")
        self.optimizer = torch.optim.AdamW(self.trained, lr=learning_rate, weight_decay=0.01)
        self.taken = 0

    def step(self, batch: Any) -> float:
        """One step; returns the loss before it."""
        self.taken += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * min(1.0, self.taken / max(1, self.warmup_steps))
        self.model.train()
        loss = self.loss(self.model, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        return loss.item()

    @property
    def trained_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.trained)

    @property
    def optimizer_state_bytes(self) -> int:
        """Bytes of the moments; the step counters (one number a tensor) are left out."""
        states = self.optimizer.state.values()
        return sum(s[k].nbytes for s in states for k in ("exp_avg", "exp_avg_sq") if k in s)


def fit(
    trainer: Trainer, batches: Sequence[Any], *, steps: int, seed: int, progress: Callable[[float, str], None]
) -> list[float]:
    """`steps` steps over `batches` in an order drawn from `seed`, again and again; returns the losses.

    Raises:
        FloatingPointError: the loss became NaN or infinite.
    """
    losses: list[float] = []
    order = _shuffled_forever(len(batches), seed_everything(seed))
    for step in range(1, steps + 1):
        losses.append(trainer.step(batches[next(order)]))
        if not torch.isfinite(torch.tensor(losses[-1])):
            raise FloatingPointError(f"the loss is {losses[-1]} at step {step}: lower the learning rate")
        progress(step / steps, f"training step {step} of {steps}, loss {losses[-1]:.3f}")
    trainer.model.eval()
    return losses


def _shuffled_forever(count: int, generator: torch.Generator) -> Iterator[int]:
    while True:
        yield from torch.randperm(count, generator=generator).tolist()
