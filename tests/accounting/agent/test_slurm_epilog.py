"""The agent in Slurm's epilog, with a stand-in for sacct and scontrol on the PATH: no real Slurm is at hand here."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROW = "77|hpc|fine|tune|ada|1772438400|1772445600|gpu[01-02]|7200000"  # a job's name may hold the delimiter


@pytest.fixture
def slurm(tmp_path: Path) -> Path:
    """A folder with a `sacct` that answers ROW, and a `scontrol` that knows its nodes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    _command(folder / "sacct", f"test \"$SLURM_TIME_FORMAT\" = %s || exit 1\necho '{ROW}'")
    _command(folder / "scontrol", "echo gpu01; echo gpu02")
    return folder


def _command(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def ended(slurm: Path, tmp_path: Path, server: str, *more: str, job: str = "77") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{slurm}:{os.environ['PATH']}",
        "SLURM_JOB_ID": job,
        "GREENAI_TOKEN": "gai_x_y",
        "PYTHONPATH": str(ROOT),
    }
    command = [
        sys.executable,
        "-m",
        "accounting.agent",
        "job-ended",
        "--server",
        server,
        "--spool",
        str(tmp_path / "s"),
    ]
    return subprocess.run([*command, *more], env=environment, capture_output=True, text=True, timeout=20)


def waiting(tmp_path: Path) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted((tmp_path / "s" / "slurm").glob("*.json"))]


class TestAJobThatEnded:
    def test_waits_on_disk_where_the_server_is_down_and_fails_no_epilog(self, slurm: Path, tmp_path: Path) -> None:
        done = ended(slurm, tmp_path, "http://127.0.0.1:9", "--team", "ml")
        assert done.returncode == 0 and "1 wait" in done.stderr
        told = waiting(tmp_path)[0]
        assert told["jobs"][0] | {"name": "fine|tune (ada)", "team": "ml"} == told["jobs"][0]
        assert told["jobs"][0]["ended_at"] == "2026-03-02T10:00:00Z"
        # 7.2 MJ on two nodes
        assert [(s["host"], s["energy_j"]) for s in told["energy_spans"]] == [("gpu01", 3.6e6), ("gpu02", 3.6e6)]

    def test_is_told_without_energy_where_sacct_knows_none(self, slurm: Path, tmp_path: Path) -> None:
        for script in ("exit 1", "echo '77|hpc|a|b|1772438400|Unknown|n1|0'", "echo nonsense"):
            _command(slurm / "sacct", script)
            assert ended(slurm, tmp_path, "http://127.0.0.1:9").returncode == 0
        assert [(told["jobs"][0]["job"], told["energy_spans"]) for told in waiting(tmp_path)] == [("77", [])] * 3

    def test_holds_the_epilog_for_five_seconds_at_most(self, slurm: Path, tmp_path: Path) -> None:
        _command(slurm / "sacct", "exec sleep 30")
        began = time.monotonic()
        assert ended(slurm, tmp_path, "http://127.0.0.1:9").returncode == 0
        assert time.monotonic() - began < 8  # with the start of Python on a busy machine
        assert len(waiting(tmp_path)) == 1

    def test_fails_no_epilog_where_nothing_is_right(self, slurm: Path, tmp_path: Path) -> None:
        assert ended(slurm, tmp_path, "nowhere").returncode == 0
        assert ended(slurm, tmp_path, "http://127.0.0.1:9", job="").returncode == 0
