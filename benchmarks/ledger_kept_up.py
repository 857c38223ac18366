"""Claim: keeping the ledger up to date costs little beside taking the readings in.

A fleet posts over HTTP (gunicorn, 4 connections, 500 readings a request, PostgreSQL) what its devices read once a
second. In turn, in one run: it posts to the server alone; it posts while a Celery ledger worker and beat, on Redis,
keep the ledger up to date. Printed: the ratio of the times, median and range, and the ledger's lag, asked for every
quarter of a second.

"Up to date" means: nothing may wait (GREENAI_LEDGER_OPEN_HOUR_S=0, the hardest setting), and a round with the ledger
lasts until every hour that was marked in it is made and rolled up. A nudge is sent with the last reply, so that the
pause until beat's next one does not count as work; beat's own come every 4 s as ever. The first round of either kind is
not counted.

Two fleets: few devices whose past comes in fast, so that an hour is made again and again as it fills; and many devices,
each with its next minute of the running hour, all of it made again after every minute. What one of these costs is
printed, and from it what the same fleet would come to were running hours made every GREENAI_LEDGER_OPEN_HOUR_S, which
is how long the product lets them wait; such ratios are worked out, not measured. BENCH_SHORT=1 sends less.
"""

import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.ingest.posting import post_all  # noqa: E402
from benchmarks.side_by_side.serving import database_and_broker, ledger_workers, web_server  # noqa: E402

SHORT = bool(os.environ.get("BENCH_SHORT"))
CONNECTIONS, BATCH, DEVICES, EVERY_S = 4, 500, 8, 1.0
BATCHES = 12 if SHORT else 100  # of each connection in a round
ROUNDS = 2 if SHORT else 7
LIMIT_S = 120.0
STARTED = datetime.now(UTC).replace(microsecond=0)


def main() -> None:
    os.environ["GREENAI_LEDGER_OPEN_HOUR_S"] = "0"
    with database_and_broker(with_redis=True) as folder, web_server(folder) as port:
        from accounting.access import issue_token
        from accounting.models import Site

        site = Site.objects.create(name="Bench", slug="bench")
        _, secret = issue_token(name="bench", scopes=["ingest"], site=site)
        print(f"{CONNECTIONS * BATCHES * BATCH:,} readings a round, {ROUNDS} rounds in turn")
        for name, bodies in (("past of 32 devices", of_the_past), ("last minute of many", of_now)):
            measure(name, bodies, port, secret, folder)


def measure(name: str, bodies, port: int, secret: str, folder: Path) -> None:
    from accounting.models import DirtyHour

    alone, kept, lags = [], [], []
    for turn in range(ROUNDS + 1):
        settle_all()
        alone.append(post_all(port, secret, bodies(2 * turn)))
        settle_all()
        with ledger_workers(folder):
            await_worker()
            with watched() as seen:
                started = time.perf_counter()
                post_all(port, secret, bodies(2 * turn + 1))
                nudge()
                wait_until(lambda: not DirtyHour.objects.exists())
                kept.append(time.perf_counter() - started)
            lags += seen if turn else []
    ratios = sorted(k / a for a, k in list(zip(alone, kept, strict=True))[1:])
    rate = CONNECTIONS * BATCHES * BATCH / statistics.median(alone[1:])
    if bodies is of_now:
        devices = CONNECTIONS * BATCHES * DEVICES
        made_s = statistics.median(k - a for a, k in list(zip(alone, kept, strict=True))[1:])
        reading_s = statistics.median(alone[1:])  # one minute of all of them
        print(f"{'':<20} {made_s / devices * 1000:.1f} ms for each running hour made", end="; ")
        print(", ".join(f"every {60 * k} s: {1 + made_s / reading_s / k:.2f}" for k in (1, 2, 5)), "(worked out)")
    print(f"{name:<20} kept up / alone {statistics.median(ratios):.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]", end="")
    print(f"   {rate:,.0f} readings/s alone; lag at most {max(lags):.0f} s, median {statistics.median(lags):.0f} s")


def of_the_past(turn: int) -> list[list[bytes]]:
    """Four hosts of eight devices, half a year ago; a minute of each in a request."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=200)
    return [[body(f"past-{turn}-{c}", start, b) for b in range(BATCHES)] for c in range(CONNECTIONS)]


def of_now(turn: int) -> list[list[bytes]]:
    """As many hosts as there are requests, each with the next minute of its devices, the last of which is now."""
    start = STARTED - timedelta(seconds=BATCH / DEVICES * EVERY_S * 2 * (ROUNDS + 1))
    return [[body(f"now-{c}-{b}", start, turn) for b in range(BATCHES)] for c in range(CONNECTIONS)]


def body(host: str, start: datetime, batch: int) -> bytes:
    """What one agent posts: its devices' readings, one moment after the other."""
    samples = []
    for n in range(batch * BATCH, (batch + 1) * BATCH):
        at = start + timedelta(seconds=n // DEVICES * EVERY_S)
        watts = 300.0 + n % 97
        device, job = f"gpu-{n % DEVICES}", f"train-{host}"
        samples.append({"device": device, "measured_at": at.isoformat(), "power_w": watts, "job": job, "seq": n})
    agent = {"id": "agent", "host": host, "boot_id": "boot", "version": "0.1.0"}
    return json.dumps({"agent": agent, "device_samples": samples}, separators=(",", ":")).encode()


def settle_all() -> None:
    """Before a round nothing waits, so that no round pays for another."""
    from accounting.ledger.rebuild import rebuild_dirty

    while rebuild_dirty(now=now(), open_hours=True):
        pass


def await_worker() -> None:
    """Until the worker has started and looked for work."""
    from accounting.models import LedgerPulse

    LedgerPulse.objects.all().delete()
    wait_until(LedgerPulse.objects.exists)


def nudge() -> None:
    """What beat sends."""
    from greenai.celery import app

    app.send_task("accounting.rebuild_dirty_hours", expires=5)


def wait_until(reached) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit(f"the ledger did not catch up within {LIMIT_S:.0f} s")
        time.sleep(0.05)


@contextmanager
def watched() -> Iterator[list[float]]:
    """The ledger's lag in seconds, as a page would say, every quarter of a second."""
    from django.db import connection

    from accounting.reports.ledger_lag import ledger_lag

    seen: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            seen.append(ledger_lag(now=now()).lag_s or 0.0)
        connection.close()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
