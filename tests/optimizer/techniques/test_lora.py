"""LoRA: the identities that a true low-rank correction keeps. A small network, really trained."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optimizer.techniques.lora import apply as lora
from optimizer.training.checkpoint import CheckpointMismatch, fresh_copy
from optimizer.training.loop import Trainer, fit
from optimizer.training.seed import seed_everything

pytestmark = pytest.mark.torch_training

RANK = 3
PARAMETERS = {"rank": RANK, "alpha": 6.0, "targets": "attention", "learning_rate": 1e-2}


class Small(nn.Module):
    """Names as in an encoder: two layers under `attention`, two beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"query": nn.Linear(20, 16), "value": nn.Linear(20, 16)})
        self.block = nn.ModuleDict({"attention": self.attention, "dense": nn.Linear(16, 12)})
        self.out = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:  # (B, 20)
        mixed = torch.tanh(self.attention["query"](x)) * self.attention["value"](x)  # (B, 16)
        return self.out(torch.tanh(self.block["dense"](mixed)))  # (B, 4)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = Small()
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x))


def original() -> nn.Module:
    seed_everything(5)
    return Encoder()


def adapted(model: nn.Module, **changed: object) -> nn.Module:
    return lora.apply(model, None, PARAMETERS | changed, progress=lambda fraction, text: None)


def trained(model: nn.Module, steps: int = 40) -> Trainer:
    inputs = torch.randn(64, 20, generator=torch.Generator().manual_seed(6))
    labels = (inputs[:, 0] > 0).long() + 2 * (inputs[:, 1] > 0).long()
    trainer = Trainer(model, lambda m, batch: F.cross_entropy(m(batch[0]), batch[1]), learning_rate=1e-2)
    batches = list(zip(inputs.split(16), labels.split(16), strict=True))
    fit(trainer, batches, steps=steps, seed=0, progress=lambda fraction, text: None)
    return trainer


def plain(model: nn.Module) -> dict[str, Tensor]:
    return dict(lora.merge(model).named_parameters())


class TestCorrection:
    def test_an_untrained_correction_changes_nothing_at_all(self) -> None:
        model, x = original().eval(), torch.randn(9, 20)
        with torch.inference_mode():
            assert torch.equal(adapted(model).eval()(x), model(x))

    def test_a_merged_model_answers_as_the_unmerged_after_real_training(self) -> None:
        model, x = adapted(original()), torch.randn(9, 20)
        trained(model)
        with torch.inference_mode():
            assert (lora.merge(model)(x) - model.eval()(x)).abs().max() < 1e-5

    def test_the_change_of_an_adapted_layer_has_exactly_the_rank_asked_for(self) -> None:
        before = original()
        model = adapted(before)
        trained(model)
        change = plain(model)["layer.attention.query.weight"] - before.layer.attention["query"].weight
        singular = torch.linalg.svdvals(change.detach().double())
        assert (singular[:RANK] > 1e-4).all() and (singular[RANK:] < 1e-6).all()

    def test_layers_that_were_not_chosen_stay_the_same_to_the_last_bit(self) -> None:
        before = original()
        model = adapted(before)
        trained(model)
        assert torch.equal(plain(model)["layer.block.dense.weight"], before.layer.block["dense"].weight)

    def test_the_given_model_stays_as_it_was(self) -> None:
        before = original()
        kept = fresh_copy(before)
        trained(adapted(before))
        assert all(torch.equal(a, b) for a, b in zip(before.parameters(), kept.parameters(), strict=True))
        assert all(parameter.requires_grad for parameter in before.parameters())

    def test_refuses_a_model_without_a_layer_to_adapt(self) -> None:
        with pytest.raises(ValueError, match="no linear layer to adapt"):
            adapted(nn.Sequential(nn.Linear(4, 4)))


class TestTrainedParameters:
    def test_are_rank_times_inputs_plus_outputs_of_each_layer_and_the_head(self) -> None:
        trainer = trained(adapted(original()), steps=1)
        # query and value: 3 x (20 + 16) each; the head: 4 x 4 weights and 4 biases
        assert trainer.trained_parameters == 2 * RANK * (20 + 16) + (4 * 4 + 4)

    def test_need_two_moments_of_four_bytes_each_as_optimizer_state(self) -> None:
        trainer = trained(adapted(original()), steps=2)
        assert trainer.optimizer_state_bytes == 2 * 4 * trainer.trained_parameters


class TestSavedFile:
    def test_holds_the_trained_tensors_only(self, tmp_path: Path) -> None:
        model = adapted(original())
        trainer = trained(model)
        lora.save(model, tmp_path / "lora.safetensors")
        assert 0 < (tmp_path / "lora.safetensors").stat().st_size - 4 * trainer.trained_parameters < 2000  # its header

    def test_gives_back_the_same_model_on_the_same_base(self, tmp_path: Path) -> None:
        model, x = adapted(original()), torch.randn(9, 20)
        trained(model)
        lora.save(model, tmp_path / "lora.safetensors")
        again = lora.load(tmp_path / "lora.safetensors", Base(), PARAMETERS)
        with torch.inference_mode():
            assert torch.equal(again(x), model.eval()(x))

    def test_is_refused_at_another_rank(self, tmp_path: Path) -> None:
        lora.save(adapted(original()), tmp_path / "lora.safetensors")
        with pytest.raises(CheckpointMismatch, match="rank 4"):
            lora.load(tmp_path / "lora.safetensors", Base(), PARAMETERS | {"rank": 4})


class Base:
    """The one thing of a workload that loading an adapter needs: the model it sits on."""

    def pretrained(self) -> nn.Module:
        return original()
