"""The product's processes for benchmarks: a throwaway database and broker, web server, ledger workers and beat."""

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def database_and_broker(*, with_redis: bool) -> Iterator[Path]:
    """PostgreSQL (and Redis) of its own, named in the environment, with every table made and Django set up."""
    from tests.servers import postgres, redis

    with tempfile.TemporaryDirectory(prefix="greenai-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        os.environ["DATABASE_URL"] = stack.enter_context(postgres(folder / "postgres"))
        if with_redis:
            os.environ["REDIS_URL"] = stack.enter_context(redis(folder / "redis"))
        os.environ |= {"GREENAI_DATA_DIR": name, "DJANGO_SETTINGS_MODULE": "greenai.settings"}
        os.environ["GREENAI_LOG_LEVEL"] = "WARNING"
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True)
        import django

        django.setup()
        try:
            yield folder
        finally:
            from django.db import connections

            connections.close_all()


@contextmanager
def process(command: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A child that ends with the block."""
    with log.open("ab") as file:
        child = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def web_server(folder: Path) -> Iterator[int]:
    """gunicorn with one worker and eight threads, as `make run` starts it; its port."""
    from tests.servers import free_port

    port, log = free_port(), folder / "web.log"
    gunicorn = [sys.executable, "-m", "gunicorn", "greenai.wsgi", "-k", "gthread", "--threads", "8"]
    with process([*gunicorn, "--no-control-socket", "--bind", f"127.0.0.1:{port}"], log):
        for _ in range(300):
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=1).request("GET", "/healthz")
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")
        yield port


@contextmanager
def ledger_workers(folder: Path, *, count: int = 1) -> Iterator[None]:
    """Celery workers of the queue `ledger` and beat, as `manage.py up` starts them."""
    celery = [sys.executable, "-m", "celery", "--quiet", "-A", "greenai"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with ExitStack() as stack:
        for k in range(count):
            worker = ["worker", "-Q", "ledger", "-P", "solo", "-n", f"ledger-{k}@%h", "-l", "warning", *quiet]
            stack.enter_context(process([*celery, *worker], folder / "worker.log"))
        beat = ["beat", "-l", "warning", "-s", str(folder / "beat"), "--pidfile="]
        stack.enter_context(process([*celery, *beat], folder / "beat.log"))
        yield
