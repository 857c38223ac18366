"""`manage.py estimate` as a person or a script runs it: what it prints, where, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.test_estimates import ESTIMATED, SEED

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(tmp_path: Path):
    env = {**os.environ, "GREENAI_DATA_DIR": str(tmp_path / "data")}

    def start(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", "estimate", *arguments]
        return subprocess.run(command, cwd=ROOT, env=env, input=given, capture_output=True, text=True, check=False)

    return start


class TestCommand:
    def test_answers_a_file_as_the_api_does(self, run, tmp_path: Path) -> None:
        (tmp_path / "runs.json").write_text(json.dumps({"runs": [{"id": "seed", **SEED}]}))
        ended = run("--input", str(tmp_path / "runs.json"), "--json")
        assert (ended.returncode, ended.stderr) == (0, "")
        (answered,) = json.loads(ended.stdout)["runs"]
        assert {name: answered[name]["mid"] for name in ESTIMATED} == pytest.approx(ESTIMATED)

    @pytest.mark.parametrize(("strict", "code"), [((), 0), (("--strict",), 1)])
    def test_says_that_a_run_is_refused_and_answers_the_others(self, run, strict: tuple[str, ...], code: int) -> None:
        ended = run("--input", "-", *strict, given=json.dumps({"runs": [{"id": "seed", **SEED}, {"pue": 0.5}]}))
        assert ended.returncode == code and "1 of 2 runs refused" in ended.stderr
        assert "Run 1: seed" in ended.stdout and "Facility energy" in ended.stdout and "30.0 kWh" in ended.stdout
        assert "refused (out_of_range): pue: 0.5" in ended.stdout

    @pytest.mark.parametrize("given", ["{", "[]", '{"runs": 3}'])
    def test_ends_with_2_where_the_input_cannot_be_read(self, run, given: str) -> None:
        ended = run("--input", "-", "--json", given=given)
        assert (ended.returncode, ended.stdout) == (2, "") and "standard input cannot be read" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_ends_with_2_where_there_is_no_such_file(self, run, tmp_path: Path) -> None:
        ended = run("--input", str(tmp_path / "nothing.json"))
        assert ended.returncode == 2 and "No such file" in ended.stderr and "Traceback" not in ended.stderr
