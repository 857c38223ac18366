"""`track` inside people's own code: what it posts, what it leaves to others, and that it never stands in the way."""

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accounting.agent import track as track_module
from accounting.agent.build import build
from accounting.agent.track import FootprintNotReady, FootprintRefused, Track, track
from accounting.agent.tracking.place import TRACKED_BY
from accounting.agent.tracking.station import Station
from tests.accounting.agent.scripted_server import TOKEN, Answer, ScriptedServer

ROOT = Path(__file__).parents[3]
HERE = {
    "metered": "here", "host": "node-1", "lasting": True,
    "devices": [
        {"device": "gpu-GPU-aaaaaaaa-0000-0000-0000-000000000001", "kind": "gpu", "model": "H100"},
        {"device": "gpu-GPU-bbbbbbbb-0000-0000-0000-000000000002", "kind": "gpu", "model": "H100"},
        {"device": "cpu-0", "kind": "cpu", "model": "Xeon"},
    ],
}  # fmt: skip
ENVIRONMENT = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES", "GREENAI_")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(ENVIRONMENT) and name != "GREENAI_DATA_DIR":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    yield
    for station in track_module._stations.values():
        station.close()
    track_module._stations.clear()


@pytest.fixture
def tracked(server: ScriptedServer, tmp_path: Path) -> Iterator[Callable[..., Track]]:
    """`track` at the scripted server; whatever a test leaves running is ended."""
    made: list[Track] = []

    def make(job: Any = "train-42", **more: Any) -> Track:
        made.append(track(job, **{"server": server.url, "token": TOKEN, "folder": tmp_path / "state"} | more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def marks_of(server: ScriptedServer) -> dict[tuple[str, str | None, str], str | None]:
    """(job, device, start) -> end, as the server keeps them: an end stays."""
    found: dict[tuple[str, str | None, str], str | None] = {}
    for batch in server.batches:
        for mark in batch.get("job_marks", []):
            key = (mark["job"], mark.get("device"), mark["started_at"])
            found[key] = mark.get("ended_at") or found.get(key)
    return found


def jobs_of(server: ScriptedServer) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for batch in server.batches:
        for job in batch.get("jobs", []):
            found.setdefault(job["job"], {}).update({name: value for name, value in job.items() if value})
    return found


def journals(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.mark.json"))


def wait_until(condition: Callable[[], object], *, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


class TestWhereNobodyMeters:
    def test_meters_this_machine_from_before_the_first_line_to_after_the_last(
        self, server: ScriptedServer, tracked: Callable[..., Track], tmp_path: Path
    ) -> None:
        with tracked(name="ResNet", kind="training", model="resnet50", project="resnet"):
            time.sleep(0.5)
        job = jobs_of(server)["train-42"]
        assert {name: job[name] for name in ("name", "kind", "model", "project")} == {
            "name": "ResNet", "kind": "training", "model": "resnet50", "project": "resnet",
        }  # fmt: skip
        marks = marks_of(server)
        assert {device for _, device, _ in marks} == {"cpu-0", "memory"}
        assert {(start, end) for (_, _, start), end in marks.items()} == {(job["started_at"], job["ended_at"])}
        of_cpu = sorted(s["measured_at"] for s in server.samples.values() if s["device"] == "cpu-0")
        assert of_cpu[0] <= job["started_at"] < job["ended_at"] <= of_cpu[-1]
        assert {batch["agent"]["id"] for batch in server.batches if batch.get("agent")} == {"greenai-track"}
        assert journals(tmp_path) == []

    def test_describes_the_devices_before_it_marks_them(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        with tracked():
            pass
        first = next(batch for batch in server.batches if batch.get("job_marks"))
        assert {one["device"]: one["kind"] for one in first["devices"]} == {"cpu-0": "cpu", "memory": "memory"}
        assert {one["host"] for one in first["devices"] + first["job_marks"]} == {socket.gethostname()}

    def test_two_jobs_of_a_process_are_metered_once(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        def work(name: str) -> None:
            with tracked(name):
                time.sleep(0.6)

        threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(jobs_of(server)) == {"one", "two"}
        assert all(marks_of(server).values())
        assert len({boot_id for boot_id, _ in server.samples}) == 1
        assert server.conflicts == []

    def test_measure_never_posts_marks_alone(self, server: ScriptedServer, tracked: Callable[..., Track]) -> None:
        with tracked(measure="never"):
            time.sleep(0.3)
        assert server.samples == {}
        assert set(jobs_of(server)) == {"train-42"} and all(marks_of(server).values())


class TestWhereAnAgentMeters:
    def test_posts_marks_alone_on_the_devices_that_the_agent_posts_for(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        server.known = HERE
        with tracked() as job:
            pass
        assert server.samples == {} and job.problem == ""
        assert {device for _, device, _ in marks_of(server)} == {one["device"] for one in HERE["devices"]}
        assert {m["host"] for b in server.batches for m in b["job_marks"]} == {"node-1"}  # not a container's name

    def test_marks_only_the_gpus_that_cuda_leaves_to_the_process(
        self, server: ScriptedServer, tracked: Callable[..., Track], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.known = HERE
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bbbbbbbb-0000-0000-0000-000000000002")
        with tracked():
            pass
        assert {device for _, device, _ in marks_of(server)} == {
            "gpu-GPU-bbbbbbbb-0000-0000-0000-000000000002", "cpu-0",
        }  # fmt: skip

    def test_of_another_owner_meters_nothing_and_says_what_to_do(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        server.known = {"metered": "elsewhere", "host": "node-1", "lasting": True, "devices": []}
        with tracked() as job:
            pass
        assert (server.samples, marks_of(server)) == ({}, {})
        assert set(jobs_of(server)) == {"train-42"}
        assert "another owner's token" in job.problem

    def test_that_was_not_told_of_at_first_is_not_counted_twice(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        server.told["/api/v1/metering"] = (503, {"detail": "not now"})
        with tracked() as job:
            time.sleep(0.3)
            assert server.batches == []  # measured and kept, until the server has said whose turn it is
            del server.told["/api/v1/metering"]
            server.known = {"metered": "elsewhere", "host": "node-1", "lasting": True, "devices": []}
        assert server.samples == {}
        assert "another owner's token" in job.problem

    def test_measure_always_meters_all_the_same(self, server: ScriptedServer, tracked: Callable[..., Track]) -> None:
        server.known = HERE
        with tracked(measure="always"):
            pass
        assert server.samples
        assert {device for _, device, _ in marks_of(server)} == {"cpu-0", "memory"}


class TestDeadServer:
    @pytest.mark.parametrize("manner", ["refuses", "hangs", "breaks"])
    def test_neither_slows_nor_breaks_nor_loses_the_job(
        self, server: ScriptedServer, tracked: Callable[..., Track], tmp_path: Path, manner: str
    ) -> None:
        url = server.url
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            if manner == "hangs":
                silent.listen(64)  # takes the connection, never answers
                url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            elif manner == "refuses":
                url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            else:
                server.told["/api/v1/metering"] = (500, "<html>")
                server.rule = lambda batch: Answer(500)
            began = time.monotonic()
            with tracked(server=url, flush_s=2.0):
                started_s = time.monotonic() - began
            whole_s = time.monotonic() - began
        assert started_s < 3.5 and whole_s < 6.0
        (journal,) = journals(tmp_path)
        kept = json.loads(journal.read_text())
        assert kept["job"]["job"] == "train-42" and kept["ended_at"]

    def test_what_is_left_is_posted_by_the_next_run(self, server: ScriptedServer, tmp_path: Path) -> None:
        code = f"""
import time
from accounting.agent.track import track
with track({{name!r}}, server={server.url!r}, token={TOKEN!r}, folder={str(tmp_path)!r}, flush_s=1):
    time.sleep(0.3)
"""
        server.told["/api/v1/metering"] = (503, {})
        run_code(code.format(name="first"), folder=tmp_path)
        assert (server.batches, len(journals(tmp_path))) == ([], 1)
        del server.told["/api/v1/metering"]
        run_code(code.format(name="second"), folder=tmp_path)
        assert set(jobs_of(server)) == {"first", "second"}
        assert all(marks_of(server).values()) and journals(tmp_path) == []
        first = jobs_of(server)["first"]
        measured = [s["measured_at"] for s in server.samples.values()]
        assert (
            any(first["started_at"] <= at <= first["ended_at"] for at in measured)
            or min(measured) < first["started_at"]
        )
        assert server.conflicts == []

    def test_or_by_the_agents_flush(self, server: ScriptedServer, tmp_path: Path) -> None:
        code = f"""
import time
from accounting.agent.track import track
with track("left", server={server.url!r}, token={TOKEN!r}, folder={str(tmp_path)!r}, flush_s=1):
    time.sleep(0.3)
"""
        server.told["/api/v1/metering"] = (503, {})
        run_code(code, folder=tmp_path)
        (journal,) = journals(tmp_path)
        words = ["flush", "--json", "--server", server.url, "--spool", str(journal.parent), "--timeout", "5"]
        command = [sys.executable, "-m", "accounting.agent", *words]
        env = clean() | {"GREENAI_TOKEN": TOKEN}
        failed = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert (failed.returncode, json.loads(failed.stdout.splitlines()[-1])["marks_waiting"]) == (1, 1)
        del server.told["/api/v1/metering"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        told = json.loads(done.stdout.splitlines()[-1])
        assert (done.returncode, told["marks_waiting"], told["waiting"]) == (0, 0, 0), done.stdout + done.stderr
        assert jobs_of(server)["left"]["ended_at"] and server.samples and journals(tmp_path) == []
        assert {batch["agent"]["id"] for batch in server.batches if batch.get("agent")} == {"greenai-track"}

    def test_a_killed_jobs_mark_is_closed_at_its_last_sign_of_life(
        self, server: ScriptedServer, tracked: Callable[..., Track], tmp_path: Path
    ) -> None:
        code = f"""
import os, signal
from accounting.agent.track import track
track("killed", server={server.url!r}, token={TOKEN!r}, folder={str(tmp_path / "state")!r}).start()
os.kill(os.getpid(), signal.SIGKILL)
"""
        killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=clean(), capture_output=True)
        assert killed.returncode == -signal.SIGKILL
        assert len(journals(tmp_path)) == 1
        with tracked("next"):
            wait_until(
                lambda: journals(tmp_path) and "killed" not in " ".join(j.read_text() for j in journals(tmp_path))
            )
        ends = {end for (job, *_), end in marks_of(server).items() if job == "killed"}
        assert len(ends) == 1 and None not in ends
        assert jobs_of(server)["killed"]["ended_at"] in ends

    def test_a_folder_that_takes_nothing_still_posts(self, server: ScriptedServer, tmp_path: Path) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("not a folder")
        with track("train-42", server=server.url, token=TOKEN, folder=blocked) as job:
            pass
        assert all(marks_of(server).values()) and jobs_of(server)["train-42"]["ended_at"]
        assert server.samples and "keeps no mark" in job.problem

    def test_without_a_server_or_token_runs_untracked_and_says_so(self, tmp_path: Path) -> None:
        with track("train-42", folder=tmp_path) as job:
            pass
        assert job.problem == "not tracked: no server: give server=, or set GREENAI_SERVER"
        with track("train-42", server="http://127.0.0.1:9", folder=tmp_path) as job:
            pass
        assert "no token" in job.problem


class TestYourCode:
    def test_an_exception_ends_the_job_and_goes_on(self, server: ScriptedServer, tracked: Callable[..., Track]) -> None:
        with pytest.raises(ZeroDivisionError), tracked():
            raise ZeroDivisionError
        assert jobs_of(server)["train-42"]["ended_at"] and all(marks_of(server).values())

    def test_a_job_inside_another_holds_the_devices_meanwhile(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        server.known = HERE
        with tracked("outer"), tracked("inner"):
            pass
        spans = sorted({(start, end, job) for (job, _, start), end in marks_of(server).items()})
        assert [job for *_, job in spans] == ["outer", "inner", "outer"]
        assert [end for _, end, _ in spans][:2] == [start for start, *_ in spans][1:]  # nothing twice, nothing left out

    def test_a_decorated_function_is_a_job_a_call(self, server: ScriptedServer, tracked: Callable[..., Track]) -> None:
        server.known = HERE

        @tracked("nightly", kind="training")
        def train(epochs: int, *, rate: float) -> tuple[int, float]:
            """Train."""
            return epochs, rate

        assert (train(3, rate=0.1), train.__name__, train.__doc__) == ((3, 0.1), "train", "Train.")
        train(1, rate=0.2)
        assert len({start for _, _, start in marks_of(server)}) == 2
        assert jobs_of(server)["nightly"]["name"].endswith("train")

    def test_a_coroutine_is_tracked_while_it_runs(self, server: ScriptedServer, tracked: Callable[..., Track]) -> None:
        server.known = HERE

        @tracked("served")
        async def serve() -> str:
            await asyncio.sleep(0.2)
            return "done"

        assert asyncio.run(serve()) == "done"
        job = jobs_of(server)["served"]
        assert job["started_at"] < job["ended_at"]

    def test_start_and_stop_by_hand_as_in_a_notebook(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        server.known = HERE
        job = tracked()
        job.start()
        job.start()
        job.stop()
        job.stop()
        assert len({start for _, _, start in marks_of(server)}) == 1 and all(marks_of(server).values())

    def test_a_job_that_is_never_stopped_ends_with_its_process(self, server: ScriptedServer, tmp_path: Path) -> None:
        code = f"""
from accounting.agent.track import track
track("open", server={server.url!r}, token={TOKEN!r}, folder={str(tmp_path)!r}).start()
"""
        run_code(code, folder=tmp_path)
        assert jobs_of(server)["open"]["ended_at"] and all(marks_of(server).values())

    def test_forked_workers_post_nothing(self, server: ScriptedServer, tracked: Callable[..., Track]) -> None:
        server.known = HERE
        with tracked("parent") as job:
            wait_until(lambda: server.batches)
            context = multiprocessing.get_context("fork")
            workers = [context.Process(target=_work_in_child, args=(job, server.url)) for _ in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(20)
            assert [worker.exitcode for worker in workers] == [0, 0]
            assert set(jobs_of(server)) == {"parent"} and None in marks_of(server).values()
        assert all(marks_of(server).values()) and TRACKED_BY not in os.environ

    def test_a_defect_of_ours_is_said_and_not_raised(
        self, server: ScriptedServer, tracked: Callable[..., Track], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(Station, "begin", broken)
        with tracked() as job:
            pass
        assert job.problem.startswith("tracking broke down: ZeroDivisionError")

    @pytest.mark.parametrize("wrong", [{"measure": "maybe"}, {"interval_s": 0}, {"job": ""}, {"job": "a\nb"}])
    def test_what_can_never_work_is_refused_at_once(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"measure|interval_s|not a job name"):
            track(**wrong)

    def test_is_named_by_its_scheduler_where_it_is_given_no_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert track().job != track().job
        monkeypatch.setenv("SLURM_JOB_ID", "48213")
        assert track().job == "48213"


def _work_in_child(job: Track, url: str) -> None:
    with track("child", server=url, token=TOKEN):
        pass
    job.stop()


class TestDistributed:
    def test_one_rank_of_a_host_meters_and_one_of_the_job_says_when_it_ran(
        self, server: ScriptedServer, tmp_path: Path
    ) -> None:
        code = f"""
import time
from accounting.agent.track import track
with track("ddp", server={server.url!r}, token={TOKEN!r}, folder={str(tmp_path)!r}):
    time.sleep(0.5)
"""
        ranks = [
            subprocess.Popen(
                [sys.executable, "-c", code], cwd=ROOT,
                env=clean() | {"RANK": str(n), "LOCAL_RANK": str(n), "WORLD_SIZE": "2"},
            )
            for n in (0, 1)
        ]  # fmt: skip
        assert [one.wait(40) for one in ranks] == [0, 0]
        assert len({boot_id for boot_id, _ in server.samples}) == 1 and server.conflicts == []
        assert len({start for _, _, start in marks_of(server)}) == 1
        assert jobs_of(server)["ddp"]["ended_at"]

    def test_each_rank_marks_the_gpus_that_it_alone_was_given(
        self, server: ScriptedServer, tracked: Callable[..., Track], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.known = HERE
        monkeypatch.setenv("RANK", "5")
        monkeypatch.setenv("LOCAL_RANK", "1")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bbbbbbbb-0000-0000-0000-000000000002")
        with tracked():
            pass
        assert {device for _, device, _ in marks_of(server)} == {"gpu-GPU-bbbbbbbb-0000-0000-0000-000000000002"}
        assert "started_at" not in jobs_of(server)["train-42"]

    def test_needs_one_name_for_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ValueError, match="one name"):
            track()


class TestReadingBack:
    STATE = {"start": "2026-11-20T08:00:00Z", "end": "2026-11-20T09:00:00Z", "complete": True, "pending": []}

    @staticmethod
    def figure(mid: float, unit: str) -> dict[str, Any]:
        return {
            "low": 0.9 * mid,
            "mid": mid,
            "high": 1.1 * mid,
            "unit": unit,
            "status": "MEASURED",
            "method": "",
            "factors": [],
        }

    def totals(self) -> dict[str, Any]:
        names = ("it_energy_kwh", "facility_energy_kwh", "co2e_location_kg", "embodied_kg", "co2e_total_kg", "water_l")
        return {
            **{name: self.figure(n + 1.0, name.rpartition("_")[2]) for n, name in enumerate(names)},
            "co2e_market_kg": None, "cost": self.figure(0.5, "EUR"),
            "coverage": 0.99, "measured_share": 1.0, "status": "MEASURED",
        }  # fmt: skip

    def test_gives_every_quantity_with_its_range_and_status(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        server.told["/api/v1/job"] = (200, self.STATE)
        server.told["/api/v1/footprint"] = (200, {"totals": self.totals(), "currency": "EUR"})
        told = tracked(team="vision").footprint()
        assert told.complete and told.pending == ()
        assert told.it_energy_kwh is not None and told.it_energy_kwh.mid == 1.0 and told.it_energy_kwh.high == 1.1
        assert told.co2e_market_kg is None and told.status == "MEASURED" and told.coverage == 0.99
        assert dict(server.asked)["/api/v1/footprint"] == {
            "job": "train-42", "team": "vision", "from": self.STATE["start"], "to": self.STATE["end"],
        }  # fmt: skip
        metrics = told.metrics()
        assert metrics["greenai/co2e_total_kg_low"] == pytest.approx(4.5) and metrics["greenai/cost_eur"] == 0.5
        assert not any("market" in name for name in metrics)

    def test_waits_until_the_ledger_has_caught_up(self, server: ScriptedServer, tracked: Callable[..., Track]) -> None:
        server.told["/api/v1/footprint"] = (200, {"totals": self.totals(), "currency": "EUR"})
        server.told["/api/v1/job"] = (200, {**self.STATE, "complete": False, "pending": ["2 hours wait"]})
        later = threading.Timer(1.2, lambda: server.told.__setitem__("/api/v1/job", (200, self.STATE)))
        later.start()
        assert tracked().footprint(wait_s=20).complete
        later.join()

    def test_says_what_is_missing_when_the_wait_is_over(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        server.told["/api/v1/footprint"] = (200, {"totals": self.totals(), "currency": "EUR"})
        server.told["/api/v1/job"] = (200, {**self.STATE, "complete": False, "pending": ["2 hours wait"]})
        told = tracked().footprint(wait_s=0.2)
        assert (told.complete, told.pending) == (False, ("2 hours wait",)) and told.it_energy_kwh is not None

    def test_never_raises_because_of_the_network(self, tmp_path: Path) -> None:
        told = track("train-42", server="http://127.0.0.1:9", token=TOKEN, folder=tmp_path).footprint()
        assert not told.complete and "no answer" in told.pending[0] and told.it_energy_kwh is None

    def test_says_clearly_that_a_token_may_not_read(
        self, server: ScriptedServer, tracked: Callable[..., Track]
    ) -> None:
        refusal = {"code": "not_permitted", "detail": "a site's token may only post telemetry"}
        server.told = dict.fromkeys(("/api/v1/job", "/api/v1/model-card"), (403, refusal))
        for ask in (tracked().footprint, tracked().co2_eq_emissions):
            with pytest.raises(FootprintRefused, match=r"may only post telemetry.*read_token=") as refused:
                ask()
            assert TOKEN not in str(refused.value)

    def test_a_model_cards_block_is_the_servers(self, server: ScriptedServer, tracked: Callable[..., Track]) -> None:
        block = "co2_eq_emissions:\n  emissions: 12.3\n"
        server.told["/api/v1/model-card"] = (200, block)
        assert tracked().co2_eq_emissions(training_type="fine-tuning") == block
        assert server.asked[-1][1] == {"job": "train-42", "training_type": "fine-tuning"}
        del server.told["/api/v1/model-card"]
        with pytest.raises(FootprintNotReady):
            tracked().co2_eq_emissions()


class TestOneFile:
    def test_is_imported_out_of_the_agents_archive_with_the_standard_library_alone(
        self, server: ScriptedServer, tmp_path: Path
    ) -> None:
        archive = tmp_path / "greenai-agent.pyz"
        build(archive)
        code = f"""
import sys
sys.path.insert(0, {str(archive)!r})
from accounting.agent.track import track
with track("packed", server={server.url!r}, token={TOKEN!r}, folder={str(tmp_path)!r}):
    pass
heavy = {{"django", "torch", "pandas", "numpy", "transformers", "lightning", "mlflow", "wandb"}} & set(sys.modules)
print(sorted(heavy), sys.modules["accounting"].__file__)
"""
        done = subprocess.run(
            [sys.executable, "-S", "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path, env=clean()
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == f"[] {archive}/accounting/__init__.py"
        assert jobs_of(server)["packed"]["ended_at"]


def clean() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}


def run_code(code: str, *, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=clean(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
