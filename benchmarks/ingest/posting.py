"""The product's web process, and programs that post to it."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CONNECTIONS, BATCH, DEVICES = 4, 500, 8
EVERY_S = 1.0
GUNICORN = ["gunicorn", "greenai.wsgi", "-k", "gthread", "--threads", "8", "--no-control-socket"]


@contextmanager
def server(folder: Path) -> Iterator[int]:
    """Its port."""
    from tests.servers import free_port

    port = free_port()
    with (folder / "web.log").open("wb") as log:
        command = [sys.executable, "-m", *GUNICORN, "--bind", f"127.0.0.1:{port}"]
        web = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
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


def bodies(start: datetime, turn: int, batches: int) -> list[list[bytes]]:
    """What each connection posts in this turn."""
    return [[body(start, c, turn * batches + b) for b in range(batches)] for c in range(CONNECTIONS)]


def body(start: datetime, connection: int, batch: int) -> bytes:
    """What one agent posts: its devices' readings, one moment after the other."""
    samples = []
    for n in range(batch * BATCH, (batch + 1) * BATCH):
        at = start + timedelta(seconds=n // DEVICES * EVERY_S)
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


def post_all(port: int, secret: str, sent: list[list[bytes]]) -> float:
    """`send` of telemetry, all of which must be new; seconds until the last reply."""
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    return send(
        port,
        "/api/v1/telemetry",
        headers,
        sent,
        lambda status, reply: status == 200 and json.loads(reply)["accepted"] == BATCH,
    )


def send(
    port: int, path: str, headers: dict[str, str], sent: list[list[bytes]], taken: Callable[[int, bytes], bool]
) -> float:
    """Every connection posts its bodies one after the other; seconds until the last reply.

    Args:
        taken: whether a status and a reply are as they should be; else the round ends in an AssertionError.
    """
    failed: list[str] = []

    def post(mine: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for each in mine:
            connection.request("POST", path, each, headers)
            response = connection.getresponse()
            reply = response.read()
            if not taken(response.status, reply):
                failed.append(reply.decode())
                return
        connection.close()

    threads = [threading.Thread(target=post, args=(mine,)) for mine in sent]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    assert not failed, failed[0]
    return took
