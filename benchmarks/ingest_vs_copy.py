"""Claim: durable, idempotent ingest over HTTP keeps within sight of the fastest way a database takes rows.

A real gunicorn (gthread, one worker, as `make run` starts it) takes batches of 500 samples over 4 keep-alive
connections: token, JSON, validation, dedup, agent's numbers, stale hours, commit, reply. In turn with it, in the same
run and into the same keyed table, go rows prepared beforehand, by one connection that checks nothing:

- PostgreSQL: packed for binary COPY, all in one, and 500 a commit like the posts; and Django's
  `bulk_create(ignore_conflicts=True)`, 500 a commit.
- SQLite: tuples for `executemany`, all in one transaction, and 500 a commit.

Printed are ratios of samples per second, ours / theirs: median and range. PostgreSQL is a throwaway cluster, or a
database of its own beside the one that DATABASE_URL names (dropped again). BENCH_SHORT=1 sends a fifth.
"""

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SHORT = bool(os.environ.get("BENCH_SHORT"))
BATCHES = 10 if SHORT else 50  # of each connection in each round
ROUNDS = 3 if SHORT else 7


def main() -> None:
    if len(sys.argv) > 1:
        _measure_here()
        return
    with tempfile.TemporaryDirectory(prefix="greenai-bench-") as folder, postgresql(Path(folder)) as url:
        for database in (url, ""):  # a process each: Django has one database for life
            data = Path(folder) / ("data-postgresql" if database else "data-sqlite")
            data.mkdir()
            given = {"DATABASE_URL": database} if database else {}
            without = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
            env = without | given | {"GREENAI_DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "greenai.settings"}
            subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=env, check=True)
            subprocess.run([sys.executable, __file__, str(data)], cwd=ROOT, env=env, check=True)


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
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


def _measure_here() -> None:
    import django

    django.setup()
    from benchmarks.ingest.baselines import baselines, prepare
    from benchmarks.ingest.posting import BATCH, CONNECTIONS, bodies, post_all, server

    rows, seconds, taken = CONNECTIONS * BATCHES * BATCH, {}, 0
    place = prepare(days=8)
    others = baselines(place, rows=rows, batch=BATCH)
    with server(Path(sys.argv[1])) as port:
        for turn in range(ROUNDS + 1):  # the first is for plans, caches and imports
            sent = bodies(place.start, turn, BATCHES)
            ready: dict[str, Callable[[], float]] = {"http": lambda sent=sent: post_all(port, place.secret, sent)}
            ready |= {name: make() for name, make in others.items()}
            for name, call in ready.items():
                seconds.setdefault(name, []).append(call())
                taken += rows
    place.check(taken)
    _print(place.database, rows, {name: took[1:] for name, took in seconds.items()})


def _print(database: str, rows: int, seconds: dict[str, list[float]]) -> None:
    print(f"{database}: {rows:,} samples a round, {ROUNDS} rounds in turn, 500 a request, 4 connections")
    for name, took in seconds.items():
        print(f"  {name:<28} {rows / statistics.median(took):>12,.0f} samples/s  (median, for scale)")
    for name in list(seconds)[1:]:
        ratios = sorted(c / h for c, h in zip(seconds[name], seconds["http"], strict=True))
        print(f"  http / {name:<28} {statistics.median(ratios):.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]", flush=True)


if __name__ == "__main__":
    main()
