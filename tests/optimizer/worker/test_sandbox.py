import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from optimizer.worker.sandbox import confined, remove_left_over

REPOSITORY = Path(__file__).resolve().parents[3]
HELLO = "import json; print(json.dumps({'event': 'hello'}))"
SLEEPS_WITH_A_CHILD = (
    "import json, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(json.dumps({'event': 'pids', 'pids': [__import__('os').getpid(), child.pid]}), flush=True)\n"
    "time.sleep(60)\n"
)


def run(script, **options):
    return confined([sys.executable, "-c", script], import_from=REPOSITORY, **options)


def said_by(script, **options):
    """(what the kernel granted, what the child said)"""
    with run(script, **options) as child:
        said = heard(child)
        return child.granted, said


def heard(child):
    return [json.loads(said[0]) for said in child.lines(every_s=5.0) if said]


def lives(pid):
    """Whether the process still runs; one that is dead but not yet reaped by anyone does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone_within(pids, seconds):
    deadline = time.monotonic() + seconds
    while any(lives(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class TestConfined:
    def test_says_first_what_the_kernel_granted_then_what_the_child_says(self):
        granted, said = said_by(HELLO)
        assert set(granted) == {"event", "network", "files"}
        assert said == [{"event": "hello"}]

    def test_stamps_each_line_with_the_clock_that_children_share(self):
        before = time.monotonic_ns()
        with run(HELLO) as child:
            ((_, at_ns),) = [said for said in child.lines(every_s=5.0) if said]
        assert before < at_ns < time.monotonic_ns()

    def test_the_environment_holds_no_credentials(self, monkeypatch):
        for name in ("DATABASE_URL", "SECRET_KEY", "REDIS_URL", "GREENAI_TOKEN_FILE", "DJANGO_SETTINGS_MODULE"):
            monkeypatch.setenv(name, "secret")
        dump = "import json, os; print(json.dumps({'event': 'env', 'env': dict(os.environ)}))"
        seen = said_by(dump)[1][0]["env"]
        assert "secret" not in seen.values()
        assert seen["HOME"] == seen["TMPDIR"]

    def test_reaches_no_network_where_the_kernel_lets_go_of_it(self):
        probe = (
            "import json, socket\n"
            "try: socket.create_connection(('127.0.0.1', 9), timeout=2); error = None\n"
            "except OSError as caught: error = caught.errno\n"
            "names = [name for _, name in socket.if_nameindex()]\n"
            "print(json.dumps({'event': 'net', 'names': names, 'errno': error}))"
        )
        confinement, (net,) = said_by(probe)
        if confinement["network"] == "none":
            assert net["names"] == ["lo"]
            assert net["errno"] is not None
        else:
            assert "refused" in confinement["network"]

    def test_hides_the_data_folder_and_token_files(self, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "secret_key").write_text("secret")
        (tmp_path / "token").write_text("gai_secret")
        look = (
            "import json, os\n"
            f"print(json.dumps({{'event': 'files', 'data': os.listdir({str(tmp_path / 'data')!r}), "
            f"'token': open({str(tmp_path / 'token')!r}).read()}}))"
        )
        confinement, (files,) = said_by(look, hide=[tmp_path / "data", tmp_path / "token"])
        if confinement["files"] == "hidden":
            assert (files["data"], files["token"]) == ([], "")
        assert (tmp_path / "data" / "secret_key").read_text() == "secret"

    def test_tells_how_a_child_ended(self):
        with run("import sys; print('no such model', file=sys.stderr); sys.exit(3)") as child:
            heard(child)
            assert child.exit_words() == "exit status 3; last words: no such model"
        with run("import os; os.kill(os.getpid(), 11)") as child:
            heard(child)
            assert child.exit_words() == "killed by SIGSEGV"

    def test_leaving_the_context_ends_the_child_what_it_started_and_its_folder(self):
        with run(SLEEPS_WITH_A_CHILD) as child:
            pids = next(json.loads(said[0]) for said in child.lines(every_s=5.0) if said)["pids"]
            folder = child.folder
            assert all(map(lives, pids))
        assert gone_within([*pids, child.process.pid], 5)
        assert not folder.exists()

    def test_hears_what_the_parent_sends(self):
        echo = "import json, sys; print(json.dumps({'event': 'heard', 'line': json.loads(sys.stdin.readline())}))"
        with run(echo) as child:
            child.give('{"run": 1}\n')
            assert heard(child) == [{"event": "heard", "line": {"run": 1}}]

    def test_a_kept_folder_stays_as_it_is_within_a_hidden_one(self, tmp_path):
        kept = tmp_path / "data" / "workloads"
        kept.mkdir(parents=True)
        (tmp_path / "data" / "secret_key").write_text("secret")
        (kept / "model").write_text("weights")
        look = (
            "import json, os, pathlib\n"
            f"kept = pathlib.Path({str(kept)!r})\n"
            "(kept / 'new').write_text('trained')\n"
            "print(json.dumps({'data': os.listdir(kept.parent), 'model': (kept / 'model').read_text()}))"
        )
        granted, (files,) = said_by(look, hide=[tmp_path / "data"], keep=[kept])
        assert files["model"] == "weights"
        assert (kept / "new").read_text() == "trained"
        if granted["files"] == "hidden":
            assert files["data"] == ["workloads"]


class TestOrphans:
    @pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
    def test_a_killed_worker_leaves_no_child_and_no_grandchild(self, kill):
        worker = (
            "import json, pathlib, sys\n"
            "from optimizer.worker.sandbox import confined\n"
            f"argv = [sys.executable, '-c', {SLEEPS_WITH_A_CHILD!r}]\n"
            f"with confined(argv, import_from=pathlib.Path({str(REPOSITORY)!r})) as child:\n"
            "    for said in child.lines(every_s=1.0):\n"
            "        if said:\n"
            "            print(json.dumps([child.process.pid, *json.loads(said[0])['pids']]), flush=True)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE, env=environment) as process:
            pids = json.loads(process.stdout.readline())
            assert all(map(lives, pids))
            process.send_signal(kill)
            process.wait(timeout=10)
        assert gone_within(pids, 5)

    def test_the_folders_of_killed_workers_are_removed_by_the_next_one(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
            gone.wait()
        left, own = tmp_path / f"greenai-child-{gone.pid}-x", tmp_path / f"greenai-child-{os.getpid()}-y"
        left.mkdir()
        own.mkdir()
        remove_left_over()
        assert (left.exists(), own.exists()) == (False, True)
