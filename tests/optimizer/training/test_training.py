"""The loop, checkpoints, scores and docstrings that the built-in workloads stand on."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from optimizer.training import checkpoint, docstrings, evaluate
from optimizer.training.loop import Trainer, fit
from optimizer.training.seed import seed_everything


def mean_squared(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return F.mse_loss(model(batch[0]), batch[1])


def run(seed: int) -> tuple[list[float], nn.Module]:
    seed_everything(seed)
    model = nn.Linear(3, 1)
    inputs = torch.randn(32, 3)
    batches = list(zip(inputs.split(8), inputs.sum(dim=1, keepdim=True).split(8), strict=True))
    trainer = Trainer(model, mean_squared, learning_rate=0.1)
    return fit(trainer, batches, steps=60, seed=seed, progress=lambda fraction, text: None), model


class TestFit:
    def test_learns_a_sum(self) -> None:
        losses, _ = run(0)
        assert losses[-1] < 0.01 * losses[0]

    def test_the_same_seed_gives_the_same_weights_to_the_last_bit(self) -> None:
        assert torch.equal(run(1)[1].weight, run(1)[1].weight)
        assert not torch.equal(run(1)[1].weight, run(2)[1].weight)

    def test_tells_its_progress_up_to_one(self) -> None:
        told: list[float] = []
        model = nn.Linear(2, 1)
        batches = [(torch.ones(1, 2), torch.ones(1, 1))]
        trainer = Trainer(model, mean_squared, learning_rate=0.1)
        fit(trainer, batches, steps=4, seed=0, progress=lambda f, text: told.append(f))
        assert told == [0.25, 0.5, 0.75, 1.0]

    def test_stops_when_the_loss_is_no_number(self) -> None:
        batches = [(torch.full((1, 2), float("inf")), torch.ones(1, 1))]
        trainer = Trainer(nn.Linear(2, 1), mean_squared, learning_rate=0.1)
        with pytest.raises(FloatingPointError, match="at step 1"):
            fit(trainer, batches, steps=4, seed=0, progress=lambda f, text: None)


class TestTrainer:
    def test_leaves_frozen_parameters_alone(self) -> None:
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        model[0].requires_grad_(False)
        before = model[0].weight.clone()
        trainer = Trainer(model, mean_squared, learning_rate=0.1)
        trainer.step((torch.ones(1, 2), torch.ones(1, 1)))
        assert torch.equal(model[0].weight, before)
        assert trainer.trained_parameters == 3  # two weights and a bias
        assert trainer.optimizer_state_bytes == 3 * 2 * 4

    def test_refuses_a_model_with_nothing_to_train(self) -> None:
        with pytest.raises(ValueError, match="nothing to train"):
            Trainer(nn.Linear(2, 1).requires_grad_(False), mean_squared, learning_rate=0.1)


class WithTable(nn.Module):
    """A buffer that a state dict leaves out, as encoders have."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.register_buffer("table", torch.arange(3.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x + self.table)


class TestCheckpoint:
    def test_fills_a_model_that_had_no_memory_with_the_same_outputs(self, tmp_path: Path) -> None:
        model, x = WithTable().eval(), torch.randn(4, 3)
        checkpoint.save(model, tmp_path / "a.safetensors")
        again = checkpoint.load(tmp_path / "a.safetensors", checkpoint.on_meta(WithTable))
        assert torch.equal(again(x), model(x))

    def test_refuses_other_names_and_other_shapes(self) -> None:
        with pytest.raises(checkpoint.CheckpointMismatch, match="bias"):
            checkpoint.place({"weight": torch.zeros(2, 3)}, nn.Linear(3, 2))
        with pytest.raises(checkpoint.CheckpointMismatch, match=r"weight is \(3, 2\), not \(2, 3\)"):
            checkpoint.place({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, nn.Linear(3, 2))


class TestScores:
    def test_correct_is_one_where_the_largest_logit_is_at_the_label(self) -> None:
        logits = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]])
        assert evaluate.correct(logits, torch.tensor([1, 1, 1])) == (1.0, 0.0, 1.0)

    def test_found_in_top_looks_for_each_querys_own_document(self) -> None:
        documents = torch.eye(3)
        queries = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.5, 0.4, 0.1]])
        # nearest: 0; 0 then 1; 0, 1, then 2
        assert evaluate.found_in_top(queries, documents, k=1) == (1.0, 0.0, 0.0)
        assert evaluate.found_in_top(queries, documents, k=2) == (1.0, 1.0, 0.0)
        assert evaluate.found_in_top(queries, documents, k=3) == (1.0, 1.0, 1.0)


class TestDocstrings:
    def test_are_the_same_in_the_same_order_every_time_and_none_comes_twice(self) -> None:
        first, second = docstrings.read(["email", "json"]), docstrings.read(["email", "json"])
        assert first == second
        assert len({(entry.summary, entry.body) for entry in first}) == len(first) > 50

    def test_a_summary_is_the_first_paragraph(self) -> None:
        (dedent,) = (e for e in docstrings.read(["textwrap"]) if e.summary.startswith("Remove any common leading"))
        assert dedent.summary == "Remove any common leading whitespace from every line in `text`."
        assert dedent.body.startswith("This can be used to make triple-quoted strings line up")

    def test_says_which_module_has_no_source(self) -> None:
        with pytest.raises(docstrings.SourceMissing, match="'no_such_module'"):
            docstrings.read(["no_such_module"])
