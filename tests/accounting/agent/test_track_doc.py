"""Every snippet of docs/track.md runs as it stands, and the words beside them are the code's."""

import inspect
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from accounting.agent import track as track_module
from accounting.agent.track import Footprint, Track, track
from accounting.agent.tracking.options import FLUSH_S
from accounting.agent.tracking.station import ALIVE_EVERY_S, ASK_S, FIRST_READING_S
from tests.accounting.agent.scripted_server import TOKEN, ScriptedServer

DOC = (Path(__file__).parents[3] / "docs" / "track.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
CARD = re.search(r"```yaml\n(.*?)```", DOC, re.DOTALL)
HEAVY = ("transformers", "lightning", "mlflow", "wandb")
QUIET = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False,
}  # fmt: skip


@pytest.fixture
def product(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedServer]:
    """A server that knows the job at once, and what the snippet finds in its environment."""
    figure = {"low": 1.0, "mid": 2.0, "high": 3.0, "unit": "kWh", "status": "MEASURED"}
    names = [name for name in Footprint.__slots__ if name.endswith(("_kwh", "_kg", "_l")) or name == "cost"]
    totals = {**dict.fromkeys(names, figure), "coverage": 1.0, "measured_share": 1.0, "status": "MEASURED"}
    state = {"start": "2026-11-20T08:00:00Z", "end": "2026-11-20T09:00:00Z", "complete": True, "pending": []}
    assert CARD
    server.told = {
        "/api/v1/job": (200, state),
        "/api/v1/footprint": (200, {"totals": totals, "currency": "EUR"}),
        "/api/v1/model-card": (200, CARD[1]),
    }
    for name, value in {"SERVER": server.url, "TOKEN": TOKEN, "TRACK_DIR": str(tmp_path / "state")}.items():
        monkeypatch.setenv(f"GREENAI_{name}", value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/ml")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    yield server
    for station in track_module._stations.values():
        station.close()
    track_module._stations.clear()


def jobs_of(server: ScriptedServer) -> set[str]:
    return {job["job"] for batch in server.batches for job in batch.get("jobs", []) if job.get("ended_at")}


def surroundings(snippet: str, folder: Path) -> dict[str, Any]:
    """What a reader brings: a train function, and where a snippet names them, a model and its data."""
    found: dict[str, Any] = {"track": track, "train": lambda: None, "quiet": QUIET, "job": track("train-42")}
    if "train_dataset=rows" in snippet:
        import torch
        from transformers import BertConfig, BertForSequenceClassification, TrainingArguments

        small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        found["model"] = BertForSequenceClassification(BertConfig(vocab_size=16, **small))
        found["arguments"] = TrainingArguments(
            output_dir=str(folder), max_steps=2, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
            dataloader_pin_memory=False,
        )  # fmt: skip
        found["rows"] = [{"input_ids": torch.arange(4), "labels": torch.tensor(0)} for _ in range(4)]
    if "fit(module, loader)" in snippet:
        import torch
        from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset

        found["module"], found["loader"] = BoringModel(), torch.utils.data.DataLoader(RandomDataset(32, 8))
    return found


class TestSnippets:
    @pytest.mark.filterwarnings("ignore")  # what the trackers warn of is theirs
    @pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
    def test_runs_as_it_stands(self, snippet: str, product: ScriptedServer, tmp_path: Path) -> None:
        for package in HEAVY:
            if f"import {package}\n" in snippet or f"from {package} import" in snippet:
                pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")
        if "wandb" in snippet:  # what an earlier run set up knows another folder
            import wandb

            wandb.teardown()
        exec(compile(snippet, "docs/track.md", "exec"), surroundings(snippet, tmp_path))
        named = set(re.findall(r'(?:track|_callback)\("([^"]+)"', snippet))
        assert named <= jobs_of(product)

    def test_there_is_one_for_every_way_in(self) -> None:
        text = "".join(SNIPPETS)
        for word in ("with track(", "@track(", ".start()", "footprint(", "co2_eq_emissions(", *HEAVY):
            assert word in text
        assert find_spec("transformers")  # so that at least this one of them ran


class TestWords:
    def test_name_every_figure_and_method(self) -> None:
        for name in (*Footprint.__slots__, "metrics"):
            assert name in ("job", "start", "end") or f"`{name}" in DOC, name
        methods = [name for name, _ in inspect.getmembers(Track, inspect.isfunction) if not name.startswith("_")]
        assert all(name in DOC for name in methods)

    def test_state_the_waits_that_hold(self) -> None:
        assert (ASK_S, FIRST_READING_S, FLUSH_S, ALIVE_EVERY_S) == (1.0, 2.0, 5.0, 10.0)
        words = " ".join(DOC.split())
        for phrase in ("at most 1 s for the server's word and 2 s", "`flush_s` (5 s)", "known to 10 s"):
            assert phrase in words

    def test_the_card_that_is_shown_is_one(self) -> None:
        assert CARD
        block = yaml.safe_load(CARD[1])["co2_eq_emissions"]
        assert list(block) == ["emissions", "source", "training_type", "geographical_location", "hardware_used"]
