"""The agent as its own process against a real server: killed, stopped, refused, cut off, and packed into one file."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from accounting.agent import VERSION
from accounting.agent.build import build
from tests.accounting.agent.scripted_server import TOKEN, Answer, ScriptedServer

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {"PATH": os.environ["PATH"], "GREENAI_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}


def command(*words: str, python: tuple[str, ...] = ("-m", "accounting.agent")) -> list[str]:
    return [sys.executable, *python, *words]


def run(*words: str, folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), capture_output=True, text=True, cwd=folder, env=ENVIRONMENT | (env or {}), timeout=60
    )


@contextmanager
def agent(*words: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=ENVIRONMENT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def trace(folder: Path, *, rows: int) -> Path:
    path = folder / "trace.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["measured_at", "device", "power_w", "energy_j", "job"])
        for n in range(rows):
            at = f"2026-03-01T{8 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z"
            table.writerow([at, "gpu-0", 300 + n % 50, 310 * n, "train-1" if n % 3 else ""])
            table.writerow([at, "cpu-0", 90, "", ""])
    return path


def keys_of(path: Path) -> set[tuple[str, str]]:
    with path.open() as file:
        return {(row["device"], row["measured_at"]) for row in csv.DictReader(file)}


def wait_until(condition: Any, *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


class TestReplayThroughFaults:
    def test_a_trace_killed_again_and_again_over_a_bad_network_arrives_whole_and_once(
        self, tmp_path: Path, server: ScriptedServer
    ) -> None:
        path = trace(tmp_path, rows=2000)
        bad = [Answer(503, headers={"Retry-After": "0"}), Answer(reply=False), Answer(429), Answer(), Answer(502)]
        words = ("run", "--server", server.url, "--sensor", f"replay:{path}", "--spool", "spool", "--host", "node-1")
        for life in range(5):
            server.script = list(bad)
            taken = len(server.batches)
            with agent(*words, folder=tmp_path) as process:
                wait_until(lambda taken=taken: len(server.batches) > taken)
                time.sleep(0.05 * life)
                process.send_signal(signal.SIGKILL)
        done = run(*words, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert server.conflicts == []
        assert {(s["device"], s["measured_at"]) for s in server.samples.values()} == keys_of(path)
        assert len(server.samples) == 4000
        assert len({boot_id for boot_id, _ in server.samples}) == 1
        assert sum(s.get("energy_j", 0) for s in server.samples.values()) == 310 * sum(range(2000))

    def test_a_lost_spool_changes_nothing(self, tmp_path: Path, server: ScriptedServer) -> None:
        path = trace(tmp_path, rows=300)
        for spool in ("one", "two"):
            done = run("run", "--server", server.url, "--sensor", f"replay:{path}", "--spool", spool, folder=tmp_path)
            assert done.returncode == 0
        assert (len(server.samples), server.conflicts) == (600, [])


class TestLive:
    def test_a_stopped_agent_flushes_and_leaves_within_three_seconds(
        self, tmp_path: Path, server: ScriptedServer
    ) -> None:
        words = ("run", "--server", server.url, "--sensor", "procstat", "--interval", "0.2", "--spool", "spool")
        with agent(*words, folder=tmp_path) as process:
            wait_until(lambda: len(server.samples) > 0)
            time.sleep(1.0)  # measured, and not yet posted: less than a full batch waits
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - began < 3
        assert len(server.samples) >= 8
        numbers = sorted(seq for _, seq in server.samples)
        assert numbers == list(range(1, len(numbers) + 1))
        assert {s["status"] for s in server.samples.values()} == {"modelled"}

    def test_posts_seldom_where_asked_to_and_still_flushes_when_stopped(
        self, tmp_path: Path, server: ScriptedServer
    ) -> None:
        words = ("run", "--server", server.url, "--sensor", "procstat", "--interval", "0.2", "--spool", "spool")
        with agent(*words, "--post-every", "60", folder=tmp_path) as process:
            wait_until(lambda: len(server.batches) > 0)
            time.sleep(6.5)  # by default a second post would have come within 5 s
            posts = len(server.batches)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        assert posts <= 2  # who it is, and what it had read by then
        numbers = sorted(seq for _, seq in server.samples)
        assert len(numbers) >= 30 and numbers == list(range(1, len(numbers) + 1))

    def test_a_stopped_agent_does_not_wait_for_a_server_that_hangs(
        self, tmp_path: Path, server: ScriptedServer
    ) -> None:
        server.rule = lambda batch: Answer(delay_s=60)
        words = ("run", "--server", server.url, "--sensor", "procstat", "--interval", "0.2", "--spool", "spool")
        with agent(*words, folder=tmp_path) as process:
            wait_until(lambda: server.batches)
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - began < 4

    def test_kill_and_restart_go_on_in_one_stream(self, tmp_path: Path, server: ScriptedServer) -> None:
        words = ("run", "--server", server.url, "--sensor", "procstat", "--interval", "0.1", "--spool", "spool")
        for _ in range(3):
            before = len(server.samples)
            with agent(*words, folder=tmp_path) as process:
                wait_until(lambda before=before: len(server.samples) > before)
                time.sleep(0.3)
                process.send_signal(signal.SIGKILL)
        assert run("flush", "--server", server.url, "--spool", "spool", folder=tmp_path).returncode == 0
        assert server.conflicts == []
        assert len({boot_id for boot_id, _ in server.samples}) == 1
        numbers = sorted(seq for _, seq in server.samples)
        assert numbers == list(range(1, len(numbers) + 1))

    def test_once_takes_two_readings_and_says_whether_they_arrived(
        self, tmp_path: Path, server: ScriptedServer
    ) -> None:
        words = ("run", "--once", "--interval", "0.2", "--sensor", "procstat", "--spool", "spool", "--server")
        assert run(*words, server.url, folder=tmp_path).returncode == 0
        assert [s["device"] for s in server.samples.values()].count("cpu-0") >= 1
        assert run(*words, "http://127.0.0.1:9", folder=tmp_path).returncode == 1

    def test_the_log_is_one_line_an_event_or_json_and_never_holds_the_token(
        self, tmp_path: Path, server: ScriptedServer
    ) -> None:
        words = ("run", "--once", "--interval", "0.1", "--sensor", "procstat", "--spool", "s", "--server", server.url)
        plain = run(*words, folder=tmp_path).stdout
        assert "sensor procstat (modelled): cpu-0, memory" in plain
        as_json = run(*words, "--json", folder=tmp_path).stdout
        assert all(set(json.loads(line)) == {"at", "level", "message"} for line in as_json.splitlines())
        assert TOKEN not in plain + as_json


class TestCommands:
    def test_status_tells_how_delivery_goes(self, tmp_path: Path, server: ScriptedServer) -> None:
        server.script = [Answer(503)] * 50
        words = ("run", "--once", "--interval", "0.1", "--sensor", "procstat", "--spool", "s", "--server", server.url)
        assert run(*words, folder=tmp_path).returncode == 1
        stopped = run("status", "--json", "--spool", "s", folder=tmp_path)
        told = json.loads(stopped.stdout)
        assert stopped.returncode == 1
        assert (told["running"], told["dropped"], told["last_error"]) == (False, 0, "HTTP 503: {}")
        assert told["waiting"] >= 3
        server.script = []
        flushed = run("flush", "--json", "--spool", "s", "--server", server.url, folder=tmp_path)
        assert flushed.returncode == 0
        assert json.loads(flushed.stdout.splitlines()[-1]) == {
            "delivered": told["waiting"], "waiting": 0, "parked": 0, "dropped": 0,
        }  # fmt: skip
        with agent("run", "--sensor", "procstat", "--spool", "s", "--server", server.url, folder=tmp_path):
            wait_until(lambda: run("status", "--spool", "s", folder=tmp_path).returncode == 0)
            second = run("run", "--sensor", "procstat", "--spool", "s", "--server", server.url, folder=tmp_path)
        assert second.returncode == 2
        assert "already runs" in second.stderr

    def test_doctor_names_every_sensor_and_tries_server_and_token(self, tmp_path: Path, server: ScriptedServer) -> None:
        well = run("doctor", "--json", "--spool", "s", "--server", server.url, folder=tmp_path)
        told = json.loads(well.stdout)
        assert well.returncode == 0
        assert set(told["sensors"]) == {"nvml", "rapl", "codecarbon", "procstat"}
        assert told["server"] == f"{server.url}/api/v1/telemetry takes this token"
        assert all(entry["works"] or entry["why"] for entry in told["sensors"].values())
        server.script = [Answer(401)]
        barred = run("doctor", "--spool", "s", "--server", server.url, folder=tmp_path)
        assert barred.returncode == 1
        assert "server: HTTP 401" in barred.stdout
        assert server.samples == {}

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (("run",), "no server: give --server URL"),
            (("run", "--server", "greenai"), "not an address"),
            (("run", "--server", "http://x", "--token-file", "none"), "cannot be read"),
            (("run", "--server", "http://x", "--sensor", "wattmeter"), "no sensor is named 'wattmeter'"),
            (("run", "--server", "http://x", "--sensor", "replay:none.csv"), "cannot be played"),
            (("run", "--server", "http://x", "--interval", "0"), "'0' is not a number between 0.1 and 60"),
            (("run", "--server", "http://x", "--post-every", "301"), "'301' is not a number between 1 and 300"),
            (("status", "--spool", "none"), "no spool in none"),
            ((), "COMMAND"),
        ],
    )
    def test_asked_wrongly_says_what_to_give_and_exits_2(
        self, tmp_path: Path, words: tuple[str, ...], why: str
    ) -> None:
        done = run(*words, folder=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert why in done.stderr

    def test_the_environments_pace_is_held_to_the_same_bounds(self, tmp_path: Path) -> None:
        done = run("run", "--server", "http://x", folder=tmp_path, env={"GREENAI_POST_EVERY_S": "often"})
        assert done.returncode == 2 and "'often' is not a number between 1 and 300" in done.stderr

    def test_a_token_may_come_through_standard_input(self, tmp_path: Path, server: ScriptedServer) -> None:
        words = ("run", "--once", "--interval", "0.1", "--sensor", "procstat", "--spool", "s", "--server", server.url)
        done = subprocess.run(
            command(*words, "--token-file", "-"), input="gai_piped_1\n", text=True, capture_output=True,
            cwd=tmp_path, env=ENVIRONMENT,
        )  # fmt: skip
        assert done.returncode == 0
        assert set(server.tokens) == {"Bearer gai_piped_1"}

    def test_its_version_is_the_products(self, tmp_path: Path) -> None:
        product = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        assert run("--version", folder=tmp_path).stdout == f"greenai-agent {VERSION}\n" == f"greenai-agent {product}\n"


class TestOneFile:
    def test_runs_alone_without_a_single_third_party_package(self, tmp_path: Path, server: ScriptedServer) -> None:
        archive = tmp_path / "greenai-agent.pyz"
        build(archive)
        words = ("run", "--once", "--interval", "0.1", "--spool", "s", "--server", server.url)
        done = subprocess.run(
            command(*words, python=("-S", "-I", str(archive))), capture_output=True, text=True,
            cwd=tmp_path, env={"PATH": os.environ["PATH"], "GREENAI_TOKEN": TOKEN},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        agent_info = server.batches[0]["agent"]
        assert (
            "not installed" in agent_info["sensors"]["codecarbon"]
            or "not needed" in agent_info["sensors"]["codecarbon"]
        )
        assert "cpu-0" in {s["device"] for s in server.samples.values()}

    def test_the_same_source_gives_the_same_bytes(self, tmp_path: Path) -> None:
        assert build(tmp_path / "one.pyz") == build(tmp_path / "two.pyz")
        assert (tmp_path / "one.pyz").read_bytes() == (tmp_path / "two.pyz").read_bytes()
        assert (tmp_path / "one.pyz").read_bytes().startswith(b"#!/usr/bin/env python3\n")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one.pyz", "two.pyz"]

    def test_carries_the_gpu_binding_as_a_last_resort(self, tmp_path: Path) -> None:
        archive = tmp_path / "greenai-agent.pyz"
        build(archive)
        code = f"import sys; sys.path.append({str(archive)!r} + '/bundled'); import pynvml; print(pynvml.__file__)"
        done = subprocess.run([sys.executable, "-S", "-I", "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == f"{archive}/bundled/pynvml.py"


class TestImports:
    def test_a_fresh_interpreter_loads_only_the_standard_library(self) -> None:
        code = (
            "import sys; before = set(sys.modules); import accounting.agent.__main__, accounting.agent.build; "
            "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
        assert done.stdout.split() == ["accounting"]
