"""Claim: a rebuild of the ledger (read, integrate, attribute, price, write, roll up) keeps within sight of bare numpy.

The same samples are rebuilt through the ledger and integrated by a plain numpy trapezoid over arrays already in memory,
in turn, in one run; printed is the ratio of their samples per second, median and range. Between the two stands the
ledger's own kernel on the same arrays: what precedence, edges and gaps cost before any database, and the whole pure way
from readings to hourly energy, carbon, water and cost (`footprint`), fed in chunks. Its peak memory is printed for the
same hours and for eight times as many. The database is its own: SQLite in a temporary folder, or one that it creates
beside the one DATABASE_URL names, and drops again. BENCH_SHORT=1 uses a tenth of the samples.
"""

import os
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SHORT = bool(os.environ.get("BENCH_SHORT"))
DEVICES, HOURS, EVERY_S = (10, 8, 10) if SHORT else (40, 20, 10)
ROUNDS = 5 if SHORT else 7
FOOTPRINT_HOURS, CHUNK_HOURS = (48, 8) if SHORT else (240, 8)
START = datetime(2026, 3, 2, tzinfo=UTC)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="greenai-bench-") as folder:
        os.environ["GREENAI_DATA_DIR"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenai.settings")
        import django

        django.setup()
        from django.db import connection

        if connection.vendor == "sqlite":  # a file, as in production, not memory
            connection.settings_dict["TEST"]["NAME"] = str(Path(folder) / "bench.sqlite3")
        kept = connection.creation.create_test_db(verbosity=0, serialize=False)
        try:
            measure()
        finally:
            connection.creation.destroy_test_db(kept, verbosity=0)


def measure() -> None:
    from accounting.ledger.rebuild import rebuild_everything

    series = fill()
    count = sum(one.at_us.size for one in series)
    now = START + timedelta(hours=HOURS)
    ways: dict[str, Callable[[], Any]] = {
        "rebuild": lambda: rebuild_everything(now=now),
        "kernel": lambda: [by_kernel(one) for one in series],
        "footprint": lambda: by_footprint(stream(FOOTPRINT_HOURS)),
        "numpy (1)": lambda: [by_numpy(one) for one in stream(FOOTPRINT_HOURS)],
        "numpy": lambda: [by_numpy(one) for one in series],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):  # the first is for plans, caches and imports
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    same_energy(series)
    print(f"{count:,} samples, {DEVICES} devices x {HOURS} h every {EVERY_S} s; {ROUNDS} rounds in turn")
    counts = dict.fromkeys(ways, count) | dict.fromkeys(("footprint", "numpy (1)"), FOOTPRINT_HOURS * 3600)
    for name in ways:
        slowest, median, fastest = (counts[name] / pick(seconds[name]) for pick in (max, statistics.median, min))
        print(f"{name:<9} {median:>14,.0f} samples/s  [{slowest:,.0f}, {fastest:,.0f}]  (median, for scale)")
    for name, plain in (("rebuild", "numpy"), ("kernel", "numpy"), ("footprint", "numpy (1)")):
        ratios = sorted(n / s for n, s in zip(seconds[plain], seconds[name], strict=True))
        print(f"{name} / {plain}  {statistics.median(ratios):.4f}  [{ratios[0]:.4f}, {ratios[-1]:.4f}]")
    once, eight = peak_mib(FOOTPRINT_HOURS), peak_mib(8 * FOOTPRINT_HOURS)
    print(f"footprint, peak memory: {once:.1f} MiB over {FOOTPRINT_HOURS} h, {eight:.1f} MiB over 8 times as many")
    print(f"8x hours / 1x hours, peak memory  {eight / once:.3f}")


def fill() -> list[Any]:
    """Samples, a site with terms and facility readings, and jobs that change within hours."""
    import numpy as np

    from accounting.ledger.instants import to_us
    from accounting.methods.energy import PowerSeries
    from accounting.models import Device, DeviceSample, FacilitySample, Host, Job, JobMark, Site, SiteTerms, Team

    site = Site.objects.create(name="Bench", slug="bench")
    SiteTerms.objects.create(site=site, valid_from=START - timedelta(days=1), grid_zone="FR", pue=1.3)
    host = Host.objects.create(name="node", site=site)
    teams = [Team.objects.create(name=f"Team {k}", slug=f"team-{k}") for k in range(5)]
    start_us = to_us(START)
    FacilitySample.objects.bulk_create(
        FacilitySample(site=site, measured_at_us=start_us + k * 300_000_000, pue=1.2 + k % 7 / 50, received_at_us=0)
        for k in range(HOURS * 12)
    )
    dice = np.random.default_rng(7)
    at_us = start_us + np.arange(0, HOURS * 3600, EVERY_S, dtype=np.int64) * 1_000_000
    series = []
    for k in range(DEVICES):
        device = Device.objects.create(host=host, key=f"gpu-{k}", kind="gpu", acquired_at=START)
        watts = dice.uniform(60.0, 700.0, at_us.size)
        rows = zip(at_us.tolist(), watts.tolist(), strict=True)
        DeviceSample.objects.bulk_create(
            [
                DeviceSample(
                    device=device,
                    measured_at_us=at,
                    source=DeviceSample.Source.AGENT,
                    power_w=power_w,
                    measured=True,
                    epoch=1,
                    received_at_us=0,
                )
                for at, power_w in rows
            ],
            batch_size=5_000,
        )
        job = Job.objects.create(team=teams[k % 5], key=f"job-{k}")
        marks = range(0, HOURS, 2)
        JobMark.objects.bulk_create(
            JobMark(
                job=job,
                device=device,
                started_at_us=start_us + h * 3_600_000_000 + 900_000_000,
                ended_at_us=start_us + h * 3_600_000_000 + 4_500_000_000,
            )
            for h in marks
        )
        none = np.full(at_us.size, np.nan)
        series.append(PowerSeries(at_us, watts, none, np.ones_like(at_us), np.ones(at_us.size, dtype=bool)))
    return series


def by_numpy(one: Any) -> Any:
    """Joules per hour by the trapezoid rule, as a notebook would: no edges, gaps, counters, jobs or factors."""
    import numpy as np

    step_s = np.diff(one.at_us) / 1e6
    joules = (one.power_w[1:] + one.power_w[:-1]) / 2 * step_s
    return np.bincount((one.at_us[:-1] - one.at_us[0]) // 3_600_000_000, weights=joules)


def by_kernel(one: Any) -> Any:
    """The ledger's integration of the same arrays, at every hour's edge."""
    import numpy as np

    from accounting.ledger.load import REACH_US
    from accounting.methods.energy import integrate_by_precedence, judge

    edges_us = one.at_us[0] + np.arange(HOURS + 1, dtype=np.int64) * 3_600_000_000
    judged = judge([one], max_gap_us=120_000_000, reach_us=REACH_US)
    return integrate_by_precedence([one], judged, edges_us)


def stream(hours: int) -> Iterator[Any]:
    """A device read every second, CHUNK_HOURS at a time, its power from a table: making it costs next to nothing."""
    import numpy as np

    from accounting.methods.energy import PowerSeries

    n = CHUNK_HOURS * 3600
    watts = np.random.default_rng(11).uniform(60.0, 700.0, n)
    none, epoch, seen = np.full(n, np.nan), np.ones(n, dtype=np.int64), np.ones(n, dtype=bool)
    second_us = np.arange(n, dtype=np.int64) * 1_000_000
    for first in range(0, hours, CHUNK_HOURS):
        yield PowerSeries(second_us + first * 3_600_000_000, watts, none, epoch, seen)


def by_footprint(chunks: Iterator[Any]) -> float:
    """Hourly energy, facility energy, carbon, water and cost; only their sum is kept."""
    import numpy as np

    from accounting.methods.hourly import HourlyRates, hourly_footprints

    def rates_of(hour_us: Any) -> HourlyRates:
        hour = (hour_us // 3_600_000_000 % 24).astype(np.float64)
        return HourlyRates(1.2 + hour / 100, 300 - 5 * hour, 0.3 + hour / 50, 1.5 + hour / 100, 0.1 + hour / 500)

    found = hourly_footprints(chunks, rates_of, max_gap_us=120_000_000)
    return sum(float(one.co2e_location_g.sum() + one.cost.sum() + one.water_offsite_l.sum()) for one in found)


def peak_mib(hours: int) -> float:
    tracemalloc.start()
    by_footprint(stream(hours))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def same_energy(series: list[Any]) -> None:
    """All three must have come to the same energy, or the ratio says nothing."""
    from django.db.models import Sum

    from accounting.methods.units import J_PER_KWH
    from accounting.models import TeamDay

    plain = sum(float(by_numpy(one).sum()) for one in series) / J_PER_KWH
    kernel = sum(float(by_kernel(one).by_source[0].energy_j.sum()) for one in series) / J_PER_KWH
    ledger = TeamDay.objects.aggregate(s=Sum("it_energy_kwh"))["s"]
    if max(abs(kernel - plain), abs(ledger - plain)) > 1e-9 * plain:
        raise SystemExit(f"they disagree: numpy {plain} kWh, kernel {kernel} kWh, ledger {ledger} kWh")


if __name__ == "__main__":
    main()
