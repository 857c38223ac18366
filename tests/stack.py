"""The product itself, running: `manage.py up` in a folder of its own, for flows and browser tests.

On the second pair of database and broker it gets a fresh database and a Redis number of its own.
"""

import os
import queue
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT_S = 120.0


@dataclass
class Stack:
    """A running product: its address, its first sign-in link, its data folder and environment, its log so far."""

    url: str
    data_dir: Path
    env: dict[str, str]
    process: "subprocess.Popen[str]"
    login_link: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def token(self) -> str:
        """The token of this machine's own agent: scope ingest, for the first site."""
        return (self.data_dir / "agent.token").read_text().strip()

    def manage(self, *arguments: str) -> str:
        """Run a management command against the running product's data; its standard output."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.env, check=True, capture_output=True, text=True).stdout


@contextmanager
def running_stack(
    folder: Path, *, arguments: tuple[str, ...] = (), env: dict[str, str] | None = None
) -> Iterator[Stack]:
    """Start the product, wait until its sign-in page answers, stop it at the end."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _backend() as backend:
        environment = {**os.environ, "GREENAI_DATA_DIR": str(folder), "GREENAI_BASE_URL": url, **backend, **(env or {})}
        environment.pop("CI", None)
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port), *arguments],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        stack = Stack(url, folder, environment, process)
        links: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_collect, args=(stack, links), daemon=True)
        reader.start()
        try:
            stack.login_link = links.get(timeout=START_LIMIT_S)
            _wait_until_it_answers(stack)
            yield stack
        except BaseException:
            print("\n".join(stack.lines[-120:]))
            raise
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(40)
            finally:
                process.kill()
            reader.join(5)


def _collect(stack: Stack, links: "queue.Queue[str]") -> None:
    assert stack.process.stdout is not None
    with stack.process.stdout as output:
        for line in output:
            stack.lines.append(line.rstrip())
            if found := re.search(r"Sign in\s+(\S+/login/once/\S+)", line):
                links.put(found[1])


def _wait_until_it_answers(stack: Stack) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(f"{stack.url}/login/", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:  # a busy machine answers late
            if stack.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the product does not answer at {stack.url}: {error}") from error
            time.sleep(0.2)


@contextmanager
def _backend() -> Iterator[dict[str, str]]:
    base = os.environ.get("DATABASE_URL", "")
    if not base.startswith("postgres"):
        yield {}
        return
    name = f"stack_{secrets.token_hex(4)}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        broker = urlsplit(os.environ["REDIS_URL"])
        number = 1 + secrets.randbelow(15)
        yield {
            "DATABASE_URL": urlunsplit(urlsplit(base)._replace(path=f"/{name}")),
            "REDIS_URL": urlunsplit(broker._replace(path=f"/{number}")),
        }
    finally:
        with psycopg.connect(base, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
