"""The supervising command over real small processes: restarts, stopping, and what happens when it is killed itself."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from greenai import supervise
from greenai.supervise import Child, Supervisor

ROOT = Path(__file__).resolve().parents[2]
NOTES_ITS_START = "import sys, time; open(sys.argv[1], 'a').write(f'{time.monotonic()}\\n'); sys.exit(3)"
NOTES_ITS_END = """
import signal, sys, time
def end(*_):
    time.sleep(0.2)
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1] + "." + sys.argv[2], "w").close()
while True:
    time.sleep(1)
"""
DEAF = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(f"{os.getpid()} {child}")
    os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    time.sleep(1)
"""
SUPERVISES = """
import sys
from greenai.supervise import Child, Supervisor
print_pid = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
Supervisor([Child("one", [sys.executable, "-c", print_pid])], write=lambda line: print(line, flush=True)).run()
"""


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def run_until(condition: Callable[[], bool], *children: Child, limit_s: float = 20.0) -> list[str]:
    """Run a supervisor until the condition holds; what it said."""
    said: list[str] = []
    supervisor = Supervisor(children, write=said.append)

    def watch() -> None:
        deadline_s = time.monotonic() + limit_s
        while not condition() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        supervisor.stopping.set()

    threading.Thread(target=watch, daemon=True).start()
    supervisor.run()
    assert condition(), said
    return said


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
    deadline_s = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return condition()


class TestAChildThatDies:
    def test_is_started_again_with_growing_waits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervise, "BACKOFF_FIRST_S", 0.4)
        starts = tmp_path / "starts"
        said = run_until(lambda: len(lines(starts)) >= 4, Child("brief", python(NOTES_ITS_START, starts)))
        gaps_s = [later - earlier for earlier, later in pairwise(map(float, lines(starts)))]
        # 0.4, 0.8 and 1.6 s at least; a look every 0.2 s and the start of a process come on top
        assert all(gap_s >= wait_s for gap_s, wait_s in zip(gaps_s, (0.4, 0.8, 1.6), strict=False)), gaps_s
        assert sum("ended with exit code 3; starting again" in line for line in said) >= 3

    def test_is_waited_for_half_a_minute_at_most(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []
        child = Child("brief", python("raise SystemExit(1)"), failures=40)
        supervisor = Supervisor([child], write=said.append)
        supervisor._start(child)
        assert child.process is not None and child.process.wait(10) == 1
        supervisor._revive(child)
        assert "starting again in 30 s" in said[-1]

    def test_leaves_its_last_words_and_the_others_alone(self, tmp_path: Path) -> None:
        starts, other = tmp_path / "starts", tmp_path / "ends"
        said = run_until(
            lambda: len(lines(starts)) >= 2 and Path(f"{other}.steady").exists(),
            Child("steady", python(NOTES_ITS_END, other, "steady")),
            Child("brief", python("print('last words', flush=True);" + NOTES_ITS_START, starts)),
        )
        assert any(line.endswith("| last words") and " brief " in line for line in said)
        assert lines(other) == ["steady"] and not any("steady" in line and "starting again" in line for line in said)


class TestStopping:
    def test_ends_the_last_started_first_and_one_after_another(self, tmp_path: Path) -> None:
        ends = tmp_path / "ends"
        names = ("web", "ledger", "agent")
        run_until(
            lambda: all(Path(f"{ends}.{name}").exists() for name in names),
            *(Child(name, python(NOTES_ITS_END, ends, name)) for name in names),
        )
        assert lines(ends) == ["agent", "ledger", "web"]

    def test_kills_a_deaf_child_with_all_that_it_started(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervise, "STOP_GRACE_S", 0.3)
        pids = tmp_path / "pids"
        said = run_until(pids.exists, Child("deaf", python(DEAF, pids)))
        assert any("did not stop within" in line for line in said)
        assert wait_until(lambda: not any(lives(int(pid)) for pid in pids.read_text().split()))


class TestASupervisorKilledOutright:
    def test_takes_its_children_with_it(self) -> None:
        process = subprocess.Popen(python(SUPERVISES), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        child = int(process.stdout.readline().rpartition("pid ")[2])
        assert lives(child)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        assert wait_until(lambda: not lives(child))
