"""Runs the product's processes as children of one command: starts, prefixes their logs, restarts, stops.

Linux ends the children with the supervisor even when it is killed with -9, so that no stray worker keeps a lease.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

STOP_GRACE_S = 15.0
HEALTHY_AFTER_S = 30.0
BACKOFF_FIRST_S, BACKOFF_MOST_S = 1.0, 30.0
COLOURS = ("36", "33", "35", "32", "34")
PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One process to keep running. `name` prefixes its lines."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[str] | None" = None
    started_at: float = 0.0
    failures: int = 0
    retry_at: float = 0.0


class Supervisor:
    """Keeps children running until a signal comes; then stops them all, the last started first."""

    def __init__(self, children: Sequence[Child], *, write: Callable[[str], object]) -> None:
        self.children = children
        self.write = write
        self.stopping = threading.Event()
        self._readers: list[threading.Thread] = []
        self._width = max(len(child.name) for child in children)
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def run(self) -> None:
        """Block until SIGINT or SIGTERM; every child has ended on return."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stopping.set())
        try:
            for child in self.children:
                self._start(child)
            while not self.stopping.wait(0.2):
                for child in self.children:
                    self._revive(child)
        finally:
            self._stop_all()

    def say(self, name: str, line: str) -> None:
        prefix = f"{datetime.now():%H:%M:%S} {name:<{self._width}} |"
        if self._colour:
            names = [child.name for child in self.children]
            code = COLOURS[names.index(name) % len(COLOURS)] if name in names else "1"
            prefix = f"\033[{code}m{prefix}\033[0m"
        self.write(f"{prefix} {line}")

    def _start(self, child: Child) -> None:
        child.process = subprocess.Popen(
            child.command,
            env={**os.environ, **child.env, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then stops them in order
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        child.started_at = time.monotonic()
        reader = threading.Thread(target=self._relay, args=(child.name, child.process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _relay(self, name: str, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.say(name, line.rstrip())
        process.stdout.close()

    def _revive(self, child: Child) -> None:
        """Restart a child that ended, waiting longer each time it ends soon after its start."""
        now = time.monotonic()
        if child.process is not None:
            code = child.process.poll()
            if code is None:
                return
            lived = now - child.started_at
            child.failures = 0 if lived > HEALTHY_AFTER_S else child.failures + 1
            wait_s = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** max(child.failures - 1, 0))
            self.say(child.name, f"ended with exit code {code}; starting again in {wait_s:.0f} s")
            child.process, child.retry_at = None, now + wait_s
        elif now >= child.retry_at:
            self._start(child)

    def _stop_all(self) -> None:
        """One after another, the last started first: who posts to the web server ends before it does."""
        for child in reversed(self.children):
            if child.process is None or child.process.poll() is not None:
                continue
            self.say(child.name, "stopping")
            child.process.terminate()
            try:
                child.process.wait(STOP_GRACE_S)
            except subprocess.TimeoutExpired:
                self.say(child.name, f"did not stop within {STOP_GRACE_S:.0f} s: killed")
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()
        for reader in self._readers:
            reader.join(1.0)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
