"""Throwaway PostgreSQL and Redis servers on loopback, for tests and benchmarks."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_LIMIT_S = 30.0


def find_postgres() -> Path | None:
    """The folder with initdb and postgres, newest version first (Debian keeps it off the PATH)."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    candidates = [*folders, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


def find_redis() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def find_chromium() -> Path | None:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return Path(found) if found else None


def find_prometheus() -> Path | None:
    found = shutil.which("prometheus")
    return Path(found) if found else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A cluster of its own; yields its URL. As root it runs as the account `postgres`, which PostgreSQL demands."""
    binaries = find_postgres()
    if binaries is None:
        raise FileNotFoundError("no PostgreSQL server found: apt-get install postgresql")
    folder.mkdir(parents=True)
    account = _unprivileged("postgres", folder)
    data = folder / "data"
    # su closes nothing it inherits; output goes to files so that the server does not hold the caller's pipes
    subprocess.run(
        [*account, str(binaries / "initdb"), "-D", str(data), "-U", "greenai", "-A", "trust", "-E", "UTF8", "-N"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    with _serving(binaries, account, folder) as port:
        yield f"postgres://greenai@127.0.0.1:{port}/postgres"


@contextmanager
def replica(folder: Path, *, of: str) -> Iterator[str]:
    """A streaming replica of a cluster that `postgres` started; yields its URL. It only reads."""
    binaries = find_postgres()
    assert binaries is not None  # the primary was started with it
    folder.mkdir(parents=True)
    account = _unprivileged("postgres", folder)
    primary = of.rsplit("/", 1)[0]
    backup = [str(binaries / "pg_basebackup"), "-d", primary, "-D", str(folder / "data"), "-R", "-X", "stream"]
    subprocess.run([*account, *backup, "-c", "fast"], check=True, cwd="/")
    with _serving(binaries, account, folder) as port:
        yield f"postgres://greenai@127.0.0.1:{port}/postgres"


@contextmanager
def _serving(binaries: Path, account: Sequence[str], folder: Path) -> Iterator[int]:
    """The cluster under `folder / "data"`, on a port of its own."""
    port, data = free_port(), folder / "data"
    options = [
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        f"unix_socket_directories={folder}",
        "-c",
        "max_connections=200",
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*account, str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
    try:
        ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        _until(lambda: subprocess.run(ready, check=False).returncode == 0, server, folder / "log")
        yield port
    finally:
        subprocess.run([*account, str(binaries / "pg_ctl"), "-D", str(data), "-m", "fast", "stop"],
                       check=False, stdout=subprocess.DEVNULL, cwd="/")  # fmt: skip
        server.wait(30)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A server without persistence; yields its URL."""
    binary = find_redis()
    if binary is None:
        raise FileNotFoundError("no Redis server found: apt-get install redis-server")
    folder.mkdir(parents=True)
    port = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        _until(lambda: _listens(port), server, folder / "log")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(30)


def _unprivileged(account: str, folder: Path) -> Sequence[str]:
    if os.geteuid() != 0:
        return []
    entry = pwd.getpwnam(account)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    for parent in folder.parents:
        if parent.stat().st_uid == 0 and parent != Path("/") and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(ready, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
