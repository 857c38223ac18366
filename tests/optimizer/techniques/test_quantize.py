"""Int8: what the integers stand for, and that files really shrink. Real layers, random weights."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from optimizer.techniques.quantize import apply as quantize
from optimizer.techniques.quantize.packed import pack, unpack
from optimizer.techniques.quantize.rows import Int8Embedding
from optimizer.training.checkpoint import CheckpointMismatch, on_meta, tensors_of
from optimizer.training.seed import seed_everything

pytestmark = pytest.mark.torch_training

SCHEMES = ("dynamic", "weight_only")


def layers(width: int = 256) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width, bias=False))


def quantized(model: nn.Module, scheme: str, *, embeddings: bool = False) -> nn.Module:
    parameters = {"scheme": scheme, "embeddings": embeddings}
    return quantize.apply(model, None, parameters, progress=lambda fraction, text: None)


def restored(parts: dict[str, Tensor], layer: str) -> tuple[Tensor, Tensor]:
    """(weight, scale per output channel as a column) of a packed linear layer."""
    (q,) = (t for name, t in parts.items() if name.startswith(f"{layer}.") and name.endswith(".q"))
    (scale,) = (t for name, t in parts.items() if name.startswith(f"{layer}.") and name.endswith(".scale"))
    column = scale.reshape(-1, 1).double()
    return q.double() * column, column


@pytest.mark.parametrize("scheme", SCHEMES)
class TestLinearLayers:
    def test_no_weight_is_further_off_than_half_a_step(self, scheme: str) -> None:
        seed_everything(1)
        model = layers()
        weight, step = restored(pack(quantized(model, scheme)), "0")
        error = (weight - model[0].weight.detach().double()).abs()
        assert (error <= step / 2 * (1 + 1e-4)).all()  # w / step is rounded in fp32, up to 128 * 6e-8 of a step
        assert error.max() > 0.4 * step.min()  # it was rounded at all

    def test_gaussian_weights_keep_a_signal_to_noise_ratio_of_about_43_decibels(self, scheme: str) -> None:
        # Channel of 512 weights, step = 2 max|w| / 255; E max|w| of 512 Gaussians = 3.04 sigma, so the noise is
        # step^2 / 12 = (6.08 / 255)^2 / 12 sigma^2 = 4.7e-5 sigma^2: 10 log10(1 / 4.7e-5) = 43.2 dB.
        seed_everything(2)
        model = nn.Sequential(nn.Linear(512, 512))
        nn.init.normal_(model[0].weight)
        true = model[0].weight.detach().double()
        weight, _ = restored(pack(quantized(model, scheme)), "0")
        decibels = 10 * math.log10(float(true.square().sum() / (weight - true).square().sum()))
        assert decibels == pytest.approx(43.2, abs=0.7)

    def test_the_saved_file_is_about_a_quarter(self, scheme: str, tmp_path: Path) -> None:
        model = layers()
        quantize.save(quantized(model, scheme), tmp_path / "int8.safetensors")
        fp32_bytes = sum(tensor.nbytes for tensor in tensors_of(model).values())
        assert (tmp_path / "int8.safetensors").stat().st_size < 0.29 * fp32_bytes

    def test_the_saved_file_gives_the_same_outputs_to_the_last_bit(self, scheme: str, tmp_path: Path) -> None:
        seed_everything(3)
        model, inputs = quantized(layers(), scheme), torch.randn(5, 256)
        quantize.save(model, tmp_path / "int8.safetensors")
        again = unpack(load_file(tmp_path / "int8.safetensors"), on_meta(layers)).eval()
        with torch.inference_mode():
            assert torch.equal(model(inputs), again(inputs))

    def test_the_given_model_stays_in_floats(self, scheme: str) -> None:
        model = layers()
        before = {name: tensor.clone() for name, tensor in tensors_of(model).items()}
        quantized(model, scheme)
        assert {type(module) for module in model} == {nn.Linear, nn.ReLU}
        assert all(torch.equal(tensor, before[name]) for name, tensor in tensors_of(model).items())

    def test_hooks_of_the_given_model_are_not_taken_along(self, scheme: str) -> None:
        # A copied hook would write the quantized model's activations into what the original's hook captures.
        model, seen = layers(), []
        model[0].register_forward_hook(lambda module, inputs, output: seen.append(module))
        copy = quantized(model, scheme)
        with torch.inference_mode():
            copy(torch.randn(2, 256))
        assert seen == []


class TestEmbeddings:
    def test_no_entry_is_further_off_than_half_a_step_of_its_row(self) -> None:
        seed_everything(4)
        table = nn.Embedding(1000, 64)
        rows = Int8Embedding.from_float(table)
        ids = torch.arange(1000).reshape(10, 100)
        error = (rows(ids) - table(ids)).detach().abs()  # (10, 100, 64)
        assert (error <= rows.scale[ids] / 2 * (1 + 1e-4)).all()

    def test_a_row_of_equal_entries_comes_back_as_it_was(self) -> None:
        table = nn.Embedding(2, 8)
        nn.init.constant_(table.weight, 0.25)
        assert torch.equal(Int8Embedding.from_float(table)(torch.tensor([0, 1])), torch.full((2, 8), 0.25))

    def test_ids_need_not_be_contiguous(self) -> None:
        rows = Int8Embedding.from_float(nn.Embedding(10, 8))
        ids = torch.arange(6).reshape(2, 3)
        assert torch.equal(rows(ids.T), rows(ids).transpose(0, 1))


class TestUnpack:
    def test_refuses_a_file_of_another_architecture(self) -> None:
        parts = pack(quantized(layers(), "dynamic"))
        parts["9.weight"] = torch.zeros(1)
        with pytest.raises(CheckpointMismatch, match=r"9\.weight"):
            unpack(parts, on_meta(layers))
