"""Fine-tuning MiniLM to tell from a docstring which standard-library package it belongs to."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optimizer.training import checkpoint, docstrings, evaluate, minilm
from optimizer.training.data import Progress, QualityReading, TrainingWorkload
from optimizer.training.loop import Trainer, fit
from optimizer.training.seed import seed_everything

SEED = 7
PACKAGES = ("asyncio", "email", "http", "importlib", "logging", "multiprocessing", "unittest", "xml")
PER_PACKAGE = 120
HELD_OUT_EVERY = 3  # every third docstring is never trained on
BATCH = 8
WARMUP_STEPS = 10


class TopicClassifier(nn.Module):
    """Texts to logits: the encoder, the mean over tokens, one linear head."""

    def __init__(self, encoder: nn.Module, width: int = 384) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(width, len(PACKAGES))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, C)
        return self.head(minilm.mean_of_tokens(hidden, mask))  # (B, K)


Labelled = tuple[minilm.Tokens, Tensor]


def cross_entropy(model: nn.Module, batch: Labelled) -> Tensor:
    tokens, labels = batch
    return F.cross_entropy(model(*tokens), labels)


class MinilmTopics(TrainingWorkload):
    key = "minilm-topics"
    unit = "training step"
    quality_metric = "accuracy"
    window_s = 0.4
    units_per_batch = 1
    learning_rate = 1e-4
    steps = 60

    def __init__(self, folder: Path) -> None:
        train: list[tuple[str, int]] = []
        held_out: list[tuple[str, int]] = []
        for label, package in enumerate(PACKAGES):
            found = docstrings.read([package], min_summary_words=3)[:PER_PACKAGE]
            for i, entry in enumerate(found):
                (held_out if i % HELD_OUT_EVERY == 0 else train).append((f"{entry.summary} {entry.body}", label))
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SEED)).tolist()
        self._train = _batched([train[i] for i in order], BATCH)
        self._held_out = _batched(sorted(held_out, key=lambda pair: (len(pair[0]), pair)), 16)
        self.batches = sorted(self._train, key=lambda batch: -batch[0][0].shape[1])[:2]
        self.singles = self.batches * 2

    def pretrained(self) -> nn.Module:
        seed_everything(SEED)
        return TopicClassifier(minilm.pretrained_encoder()).eval()

    def skeleton(self) -> nn.Module:
        return checkpoint.on_meta(lambda: TopicClassifier(minilm.empty_encoder()))

    def worker(self, model: nn.Module, *, learning_rate: float | None = None) -> Callable[[Labelled], float]:
        return self._trainer(model, learning_rate or self.learning_rate).step

    def train(self, model: nn.Module, *, learning_rate: float, progress: Progress) -> dict[str, float]:
        trainer = self._trainer(model, learning_rate)
        losses = fit(trainer, self._train, steps=self.steps, seed=SEED, progress=progress)
        return {
            "trained_parameters": trainer.trained_parameters,
            "optimizer_state_bytes": trainer.optimizer_state_bytes,
            "first_loss": losses[0],
            "last_loss": sum(losses[-10:]) / len(losses[-10:]),
        }

    def quality(self, model: nn.Module) -> QualityReading:
        model.eval()
        scores: tuple[float, ...] = ()
        with torch.inference_mode():
            for tokens, labels in self._held_out:
                scores += evaluate.correct(model(*tokens), labels)
        return QualityReading(scores)

    def _trainer(self, model: nn.Module, learning_rate: float) -> Trainer:
        return Trainer(model, cross_entropy, learning_rate=learning_rate, warmup_steps=WARMUP_STEPS)


def _batched(examples: list[tuple[str, int]], size: int) -> list[Labelled]:
    """Whole batches only, so that every step does the same number of texts; the last few examples are left out."""
    parts = [examples[i : i + size] for i in range(0, len(examples) - size + 1, size)]
    return [(minilm.tokenize([text for text, _ in part]), torch.tensor([label for _, label in part])) for part in parts]
