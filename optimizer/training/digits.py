"""Scanned digits (8 x 8 pixels, 1797 of them, in scikit-learn) and a small network trained on them here."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from optimizer.training import checkpoint, evaluate
from optimizer.training.data import QualityReading, Workload
from optimizer.training.loop import Trainer, fit
from optimizer.training.seed import seed_everything

SEED = 20
STEPS = 400
HIDDEN = 512
BATCH = 64
TRAINED_ON = 898  # the other 899 are held out


def build() -> nn.Module:
    """300 k parameters, nearly all in linear layers: (B, 64) pixels 0..1 -> (B, 10) logits."""
    return nn.Sequential(
        nn.Linear(64, HIDDEN),
        nn.GELU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.GELU(),
        nn.Linear(HIDDEN, 10),
    )


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    pixels, labels = batch  # (B, 64), (B,)
    return F.cross_entropy(model(pixels), labels)


class DigitsClassifier(Workload):
    key = "digits-classifier"
    kind = "inference"
    unit = "image"
    quality_metric = "accuracy"
    units_per_batch = BATCH

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"{self.key}-{SEED}-{STEPS}-{HIDDEN}.safetensors"
        raw, digits = load_digits(return_X_y=True)
        order = torch.randperm(len(raw), generator=torch.Generator().manual_seed(SEED))
        pixels = torch.tensor(raw / 16.0, dtype=torch.float32)[order]  # (1797, 64)
        labels = torch.tensor(digits)[order]  # (1797,)
        self._train = pixels[:TRAINED_ON], labels[:TRAINED_ON]
        self._held_out = pixels[TRAINED_ON:], labels[TRAINED_ON:]
        self.batches = list(self._held_out[0].split(BATCH))[:8]
        self.singles = list(self._held_out[0][:50].split(1))

    def pretrained(self) -> nn.Module:
        if not self._file.exists():
            self._write(self._trained())
        return self.load(self._file)

    def skeleton(self) -> nn.Module:
        return checkpoint.on_meta(build)

    def worker(self, model: nn.Module, *, learning_rate: float | None = None) -> Callable[[Tensor], Tensor]:
        def classify(pixels: Tensor) -> Tensor:
            with torch.inference_mode():
                return model(pixels)  # (B, 10)

        return classify

    def quality(self, model: nn.Module) -> QualityReading:
        pixels, labels = self._held_out
        return QualityReading(evaluate.correct(self.worker(model)(pixels), labels))

    def _trained(self) -> nn.Module:
        seed_everything(SEED)
        model = build()
        batches = list(zip(self._train[0].split(BATCH), self._train[1].split(BATCH), strict=True))
        fit(Trainer(model, cross_entropy, learning_rate=1e-3), batches, steps=STEPS, seed=SEED, progress=_silent)
        return model

    def _write(self, model: nn.Module) -> None:
        """Under its final name only once it is whole: two processes may train at the same time."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(f".{os.getpid()}")
        self.save(model, draft)
        draft.replace(self._file)


def _silent(fraction: float, text: str) -> None:
    """Training takes a second: nothing to tell."""
