"""Several web processes on one PostgreSQL: what comes to all of them at once, and twice, is there once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
import pytest
import requests

from tests.servers import find_postgres, free_port, postgres

ROOT = Path(__file__).resolve().parent.parent.parent
PROCESSES, HOSTS, POSTS, MOMENTS, DEVICES = 3, 4, 12, 6, 4
SEED = """
import django; django.setup()
from accounting.access import issue_token
from accounting.models import Team
print(issue_token(name="poster", scopes=["ingest"], team=Team.objects.create(name="V", slug="v"))[1])
"""


@contextmanager
def web(environment: dict[str, str]) -> Iterator[str]:
    """gunicorn with PROCESSES workers, all of them up."""
    port = free_port()
    threads = ["-k", "gthread", "--threads", "4", "--no-control-socket"]
    command = [sys.executable, "-m", "gunicorn", "greenai.wsgi", *threads, "--bind", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment | {"WEB_CONCURRENCY": str(PROCESSES)})
    try:
        for _ in range(300):
            try:
                requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        assert len(psutil.Process(server.pid).children()) == PROCESSES
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def batch(host: int, post: int) -> dict[str, object]:
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    samples = []
    for n in range(post * MOMENTS * DEVICES, (post + 1) * MOMENTS * DEVICES):
        at = start + timedelta(minutes=n // DEVICES)
        samples.append({"device": f"gpu-{n % DEVICES}", "measured_at": at.isoformat(), "power_w": 300.0, "seq": n})
    agent = {"id": "agent", "host": f"node-{host}", "boot_id": "boot"}
    return {"agent": agent, "device_samples": samples}


@pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server: apt-get install postgresql")
class TestSeveralWebProcesses:
    def test_store_each_sample_once_and_count_what_came_exactly(self, tmp_path: Path) -> None:
        with postgres(tmp_path / "postgres") as url:
            environment = os.environ | {
                "DATABASE_URL": url,
                "GREENAI_DATA_DIR": str(tmp_path),
                "DJANGO_SETTINGS_MODULE": "greenai.settings",
            }
            subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
            seeded = subprocess.run(
                [sys.executable, "-c", SEED], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
            )
            headers = {"Authorization": f"Bearer {seeded.stdout.split()[-1]}", "Connection": "close"}
            with web(environment) as server:

                def send(host: int, posts: list[int]) -> list[dict[str, int]]:
                    replies = []
                    for post in posts:
                        body = json.dumps(batch(host, post))
                        reply = requests.post(f"{server}/api/v1/telemetry", body, headers=headers, timeout=60)
                        assert reply.status_code == 200, reply.text
                        replies.append(reply.json())
                    return replies

                forth, back = list(range(POSTS)), list(reversed(range(POSTS)))
                with ThreadPoolExecutor(2 * HOSTS) as pool:
                    ways = [pool.submit(send, host, posts) for host in range(HOSTS) for posts in (forth, back)]
                    replies = [reply for way in ways for reply in way.result()]
            with psycopg.connect(url) as look:
                (stored,) = look.execute("SELECT count(*) FROM accounting_devicesample").fetchone() or (0,)
                counted = look.execute("SELECT sum(accepted), sum(duplicates) FROM accounting_intakehour").fetchone()
        # 4 hosts, 12 posts, 6 moments, 4 devices
        assert stored == 1152
        assert sum(reply["accepted"] for reply in replies) == 1152
        assert sum(reply["duplicates"] for reply in replies) == 1152
        assert counted == (1152, 1152)
