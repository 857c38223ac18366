"""Claim: 10,000 devices for 24 hours come out of the ledger as an independent numpy sum has them, to 1e-9.

A sample a minute of each: 14.4 million, replayed once as fast as it goes, into PostgreSQL. The first hosts post theirs
through the HTTP door (gunicorn, real tokens, batches of 500), the others' go in by binary COPY; every hour is then made
by the ledger's own rebuild, by WORKERS processes at once. Two sites tell their PUE and grid intensity anew every hour,
and state litres and price; a job holds each device from minute 20 to minute 1,100. numpy adds up the same powers by the
trapezoid rule in one pass, knowing nothing of the ledger: hour by hour, times the hour's factors. Only the water of the
grid's plants it asks of the catalogue.

Printed: samples a second, in and through the ledger, and the relative differences. BENCH_SHORT=1: 500 devices, 4 hours.
"""

import http.client
import json
import math
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from benchmarks.side_by_side.serving import database_and_broker, web_server  # noqa: E402

SHORT = bool(os.environ.get("BENCH_SHORT"))
DEVICES, HOURS = (500, 4) if SHORT else (10_000, 24)
BY_HTTP = 40 if SHORT else 400  # devices whose samples are posted
PER_HOST, WORKERS, BATCH, EVERY_S = 8, 2, 500, 60
START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=60)
SITES = {"FR": (0.4, 0.08), "DE": (1.9, 0.21)}  # zone: litres on site and price per kWh
QUANTITIES = ("it_energy_kwh", "facility_energy_kwh", "co2e_location_g", "water_onsite_l", "water_offsite_l", "cost")


def main() -> None:
    with database_and_broker(with_redis=False) as folder:
        site_ids, secrets = make_fleet()
        watts = np.random.default_rng(5).uniform(60.0, 700.0, (DEVICES, HOURS * 3600 // EVERY_S))
        started = time.perf_counter()
        with web_server(folder) as port:
            post(port, secrets, watts)
        posted_s = time.perf_counter() - started
        started = time.perf_counter()
        copy(site_ids, watts)
        copied_s = time.perf_counter() - started
        started = time.perf_counter()
        hours = rebuild()
        rebuilt_s = time.perf_counter() - started
        differences = compare(watts)
    count = watts.size
    print(f"{count:,} samples of {DEVICES:,} devices in {HOURS} h; {hours:,} ledger rows by {WORKERS} workers")
    print(f"in by HTTP             {BY_HTTP * watts.shape[1] / posted_s:>10,.0f} samples/s   ({BY_HTTP} devices)")
    print(f"in by COPY             {(DEVICES - BY_HTTP) * watts.shape[1] / copied_s:>10,.0f} samples/s   (the others)")
    print(f"through the ledger     {count / rebuilt_s:>10,.0f} samples/s, {hours / rebuilt_s:,.0f} rows/s")
    print(f"whole replay           {count / (posted_s + copied_s + rebuilt_s):>10,.0f} samples/s")
    for name, difference in differences.items():
        print(f"{name:<22} {difference:.1e}   (ledger / numpy - 1)")
    if max(map(abs, differences.values())) > 1e-9:
        raise SystemExit("they disagree")


def make_fleet() -> tuple[list[int], list[str]]:
    """Two sites with a token each; every second host stands at the second."""
    from accounting.access import issue_token
    from accounting.ledger.instants import to_us
    from accounting.models import FacilitySample, Site, SiteTerms

    ids, secrets = [], []
    for index, (zone, (wue, price)) in enumerate(SITES.items()):
        site = Site.objects.create(name=zone, slug=zone.lower())
        SiteTerms.objects.create(
            site=site, valid_from=START - timedelta(days=1), grid_zone=zone, wue_l_per_kwh=wue,
            electricity_price_per_kwh=price,
        )  # fmt: skip
        FacilitySample.objects.bulk_create(
            FacilitySample(site=site, measured_at_us=to_us(START + timedelta(hours=hour)), pue=pue_of(index)[hour],
                           grid_intensity_g_per_kwh=intensity_of(index)[hour], received_at_us=0)
            for hour in range(HOURS)
        )  # fmt: skip
        ids.append(site.pk)
        secrets.append(issue_token(name=zone, scopes=["ingest"], site=site)[1])
    return ids, secrets


def pue_of(site: int) -> list[float]:
    return [1.1 + 0.2 * site + hour / 200 for hour in range(HOURS)]


def intensity_of(site: int) -> list[float]:
    return [60.0 + 300.0 * site + 5.0 * (hour % 7) for hour in range(HOURS)]


def site_of(device: int) -> int:
    return device // PER_HOST % len(SITES)


def post(port: int, secrets: list[str], watts: NDArray[np.float64]) -> None:
    """The first `BY_HTTP` devices through the door, host by host."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for first in range(0, BY_HTTP, PER_HOST):
        host = range(first, min(first + PER_HOST, BY_HTTP))
        samples = [
            {
                "device": f"gpu-{d % PER_HOST}",
                "measured_at": at(k).isoformat(),
                "power_w": watts[d, k],
                "job": f"job-{d}",
            }
            for k in range(watts.shape[1])
            for d in host
        ]
        for k in range(0, len(samples), BATCH):
            some = [s | {"seq": k + n} for n, s in enumerate(samples[k : k + BATCH])]
            agent = {"id": "agent", "host": f"node-{first // PER_HOST}", "boot_id": "boot", "version": "0.1.0"}
            headers = {"Authorization": f"Bearer {secrets[site_of(first)]}", "Content-Type": "application/json"}
            body = json.dumps({"agent": agent, "device_samples": some}).encode()
            connection.request("POST", "/api/v1/telemetry", body, headers)
            answer = connection.getresponse()
            reply = json.loads(answer.read())
            if answer.status != 200 or reply["accepted"] != len(some):
                raise SystemExit(f"refused: {reply}")
    connection.close()


def copy(site_ids: list[int], watts: NDArray[np.float64]) -> None:
    """The other devices: rows of hosts, devices and job marks, samples by binary COPY, and the marks for the ledger."""
    from accounting.ledger.instants import to_us
    from accounting.models import Device, DirtyHour, Host, Job, JobMark
    from benchmarks.side_by_side.raw_rows import copy_readings

    numbers = range(BY_HTTP, DEVICES)
    nodes = sorted({d // PER_HOST for d in numbers})
    hosts = Host.objects.bulk_create([Host(name=f"node-{n}", site_id=site_ids[n % len(SITES)]) for n in nodes], 2000)
    by_number = dict(zip(nodes, hosts, strict=True))
    devices = Device.objects.bulk_create(
        [
            Device(host=by_number[d // PER_HOST], key=f"gpu-{d % PER_HOST}", kind="gpu", acquired_at=START,
                   retired_at=START + timedelta(hours=HOURS))
            for d in numbers
        ],
        2000,
    )  # fmt: skip
    jobs = Job.objects.bulk_create([Job(key=f"copied-{d}") for d in numbers], 2000)
    from_us, until_us = to_us(at(20)), to_us(at(1100))
    marks = [
        JobMark(job=j, device=d, started_at_us=from_us, ended_at_us=until_us)
        for j, d in zip(jobs, devices, strict=True)
    ]
    JobMark.objects.bulk_create(marks, 2000)
    at_us = np.array([to_us(at(k)) for k in range(watts.shape[1])], dtype=np.int64)
    copy_readings([device.pk for device in devices], at_us, watts[BY_HTTP:])
    now = datetime.now(UTC)
    for hour in range(HOURS):
        DirtyHour.objects.mark([(d.pk, START + timedelta(hours=hour)) for d in devices], now=now)


def at(minute: int) -> datetime:
    return START + timedelta(seconds=EVERY_S * minute)


def rebuild() -> int:
    """Every dirty hour, by processes of their own; rows in the ledger."""
    from accounting.models import DirtyHour, LedgerHour

    code = (
        "import django; django.setup()\n"
        "from django.utils import timezone\n"
        "from accounting.ledger.rebuild import rebuild_dirty\n"
        "while rebuild_dirty(now=timezone.now(), open_hours=True): pass"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(WORKERS)]
    if any(worker.wait() for worker in workers):
        raise SystemExit("a worker failed")
    while DirtyHour.objects.exists():
        from accounting.ledger.rebuild import rebuild_dirty

        rebuild_dirty(now=datetime.now(UTC), open_hours=True)
    return LedgerHour.objects.count()


def compare(watts: NDArray[np.float64]) -> dict[str, float]:
    """Ledger / numpy - 1 of every quantity, over the whole day."""
    from django.db.models import Sum

    from accounting.models import Site, TeamDay
    from accounting.reports.rates import carbon_rate

    sums = TeamDay.objects.aggregate(**{name: Sum(name) for name in QUANTITIES})
    joules = np.zeros_like(watts)
    joules[:, :-1] = (watts[:, 1:] + watts[:, :-1]) / 2 * EVERY_S  # nothing is known after the last sample
    kwh = joules.reshape(DEVICES, HOURS, -1).sum(axis=2) / 3.6e6
    where = np.array([site_of(d) for d in range(DEVICES)])
    expected: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    for index, (zone, (wue, price)) in enumerate(SITES.items()):
        ewif = carbon_rate(Site.objects.get(slug=zone.lower()), now=START).ewif_l_per_kwh.mid
        it = kwh[where == index].sum(axis=0)
        wall = it * np.array(pue_of(index))
        amounts = (it, wall, wall * np.array(intensity_of(index)), it * wue, wall * ewif, wall * price)
        for name, amount in zip(QUANTITIES, amounts, strict=True):
            expected[name].append(math.fsum(amount))
    return {name: sums[name] / math.fsum(of) - 1 for name, of in expected.items()}


if __name__ == "__main__":
    main()
