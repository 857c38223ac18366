"""Claim: the landing page's figures from roll-ups take a tenth of what DuckDB takes for them from the raw readings.

2,000 devices of 50 teams, 30 days: the ledger's roll-ups in PostgreSQL, and 20 million readings as parquet,
both made of the same powers. One side is what the landing page asks of the ledger, the product's own functions: totals
of the period, the change against the period before, sparks, split by team and the trend by team. The other is DuckDB
over the parquet, all cores: energy by the trapezoid rule, times each site's factors (PUE, carbon, water, price), by day
and team, and their totals; it knows no ranges, gaps, jobs within an hour or periods before. Both must agree to 1e-9, or
nothing is printed. BENCH_SHORT=1 uses 400 devices and a million readings.
"""

import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.side_by_side.fleet_rows import Fleet, Readings, make_fleet, write_roll_ups  # noqa: E402
from benchmarks.side_by_side.serving import database_and_broker  # noqa: E402

SHORT = bool(os.environ.get("BENCH_SHORT"))
DEVICES, TEAMS, DAYS = (400, 50, 30) if SHORT else (2_000, 50, 30)
PER_HOUR = 4 if SHORT else 14  # readings: 20.2 million, 1.15 million in the short form
ROUNDS = 3 if SHORT else 7


def main() -> None:
    with database_and_broker(with_redis=False), tempfile.TemporaryDirectory(prefix="greenai-raw-") as folder:
        now = datetime.now(UTC)
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        fleet = make_fleet(teams=TEAMS, start=today - timedelta(days=DAYS))
        readings = Readings(devices=DEVICES, hours=DAYS * 24, per_hour=PER_HOUR)
        raw = write_parquet(readings, fleet, Path(folder))
        write_roll_ups(fleet, readings.kwh())
        from_raw, ours = asker(raw), page(fleet.start, today)
        agree(ours(), from_raw())
        rounds = [(timed(ours), timed(from_raw)) for _ in range(ROUNDS + 1)][1:]
    ratios = sorted(a / b for a, b in rounds)
    print(f"{readings.count:,} readings, {DEVICES:,} devices, {TEAMS} teams, {DAYS} days; the totals agree to 1e-9")
    for name, column in zip(("roll-ups", "DuckDB on the readings"), zip(*rounds, strict=True), strict=True):
        print(f"{name:<24} {statistics.median(column) * 1000:>10.1f} ms  (median, for scale)")
    print(f"time, roll-ups / DuckDB  {statistics.median(ratios):.3f}  [{ratios[0]:.3f}, {ratios[-1]:.3f}]")


def timed(ask) -> float:
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started


def page(start: datetime, end: datetime):
    """What `greenai.home` asks of the ledger for its figures and its trend."""
    from accounting.access import Visibility
    from accounting.reports.periods import Period
    from accounting.reports.queries import change, sparks, split, totals, trend

    everybody = Visibility(None, True)
    period = Period(start, end, "custom", "30 days")

    def ask():
        whole = totals(everybody, period.start, period.end)
        change(everybody, period, now=end)
        sparks(everybody, period, now=end)
        parts = split(everybody, period.start, period.end, by="team")
        trend(everybody, period, by="team", metric="co2e")
        return whole, parts

    return ask


def write_parquet(readings: Readings, fleet: Fleet, folder: Path) -> Path:
    """device, team, microsecond, watts, and the factors of the device's site, sorted as they came in: by time."""
    import duckdb

    for k, chunk in enumerate(readings.chunks(fleet)):
        con = duckdb.connect()
        names = ", ".join(chunk)
        con.execute(f"COPY (SELECT {names} FROM chunk) TO '{folder}/{k:04}.parquet' (FORMAT parquet)")
        con.close()
    return folder


def asker(folder: Path):
    """The same figures out of the readings. Each is held until the next of its device."""
    import duckdb

    con = duckdb.connect()
    sql = f"""
        WITH steps AS (
            SELECT device, team, at_us, at_us // 86400000000 AS day,
                (watts + lead(watts) OVER w) / 2 * (lead(at_us) OVER w - at_us) / 3.6e12 AS kwh
            FROM read_parquet('{folder}/*.parquet') WINDOW w AS (PARTITION BY device ORDER BY at_us)
        )
        SELECT team, day, sum(kwh), sum(kwh * {Fleet.PUE}), sum(kwh * {Fleet.PUE * Fleet.G_PER_KWH}),
            sum(kwh * {Fleet.WUE}), sum(kwh * {Fleet.PUE * Fleet.EWIF}), sum(kwh * {Fleet.PUE * Fleet.PRICE})
        FROM steps GROUP BY ALL ORDER BY ALL
    """

    def ask():
        by_team_and_day = np.array(con.execute(sql).fetchall(), dtype=float)
        return by_team_and_day

    return ask


def agree(ours, theirs) -> None:
    whole, parts = ours
    mids = (whole.it_energy_kwh, whole.facility_energy_kwh, whole.co2e_location_g, whole.water_onsite_l,
            whole.water_offsite_l, whole.cost)  # fmt: skip
    found = np.array([one.mid for one in mids])
    expected = theirs[:, 2:].sum(axis=0)
    worst = float(np.max(np.abs(found / expected - 1)))
    by_team = {team: theirs[theirs[:, 0] == team, 2].sum() for team in np.unique(theirs[:, 0])}
    of_team = max(abs(part.totals.it_energy_kwh.mid / by_team[part.id] - 1) for part in parts)
    if max(worst, of_team) > 1e-9 or len(parts) != len(by_team):
        raise SystemExit(f"they disagree by {worst:.2g} in all and {of_team:.2g} in a team")


if __name__ == "__main__":
    main()
