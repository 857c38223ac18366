"""The built-in workloads: real models, real data, answers that are known."""

from pathlib import Path

import pytest
import torch

from optimizer.training.data import QualityReading, UnknownWorkload, Workload, load_workload
from optimizer.training.digits import DigitsClassifier

pytestmark = pytest.mark.torch_training


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    return load_workload("digits-classifier", folder=tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def retrieval(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    return load_workload("minilm-retrieval", folder=tmp_path_factory.mktemp("retrieval"))


class TestLoadWorkload:
    def test_names_what_there_is(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownWorkload, match=r"no built-in workload 'chess'; there are digits-classifier"):
            load_workload("chess", folder=tmp_path)


class TestDigits:
    def test_reads_most_digits_that_it_never_saw(self, digits: Workload) -> None:
        reading = digits.quality(digits.model)
        assert len(reading.scores) == 899  # half of 1797
        assert reading.mean > 0.95  # always answering one digit would give 0.1

    def test_is_trained_once_and_found_again(self, digits: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
        digits.model  # noqa: B018  trains
        monkeypatch.setattr(DigitsClassifier, "_trained", lambda self: pytest.fail("trained again"))
        again = load_workload("digits-classifier", folder=digits._file.parent)
        assert torch.equal(again.model[0].weight, digits.model[0].weight)

    def test_training_is_the_same_on_every_run(self, digits: Workload) -> None:
        assert torch.equal(digits._trained()[2].weight, digits.model[2].weight)

    def test_a_shuffled_model_reads_no_better_than_chance(self, digits: Workload) -> None:
        spoiled = digits.pretrained()
        spoiled[4].weight.data = spoiled[4].weight.data.roll(1, dims=0)
        assert digits.quality(spoiled).mean < 0.2


class TestRetrieval:
    def test_finds_most_documents_among_six_hundred(self, retrieval: Workload) -> None:
        reading = retrieval.quality(retrieval.model)
        assert len(reading.scores) == 600
        assert reading.mean > 0.6  # ten at random out of 600 would give 0.017

    def test_embeddings_are_unit_vectors_and_ignore_padding(self, retrieval: Workload) -> None:
        encode = retrieval.worker(retrieval.model)
        ids, mask = retrieval.batches[0]  # (8, T)
        padded = encode(
            (torch.cat([ids, torch.zeros(8, 3, dtype=ids.dtype)], 1), torch.cat([mask, mask[:, :3] * 0], 1))
        )
        assert torch.allclose(padded.norm(dim=-1), torch.ones(8), atol=1e-5)
        assert (padded - encode((ids, mask))).abs().max() < 1e-5

    def test_a_batch_is_eight_texts_of_at_most_64_tokens(self, retrieval: Workload) -> None:
        assert {ids.shape[0] for ids, _ in retrieval.batches} == {8} == {retrieval.units_per_batch}
        assert max(ids.shape[1] for ids, _ in retrieval.batches) <= 64

    def test_a_saved_model_gives_the_same_vectors(self, retrieval: Workload, tmp_path: Path) -> None:
        retrieval.save(retrieval.model, tmp_path / "m.safetensors")
        again = retrieval.load(tmp_path / "m.safetensors")
        batch = retrieval.batches[0]
        assert torch.equal(retrieval.worker(again)(batch), retrieval.worker(retrieval.model)(batch))


class TestTopics:
    def test_a_few_steps_lower_the_loss_and_beat_guessing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workload = load_workload("minilm-topics", folder=tmp_path)
        monkeypatch.setattr(type(workload), "steps", 12)
        facts = workload.train(model := workload.pretrained(), learning_rate=2e-4, progress=lambda f, text: None)
        assert facts["last_loss"] < facts["first_loss"]
        assert facts["trained_parameters"] == 22_713_216 + 384 * 8 + 8  # the encoder, the head's weights and biases
        assert workload.quality(model).mean > 0.25  # one of eight at random: 0.125


class TestQualityReading:
    def test_the_metric_is_the_mean_of_its_scores(self) -> None:
        assert QualityReading((1.0, 0.0, 1.0, 1.0)).mean == 0.75
