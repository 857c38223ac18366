"""A web server on a real streaming replica: it reads what the primary committed, and refuses every change."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import requests

from tests.servers import find_postgres, free_port, postgres, replica

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = """
import django; django.setup()
from accounting.access import issue_token
from accounting.models import Team
print(issue_token(name="reader", scopes=["read", "ingest"], team=Team.objects.create(name="V", slug="v"))[1])
"""


@contextmanager
def web(environment: dict[str, str]) -> Iterator[str]:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "greenai.wsgi",
        "-k",
        "gthread",
        "--threads",
        "2",
        "--no-control-socket",
    ]
    server = subprocess.Popen([*command, "--bind", f"127.0.0.1:{port}"], cwd=ROOT, env=environment)
    try:
        for _ in range(200):
            try:
                if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                    break
            except requests.ConnectionError:
                pass
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server: apt-get install postgresql")
class TestAServerOnAReplica:
    def test_reads_what_the_primary_committed_and_refuses_changes(self, tmp_path: Path) -> None:
        with postgres(tmp_path / "primary") as primary, replica(tmp_path / "standby", of=primary) as standby:
            on_primary = os.environ | {
                "DATABASE_URL": primary,
                "GREENAI_DATA_DIR": str(tmp_path),
                "DJANGO_SETTINGS_MODULE": "greenai.settings",
            }
            subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=on_primary, check=True)
            seeded = subprocess.run(
                [sys.executable, "-c", SEED], cwd=ROOT, env=on_primary, check=True, capture_output=True, text=True
            )
            secret = seeded.stdout.split()[-1]
            wait_for_token(standby)
            with web(on_primary | {"DATABASE_URL": standby, "GREENAI_READ_ONLY": "true"}) as server:
                as_reader = {"Authorization": f"Bearer {secret}"}
                read = requests.get(
                    f"{server}/api/v1/footprint",
                    params={"from": "2026-11-01T00:00Z", "to": "2026-11-02T00:00Z"},
                    headers=as_reader,
                    timeout=10,
                )
                posted = requests.post(f"{server}/api/v1/telemetry", json={}, headers=as_reader, timeout=10)
                signed_in = requests.post(f"{server}/login/", data={}, headers={"Accept": "text/html"}, timeout=10)
        assert read.status_code == 200, read.text
        assert (posted.status_code, posted.json()["code"]) == (405, "read_only")
        assert signed_in.status_code == 405 and "only reads" in signed_in.text


def wait_for_token(standby: str) -> None:
    """Until the replica has caught up."""
    with psycopg.connect(standby, autocommit=True) as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        for _ in range(100):
            made = connection.execute("SELECT to_regclass('accounting_apitoken')").fetchone() != (None,)
            if made and connection.execute("SELECT count(*) FROM accounting_apitoken").fetchone() == (1,):
                return
            time.sleep(0.1)
    raise AssertionError(f"the replica at port {urlsplit(standby).port} did not catch up")
