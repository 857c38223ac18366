"""`track` and the trackers people already use, against the product itself: from the sensors to the ledger and back."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from accounting.access import issue_token
from accounting.agent.track import FootprintRefused, Track, track
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import Agent, DeviceSample, Host, Job, JobMark, LedgerHour, Site, Team

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:No directory at"),  # pages are not asked for here
]


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed: pip install {package}")


@pytest.fixture
def team() -> Team:
    return Team.objects.create(name="Vision", slug="vision")


@pytest.fixture
def options(live_server: Any, team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name in ("GREENAI_SERVER", "GREENAI_TOKEN", "GREENAI_JOB_ID", "SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    _, secret = issue_token(name="laptop", scopes=["ingest", "read"], team=team)
    return {"server": live_server.url, "token": secret, "folder": tmp_path / "state", "flush_s": 20.0}


def count() -> None:
    while rebuild_dirty(now=datetime.now(UTC)):
        pass


def work(seconds: float = 1.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


class TestTheLedger:
    def test_has_the_jobs_energy_once_and_gives_it_back(self, options: dict[str, Any], team: Team) -> None:
        with track("train-42", project="resnet", **options) as job:
            work()
        assert job.problem == ""
        count()
        told = job.footprint(wait_s=10)
        assert told.complete, told.pending
        rows = LedgerHour.objects.filter(job__key="train-42", job__team=team, project__slug="resnet")
        assert told.it_energy_kwh is not None
        assert told.it_energy_kwh.mid == pytest.approx(sum(row.it_energy_kwh for row in rows))
        # what the sensors said of the time between the job's first and last moment, by the trapezoid rule
        stored = Job.objects.get(key="train-42")
        assert stored.started_at and stored.ended_at
        assert told.it_energy_kwh.mid * 3.6e6 == pytest.approx(
            sum(joules(device, stored.started_at, stored.ended_at) for device in held_by(stored)), rel=1e-6
        )
        assert told.coverage == pytest.approx(1.0) and told.co2e_location_kg is not None
        block = yaml.safe_load(job.co2_eq_emissions(training_type="fine-tuning"))["co2_eq_emissions"]
        assert block["emissions"] == pytest.approx(told.co2e_location_kg.mid * 1000, rel=1e-3)

    def test_a_running_job_is_read_as_it_stands(self, options: dict[str, Any]) -> None:
        with track("train-42", **options) as job:
            told = job.footprint(wait_s=0)
        assert not told.complete and told.pending

    def test_a_machine_that_an_agent_meters_gets_marks_alone(self, options: dict[str, Any], team: Team) -> None:
        import socket

        host = Host.objects.create(name=socket.gethostname(), team=team)
        host.devices.create(key="gpu-0", kind="gpu", acquired_at=datetime.now(UTC))
        now = datetime.now(UTC)
        Agent.objects.create(key="greenai-agent", host=host, first_seen_at=now, last_seen_at=now)
        with track("train-42", **options) as job:
            work(0.2)
        assert job.problem == ""
        assert [str(mark.device) for mark in JobMark.objects.all()] == [f"{host}/gpu-0"]
        assert not DeviceSample.objects.exists()
        assert not Agent.objects.filter(key=Agent.TRACK_KEY).exists()

    def test_a_sites_token_names_the_team_and_reads_nothing(self, options: dict[str, Any], team: Team) -> None:
        site = Site.objects.create(name="Paris", slug="paris")
        _, secret = issue_token(name="site", scopes=["ingest"], site=site)
        with track("train-42", **options | {"token": secret, "team": "vision"}) as job:
            work(0.2)
        assert Job.objects.get(key="train-42").team == team
        with pytest.raises(FootprintRefused, match="read_token="):
            job.footprint()
        reading = track("train-42", **options | {"token": secret, "read_token": options["token"], "team": "vision"})
        count()
        assert reading.footprint(wait_s=10).complete


def held_by(job: Job) -> set[int]:
    return set(JobMark.objects.filter(job=job).values_list("device_id", flat=True))


def joules(device_id: int, start: datetime, end: datetime) -> float:
    """Watts between two moments, straight lines between readings."""
    rows = DeviceSample.objects.filter(device_id=device_id, power_w__isnull=False).order_by("measured_at_us")
    points = [(row.measured_at_us / 1e6, row.power_w) for row in rows]
    total = 0.0
    for (a, watts_a), (b, watts_b) in pairwise(points):
        low, high = max(a, start.timestamp()), min(b, end.timestamp())
        if low < high:
            at = [watts_a + (watts_b - watts_a) * (moment - a) / (b - a) for moment in (low, high)]
            total += sum(at) / 2 * (high - low)
    return total


def counted(job: Track | None) -> Any:
    assert job is not None
    assert job.problem == ""
    count()
    told = job.footprint(wait_s=10)
    assert told.complete and told.it_energy_kwh is not None and told.it_energy_kwh.mid > 0, told.pending
    return told


@needs("transformers")
class TestHuggingFaceTrainer:
    def test_a_training_is_a_job(self, options: dict[str, Any], tmp_path: Path) -> None:
        import torch
        from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

        from accounting.agent.tracking.huggingface import trainer_callback

        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
        rows = [{"input_ids": torch.arange(8) % 32, "labels": torch.tensor(n % 2)} for n in range(32)]
        callback = trainer_callback("hf-1", project="bert", **options)
        arguments = TrainingArguments(
            output_dir=str(tmp_path / "out"), num_train_epochs=2, per_device_train_batch_size=4, report_to=[],
            save_strategy="no", use_cpu=True, disable_tqdm=True, run_name="tiny bert", dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = Trainer(
            model=BertForSequenceClassification(config), args=arguments, train_dataset=rows, callbacks=[callback]
        )
        trainer.train()
        counted(callback.job)
        stored = Job.objects.get(key="hf-1")
        assert (stored.name, stored.kind, stored.project and stored.project.slug) == ("tiny bert", "training", "bert")
        assert stored.ended_at is not None


@needs("lightning")
@pytest.mark.filterwarnings("ignore")  # its own, about workers and loggers
class TestLightning:
    def fit(self, callback: Any, tmp_path: Path, step: Callable[[Any], Any]) -> None:
        import lightning
        import torch

        class Tiny(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.layer = torch.nn.Linear(4, 1)

            def training_step(self, batch: Any, index: int) -> Any:
                return step(self.layer(batch[0]).pow(2).mean())

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), lr=0.1)

        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(64, 4)), batch_size=4)
        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[callback], default_root_dir=str(tmp_path),
        )  # fmt: skip
        trainer.fit(Tiny(), loader)

    def test_a_fit_is_a_job(self, options: dict[str, Any], tmp_path: Path) -> None:
        from accounting.agent.tracking.lightning import lightning_callback

        callback = lightning_callback("pl-1", **options)
        self.fit(callback, tmp_path, lambda loss: loss)
        counted(callback.job)
        assert Job.objects.get(key="pl-1").model == "Tiny"

    def test_a_fit_that_fails_is_ended_and_fails(self, options: dict[str, Any], tmp_path: Path) -> None:
        from accounting.agent.tracking.lightning import lightning_callback

        def fail(loss: Any) -> Any:
            raise ZeroDivisionError

        callback = lightning_callback("pl-2", **options)
        with pytest.raises(ZeroDivisionError):
            self.fit(callback, tmp_path, fail)
        assert Job.objects.get(key="pl-2").ended_at is not None


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")
class TestMlflow:
    @pytest.fixture(autouse=True)
    def _runs_in_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the slim package brings no database

    def test_the_footprint_is_on_the_run(self, options: dict[str, Any], tmp_path: Path) -> None:
        import mlflow

        from accounting.agent.tracking.mlflow import log_to_mlflow

        mlflow.set_tracking_uri(f"file:{tmp_path}/ml")
        with mlflow.start_run() as run:
            with track("ml-1", **options) as job:
                work()
            count()
            told = log_to_mlflow(job, wait_s=10)
        kept = mlflow.get_run(run.info.run_id).data
        assert told is not None and told.complete and told.it_energy_kwh is not None
        assert kept.metrics["greenai/it_energy_kwh"] == told.it_energy_kwh.mid
        assert kept.metrics["greenai/co2e_location_kg_high"] >= kept.metrics["greenai/co2e_location_kg_low"]
        assert (kept.tags["greenai.job"], kept.tags["greenai.complete"]) == ("ml-1", "True")

    def test_a_token_that_may_not_read_does_not_end_the_run(self, options: dict[str, Any], tmp_path: Path) -> None:
        import mlflow

        from accounting.agent.tracking.mlflow import log_to_mlflow

        mlflow.set_tracking_uri(f"file:{tmp_path}/ml")
        with mlflow.start_run():
            assert log_to_mlflow(track("ml-2", **options | {"token": "gai_wrong_1"}), wait_s=0) is None


@needs("wandb")
@pytest.mark.filterwarnings("ignore")
class TestWandb:
    def test_the_footprint_is_in_the_summary(
        self, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import wandb

        from accounting.agent.tracking.wandb import log_to_wandb

        monkeypatch.setenv("WANDB_SILENT", "true")
        run = wandb.init(mode="offline", dir=str(tmp_path), project="greenai")
        with track("wb-1", **options) as job:
            work()
        count()
        told = log_to_wandb(job, wait_s=10)
        summary = dict(run.summary)
        run.finish()
        wandb.teardown()
        assert told is not None and told.complete and told.it_energy_kwh is not None
        assert summary["greenai/it_energy_kwh"] == told.it_energy_kwh.mid
        assert summary["greenai/job"] == "wb-1"

    def test_without_a_run_nothing_breaks(self, options: dict[str, Any]) -> None:
        from accounting.agent.tracking.wandb import log_to_wandb

        assert log_to_wandb(track("wb-2", **options), wait_s=0) is None


class TestImports:
    @pytest.mark.parametrize("name", ["huggingface", "lightning", "mlflow", "wandb"])
    def test_an_adapter_loads_its_library_only_when_it_is_used(self, name: str) -> None:
        import subprocess

        code = (
            f"import sys, accounting.agent.tracking.{name}; "
            "print(sorted({'transformers', 'lightning', 'mlflow', 'wandb', 'torch', 'django'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"
