"""Claim: the landing page costs the same with 1 and with 20 million raw samples, because it reads roll-ups only.

Two databases in one throwaway PostgreSQL hold the same 100 devices and 7 days, sampled sparsely and twenty times as
densely; the ledger of both is rebuilt from the samples. Two web servers answer the same request in turn. Printed: the
ratio of the 95th percentiles of their times, and of paired rounds the median and range.
BENCH_SHORT=1 uses a fifth of the devices and a twentieth of the samples.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import psycopg  # noqa: E402

from tests.servers import free_port, postgres  # noqa: E402

SHORT = bool(os.environ.get("BENCH_SHORT"))
SAMPLES = (50_000, 1_000_000) if SHORT else (1_000_000, 20_000_000)
ROUNDS = 20 if SHORT else 60
DEVICES, DAYS = 20 if SHORT else 100, 7


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="greenai-bench-") as folder, ExitStack() as stack:
        base = stack.enter_context(postgres(Path(folder) / "postgres"))
        pages = [stack.enter_context(server(base, count, Path(folder))) for count in SAMPLES]
        for fetch in pages:  # plans, caches, imports
            for _ in range(5):
                fetch()
        ratios, times = [], []
        for _ in range(ROUNDS):
            small, large = (fetch() for fetch in pages)
            ratios.append(large / small)
            times.append((small, large))
    medians = [statistics.median(column) * 1000 for column in zip(*times, strict=True)]
    low, mid, high = (
        statistics.quantiles(ratios, n=20)[0],
        statistics.median(ratios),
        statistics.quantiles(ratios, n=20)[-1],
    )
    print(f"raw samples            {SAMPLES[0]:>12,} {SAMPLES[1]:>12,}")
    print(f"landing page, ms       {medians[0]:>12.1f} {medians[1]:>12.1f}   (medians of {ROUNDS}, for scale)")
    p95 = [statistics.quantiles(column, n=20)[-1] * 1000 for column in zip(*times, strict=True)]
    print(f"its p95, ms            {p95[0]:>12.1f} {p95[1]:>12.1f}")
    print(f"p95 ratio              {p95[1] / p95[0]:.2f}")
    print(
        f"time ratio             {mid:.2f}  [{low:.2f}, {high:.2f}]  (median, 5th and 95th percentile of paired rounds)"
    )


@contextmanager
def server(base: str, count: int, folder: Path) -> Iterator:
    name = f"samples_{count}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    database = urlunsplit(urlsplit(base)._replace(path=f"/{name}"))
    env = {**os.environ, "DATABASE_URL": database, "GREENAI_DATA_DIR": str(folder / name), "GREENAI_BASE_URL": url}
    env |= {"GREENAI_LOG_LEVEL": "WARNING"}
    run = [sys.executable, __file__, "fill", str(count)]
    cookie = subprocess.run(run, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
    web = [sys.executable, "-m", "gunicorn", "greenai.wsgi", "-k", "gthread", "--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*web, "--log-level", "warning"], cwd=ROOT, env=env)
    request = urllib.request.Request(f"{url}/?period=7d", headers={"Cookie": f"sessionid={cookie}"})

    def fetch() -> float:
        """Seconds until the whole page is here; it must be the dashboard, not the sign-in page."""
        started = time.perf_counter()
        with urllib.request.urlopen(request, timeout=60) as reply:
            page = reply.read()
        taken = time.perf_counter() - started
        assert b"kpi" in page and reply.url == request.full_url, reply.url
        return taken

    try:
        for _ in range(100):
            try:
                fetch()
                break
            except OSError:
                time.sleep(0.2)
        yield fetch
    finally:
        process.terminate()
        process.wait(30)


def fill(count: int) -> None:
    """Make the database: raw samples by COPY, then the ledger from them; print a session of an administrator."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenai.settings")
    django.setup()
    from datetime import timedelta

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.utils import timezone

    from accounting.ledger.rebuild import rebuild_everything
    from accounting.models import Device, Host, Job, JobMark, Site, Team, User

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    start = now - timedelta(days=DAYS)
    site = Site.objects.create(name="Bench", slug="bench")
    hosts = Host.objects.bulk_create(Host(name=f"node-{i}", site=site) for i in range(DEVICES // 8 + 1))
    Device.objects.bulk_create(
        Device(host=hosts[i // 8], key=f"gpu-{i % 8}", kind="gpu", model="NVIDIA H100", acquired_at=start)
        for i in range(DEVICES)
    )
    devices = list(Device.objects.order_by("pk"))
    teams = Team.objects.bulk_create(Team(name=f"Team {i}", slug=f"team-{i}") for i in range(10))
    start_us, now_us = (int(t.timestamp() * 1e6) for t in (start, now))
    for i, device in enumerate(devices):
        job = Job.objects.create(team=teams[i % 10], key=f"job-{i}", started_at=start)
        JobMark.objects.create(job=job, device=device, started_at_us=start_us, ended_at_us=now_us)
    copy_samples([d.pk for d in devices], start_us=start_us, end_us=now_us, per_device=count // DEVICES)
    rebuild_everything(now=now)
    admin = User.objects.create(username="bench", organisation_role="administrator")
    session = SessionStore()
    session[SESSION_KEY] = str(admin.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = admin.get_session_auth_hash()
    session.create()
    print(session.session_key)


def copy_samples(device_ids: list[int], *, start_us: int, end_us: int, per_device: int) -> None:
    import numpy as np
    from django.db import connection

    from benchmarks.side_by_side.raw_rows import copy_readings

    at_us = np.linspace(start_us, end_us - 1, per_device).astype(np.int64)
    copy_readings(device_ids, at_us, 300 + 200 * np.sin(at_us / 3.6e9 + np.array(device_ids)[:, None]))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


if __name__ == "__main__":
    fill(int(sys.argv[2])) if sys.argv[1:2] == ["fill"] else main()
