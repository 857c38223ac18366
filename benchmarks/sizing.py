"""What a fleet needs: CPU a request, a sample and a device-hour, bytes of each, and from them a table of fleets.

Real gunicorn, PostgreSQL and ledger on this machine. Posts of 8 samples (one moment of a host) and of 500 (what an
exporter or an agent that catches up sends) tell the cost of a request from that of a sample. CPU is the kernel's count
for all of PostgreSQL's processes with the web server's, or with this process's while it makes the ledger: work of
others on the machine costs time, which is not asked for, and little CPU. Each device-hour is made once, and whole: a
running hour that is made again holds half of it on average. Round after round: median and range.

The table multiplies, and says what; it counts no pages that people open. BENCH_SHORT=1 posts a tenth, once.
"""

import http.client
import json
import math
import os
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.side_by_side.serving import database_and_broker, web_server  # noqa: E402

SHORT = bool(os.environ.get("BENCH_SHORT"))
ROUNDS = 1 if SHORT else 3
CONNECTIONS, GPUS_A_HOST, EVERY_S, BIG = 4, 8, 15, 500
SMALL_POSTS_EACH = 120 if SHORT else 240  # of a connection, which stands for a host: half an hour, an hour
BIG_POSTS_EACH = 12 if SHORT else 24
FLEETS = (100, 1_000, 10_000, 100_000)
SAMPLES_AN_HOUR = 3600 // EVERY_S
OPEN_HOUR_S = (60, 300)  # GREENAI_LEDGER_OPEN_HOUR_S: its default, and for thousands of devices
PAGE_BYTES = 8192
PROGRAMS_GB = 1.5  # gunicorn, ledger, beat, Redis and PostgreSQL without its buffers


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU in seconds of one core of this machine. Bytes lie on disk with their indexes, unless they say otherwise."""

    request_s: float
    sample_s: float
    device_hour_s: float
    sample_bytes: float
    index_bytes: float  # of `sample_bytes`
    wal_request_bytes: float  # written ahead while it comes in
    wal_sample_bytes: float
    device_hour_bytes: float  # energy and ledger rows


def main() -> None:
    with database_and_broker(with_redis=False) as folder, web_server(folder) as port:
        from accounting.access import issue_token
        from accounting.models import Site

        site = Site.objects.create(name="Bench", slug="bench")
        _, secret = issue_token(name="bench", scopes=["ingest"], site=site)
        postmaster = int((folder / "postgres/data/postmaster.pid").read_text().split()[0])
        post_all(
            port, secret, bodies("warm", posts=5, samples=GPUS_A_HOST)
        )  # the first requests load what the rest use
        make_all()
        rounds = [measure(port, secret, postmaster, turn) for turn in range(ROUNDS)]
        report(rounds, resident_bytes=rss_bytes(web_of(port)))


def measure(port: int, secret: str, postmaster: int, turn: int) -> Costs:
    """A round on hosts and days of its own."""
    database, web, own = psutil.Process(postmaster), web_of(port), psutil.Process()
    small = bodies(f"small-{turn}", posts=SMALL_POSTS_EACH, samples=GPUS_A_HOST, days=3 * turn)
    big = bodies(f"big-{turn}", posts=BIG_POSTS_EACH, samples=BIG, days=3 * turn)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as look:
        before = Sizes.of(look)
        start_s = cpu_s(database, web)
        post_all(port, secret, small)
        small_s, small_wal = cpu_s(database, web) - start_s, wal_bytes(look) - before.wal
        post_all(port, secret, big)
        big_s, big_wal = cpu_s(database, web) - start_s - small_s, wal_bytes(look) - before.wal - small_wal
    start_s = cpu_s(database, own)
    hours = make_all()
    ledger_s = cpu_s(database, own) - start_s
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as look:
        after = Sizes.of(look)
    posts, big_posts = CONNECTIONS * SMALL_POSTS_EACH, CONNECTIONS * BIG_POSTS_EACH
    samples = posts * GPUS_A_HOST + big_posts * BIG
    request_s, sample_s = apart(small_s / posts, big_s / big_posts)
    wal_request, wal_sample = apart(small_wal / posts, big_wal / big_posts)
    return Costs(
        request_s=request_s,
        sample_s=sample_s,
        device_hour_s=ledger_s / hours,
        sample_bytes=(after.samples - before.samples) / samples,
        index_bytes=(after.index - before.index) / samples,
        wal_request_bytes=wal_request,
        wal_sample_bytes=wal_sample,
        device_hour_bytes=(after.rows - before.rows) / hours,
    )


def apart(small: float, big: float) -> tuple[float, float]:
    """What a request takes and what a sample takes, from what posts of either size take."""
    of_sample = (big - small) / (BIG - GPUS_A_HOST)
    return small - GPUS_A_HOST * of_sample, of_sample


# --- what is posted ---------------------------------------------------------------------------------------------------


def bodies(name: str, *, posts: int, samples: int, days: int = 0) -> list[list[bytes]]:
    """A host for each connection, moment after moment; old enough that none of its hours is still running."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=30 - days)
    return [[body(f"{name}-{c}", start, b * samples, samples) for b in range(posts)] for c in range(CONNECTIONS)]


def body(host: str, start: datetime, first: int, samples: int) -> bytes:
    """One post, from the host's reading of that number on."""
    told = []
    for n in range(first, first + samples):
        moment = n // GPUS_A_HOST
        told.append(
            {
                "device": f"gpu-{n % GPUS_A_HOST}",
                "measured_at": (start + timedelta(seconds=EVERY_S * moment)).isoformat(),
                "power_w": 300.0 + n % 97,
                "energy_j": 300.0 * EVERY_S * moment,
                "utilization": n % 101 / 100,
                "memory_used_bytes": 1 << 33,
                "job": f"train-{host}",
                "seq": n,
            }
        )
    agent = {"id": "agent", "host": host, "boot_id": "boot", "version": "0.1.0"}
    return json.dumps({"agent": agent, "device_samples": told}, separators=(",", ":")).encode()


def post_all(port: int, secret: str, sent: Sequence[Sequence[bytes]]) -> None:
    """Every connection posts its bodies one after the other."""
    failed: list[str] = []

    def post(mine: Sequence[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        for each in mine:
            connection.request("POST", "/api/v1/telemetry", each, headers)
            response = connection.getresponse()
            reply = response.read().decode()
            if response.status != 200 or json.loads(reply)["rejected"]:
                failed.append(reply)
                return
        connection.close()

    threads = [threading.Thread(target=post, args=(mine,)) for mine in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[0]


def make_all() -> int:
    """Every hour that waits, here; how many device-hours have been made."""
    from accounting.ledger.rebuild import rebuild_dirty
    from accounting.models import EnergyHour

    before = EnergyHour.objects.values("device", "hour").distinct().count()
    while rebuild_dirty(now=datetime.now(UTC)):
        pass
    return EnergyHour.objects.values("device", "hour").distinct().count() - before


# --- what it took -----------------------------------------------------------------------------------------------------


def web_of(port: int) -> psutil.Process:
    """gunicorn's first process, a child of this one."""
    return next(child for child in psutil.Process().children() if any(f":{port}" in word for word in child.cmdline()))


def cpu_s(database: psutil.Process, program: psutil.Process) -> float:
    """Taken until now by the database, with what ended of it, and by the program; of this one without its children."""
    time.sleep(0.3)  # what was answered may not be all done
    times = database.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    others = [*database.children(recursive=True), program]
    others += program.children(recursive=True) if program.pid != os.getpid() else []
    return total + sum(t.user + t.system for t in (each.cpu_times() for each in others))


def rss_bytes(program: psutil.Process) -> int:
    """Of a process and its children together; pages that they share count in each."""
    return sum(each.memory_info().rss for each in (program, *program.children(recursive=True)))


def wal_bytes(look: psycopg.Connection[tuple[float]]) -> float:
    return float(look.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()[0])


@dataclass(frozen=True, slots=True)
class Sizes:
    samples: float  # table and index, all partitions
    index: float
    rows: float  # energy and ledger, tables and indexes
    wal: float

    @classmethod
    def of(cls, look: psycopg.Connection[tuple[float]]) -> "Sizes":
        look.execute("VACUUM ANALYZE accounting_energyhour, accounting_ledgerhour")
        parts = "FROM pg_partition_tree('accounting_devicesample')"
        found = [
            f"SELECT sum(pg_total_relation_size(relid)) {parts}",
            f"SELECT sum(pg_indexes_size(relid)) {parts}",
            "SELECT pg_total_relation_size('accounting_energyhour') + pg_total_relation_size('accounting_ledgerhour')",
        ]
        numbers = [float(look.execute(query).fetchone()[0]) for query in found]
        return cls(*numbers, wal_bytes(look))


# --- what it says -----------------------------------------------------------------------------------------------------


def report(rounds: Sequence[Costs], *, resident_bytes: int) -> None:
    lines = (
        ("a request", "ms of CPU", 1e3, 2),
        ("a sample in it", "us of CPU", 1e6, 1),
        ("a device-hour of the ledger", "ms of CPU", 1e3, 2),
        ("a sample on disk", "bytes", 1, 0),
        ("  of it the index", "bytes", 1, 0),
        ("write-ahead log, a request", "bytes", 1, 0),
        ("write-ahead log, a sample", "bytes", 1, 0),
        ("a device-hour on disk", "bytes", 1, 0),
    )
    columns = list(zip(*map(astuple, rounds), strict=True))
    for (name, unit, factor, digits), values in zip(lines, columns, strict=True):
        middle, low, high = (f"{factor * f(values):,.{digits}f}" for f in (statistics.median, min, max))
        print(f"{name:<28} {middle:>8} {unit:<10} [{low}, {high}]")
    print(f"the web server holds {resident_bytes / 2**20:,.0f} MiB: gunicorn's first process and one worker\n")
    costs = Costs(*(statistics.median(values) for values in columns))
    print(f"a sample every {EVERY_S} s; ingest and ledger in cores of this machine, PostgreSQL's share included;")
    print("the write-ahead log is that of 8-GPU hosts that post each minute, without the ledger's")
    opens = " / ".join(f"{s} s" for s in OPEN_HOUR_S)
    print(
        "| GPUs | samples/s | raw a day | ledger a day | write-ahead log a day | ingest, 500 a post"
        f" | ingest, 8-GPU hosts that post each minute | ledger, running hours made every {opens} | RAM |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for gpus in FLEETS:
        print(line(costs, gpus))


def line(costs: Costs, gpus: int) -> str:
    """A row of the table. RAM holds the running hour's samples and a page of the index a device twice, and programs."""
    rate = gpus / EVERY_S
    samples, posts = gpus * 24 * SAMPLES_AN_HOUR, gpus / GPUS_A_HOST * 24 * 60
    raw, rows = samples * costs.sample_bytes / 1e9, gpus * 24 * costs.device_hour_bytes / 1e9
    log = (samples * costs.wal_sample_bytes + posts * costs.wal_request_bytes) / 1e9
    by_500 = rate * (costs.sample_s + costs.request_s / BIG)
    by_host = rate * costs.sample_s + gpus / GPUS_A_HOST / 60 * costs.request_s
    ledger = " / ".join(f"{gpus / open_s * costs.device_hour_s:.2f}" for open_s in OPEN_HOUR_S)
    hot = gpus * (SAMPLES_AN_HOUR * costs.sample_bytes + PAGE_BYTES) / 1e9
    return (
        f"| {gpus:,} | {rate:,.0f} | {raw:,.2f} GB | {rows:,.3f} GB | {log:,.1f} GB | {by_500:.2f} | {by_host:.2f} "
        f"| {ledger} | {2 ** math.ceil(math.log2(2 * hot + PROGRAMS_GB))} GB |"
    )


if __name__ == "__main__":
    main()
