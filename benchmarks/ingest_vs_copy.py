"""Claim: durable, idempotent ingest over HTTP keeps within sight of the fastest way PostgreSQL takes rows.

A real gunicorn (gthread, one worker, as `make run` starts it) takes batches of 500 samples over 4 keep-alive
connections: token, JSON, validation, dedup, agent's numbers, stale hours, commit, reply. In turn with it, in the same
run, rows packed beforehand go by binary COPY into the same keyed table: once 500 a commit like the posts, once all in
one COPY, the limit. COPY checks nothing and uses one connection. Printed are the ratios, median and range.

It works in a database of its own: in a throwaway cluster, or beside the one that DATABASE_URL names (dropped again).
BENCH_SHORT=1 sends a fifth.
"""

import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SHORT = bool(os.environ.get("BENCH_SHORT"))
CONNECTIONS, BATCH, DEVICES = 4, 500, 8
BATCHES = 10 if SHORT else 50  # of each connection in each round
ROUNDS = 3 if SHORT else 7
EVERY_S = 1.0
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=200)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="greenai-bench-") as folder, database(Path(folder)) as url:
        os.environ |= {"DATABASE_URL": url, "GREENAI_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "greenai.settings"}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True)
        import django

        django.setup()
        with server(Path(folder)) as port:
            measure(port, url)


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """A database of its own; its URL."""
    given = os.environ.get("DATABASE_URL", "")
    if not given.startswith("postgres"):
        from tests.servers import postgres

        with postgres(folder / "postgres") as url:
            yield url
        return
    name = f"greenai_bench_{secrets.token_hex(4)}"
    with psycopg.connect(given, autocommit=True) as beside:
        beside.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(given)._replace(path=f"/{name}"))
        finally:
            beside.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def server(folder: Path) -> Iterator[int]:
    """The product's web process; its port."""
    from tests.servers import free_port

    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "greenai.wsgi",
        "-k",
        "gthread",
        "--threads",
        "8",
        "--no-control-socket",
    ]
    with (folder / "web.log").open("wb") as log:
        web = subprocess.Popen([*command, "--bind", f"127.0.0.1:{port}"], cwd=ROOT, stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=1).request("GET", "/healthz")
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise RuntimeError(f"the server did not start:\n{(folder / 'web.log').read_text()[-2000:]}")
        yield port
    finally:
        web.terminate()
        web.wait(30)


def measure(port: int, url: str) -> None:
    from accounting.access import issue_token
    from accounting.models import Device, DeviceSample, Host, Job, Site

    site = Site.objects.create(name="Bench", slug="bench")
    _, secret = issue_token(name="bench", scopes=["ingest"], site=site)
    host = Host.objects.create(name="copied", site=site)
    device_ids = [Device.objects.create(host=host, key=f"gpu-{k}", acquired_at=START).pk for k in range(DEVICES)]
    job_id = Job.objects.create(key="copied").pk
    seconds: dict[str, list[float]] = {"http": [], "copy, 500 a commit": [], "copy, one": []}
    rows, taken = CONNECTIONS * BATCHES * BATCH, 0
    with psycopg.connect(url) as connection:
        for turn in range(ROUNDS + 1):  # the first is for plans, caches and imports
            bodies = [[body(c, turn * BATCHES + b) for b in range(BATCHES)] for c in range(CONNECTIONS)]
            packed = [
                [pack(device_ids, job_id, first + b * BATCH, BATCH) for b in range(rows // BATCH)]
                for first in (2 * turn * rows, (2 * turn + 1) * rows)
            ]
            timed = {
                "http": http_round(port, secret, bodies),
                "copy, 500 a commit": copy_round(connection, packed[0], commits=True),
                "copy, one": copy_round(connection, packed[1], commits=False),
            }
            taken += 3 * rows
            for name, took in timed.items() if turn else ():
                seconds[name].append(took)
    assert DeviceSample.objects.count() == taken, "rows were lost or counted twice"
    print(f"{rows:,} samples a round, {ROUNDS} rounds in turn, {BATCH} a request, {CONNECTIONS} connections")
    for name, took in seconds.items():
        print(f"{name:<20} {rows / statistics.median(took):>12,.0f} samples/s  (median, for scale)")
    for name in ("copy, 500 a commit", "copy, one"):
        ratios = sorted(c / h for c, h in zip(seconds[name], seconds["http"], strict=True))
        print(f"http / {name:<20} {statistics.median(ratios):.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]")


def body(connection: int, batch: int) -> bytes:
    """What one agent posts: its devices' readings, one moment after the other."""
    samples = []
    for n in range(batch * BATCH, (batch + 1) * BATCH):
        at = START + timedelta(seconds=n // DEVICES * EVERY_S)
        samples.append(
            {
                "device": f"gpu-{n % DEVICES}",
                "measured_at": at.isoformat(timespec="milliseconds"),
                "power_w": 300.0 + n % 97,
                "energy_j": 300.0 * n,
                "utilization": n % 101 / 100,
                "memory_used_bytes": 1 << 33,
                "job": "train-1",
                "seq": n,
            }
        )
    agent = {"id": "agent", "host": f"node-{connection}", "boot_id": "boot", "version": "0.1.0"}
    return json.dumps({"agent": agent, "device_samples": samples}, separators=(",", ":")).encode()


def http_round(port: int, secret: str, bodies: list[list[bytes]]) -> float:
    """Every connection posts its bodies one after the other; seconds until the last reply."""
    failed: list[str] = []

    def post(mine: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        for each in mine:
            connection.request("POST", "/api/v1/telemetry", each, headers)
            response = connection.getresponse()
            reply = response.read()
            if response.status != 200 or json.loads(reply)["accepted"] != BATCH:
                failed.append(reply.decode())
                return
        connection.close()

    threads = [threading.Thread(target=post, args=(mine,)) for mine in bodies]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    assert not failed, failed[0]
    return took


COLUMNS = (
    "device_id, measured_at_us, source, power_w, energy_j, utilization, memory_used_bytes, job_id, measured, epoch, "
    "revision, received_at_us"
)


def pack(device_ids: list[int], job_id: int, first: int, count: int) -> bytes:
    """Rows as COPY's binary format has them: how many fields, then each after its own length."""
    fields = [("fields", ">i2")]
    kinds = {
        "device_id": ">i8", "at": ">i8", "source": ">i2", "power_w": ">f8", "energy_j": ">f8", "utilization": ">f8",
        "memory": ">i8", "job_id": ">i8", "measured": ">i1", "epoch": ">i8", "revision": ">i4", "received": ">i8",
    }  # fmt: skip
    for name, kind in kinds.items():
        fields += [(f"{name} length", ">i4"), (name, kind)]
    rows = np.zeros(count, dtype=fields)
    n = np.arange(first, first + count)
    rows["fields"] = len(kinds)
    for name, kind in kinds.items():
        rows[f"{name} length"] = np.dtype(kind).itemsize
    rows["device_id"] = np.array(device_ids)[n % DEVICES]
    rows["at"] = int(START.timestamp()) * 1_000_000 + n // DEVICES * round(EVERY_S * 1_000_000)
    rows["source"], rows["measured"], rows["memory"], rows["job_id"] = 2, 1, 1 << 33, job_id
    rows["power_w"], rows["energy_j"], rows["utilization"] = 300.0 + n % 97, 300.0 * n, n % 101 / 100
    return rows.tobytes()


def copy_round(connection: Any, packed: list[bytes], *, commits: bool) -> float:
    started = time.perf_counter()
    pieces = packed if commits else [b"".join(packed)]
    for piece in pieces:
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY accounting_devicesample ({COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + piece + b"\xff\xff")
        connection.commit()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
