"""Tables of jobs and of totals, for pages and CSV alike. Energy in kWh, CO2e in g, water in L, cost in the currency."""

from collections.abc import Callable, Sequence

from django.conf import settings

from accounting.models import Job
from accounting.reports.jobs import JobHour, JobLine
from accounting.reports.records import Part, Totals, Trend
from accounting.reports.tables import Column, Table, Value

TEXT = False


def jobs_table(lines: Sequence[JobLine], *, link: Callable[[JobLine], str]) -> Table:
    columns = (
        Column("job", "Job", TEXT), Column("key", "Key", TEXT), Column("team", "Team", TEXT),
        Column("project", "Project", TEXT), Column("kind", "Kind", TEXT), Column("model", "Model", TEXT),
        Column("started_at", "Started", TEXT), Column("ended_at", "Ended", TEXT), Column("co2e_g", "CO₂e, g"),
        Column("facility_energy_kwh", "Energy at the wall, kWh"), Column("it_energy_kwh", "IT energy, kWh"),
        Column("water_l", "Water, L"), Column("cost", f"Cost, {settings.GREENAI['currency']}"),
        Column("measured_share", "Measured share of IT energy"),
    )  # fmt: skip
    rows: list[list[Value]] = [
        [
            one.name, one.key, one.team, one.project, one.kind, one.model, one.started_at, one.ended_at,
            one.co2e_g, one.facility_energy_kwh, one.it_energy_kwh, one.water_l, one.cost, one.measured_share,
        ]
        for one in lines
    ]  # fmt: skip
    return Table("jobs", "Jobs by CO2e in the period", columns, rows, [link(one) for one in lines])


def job_hours_table(job: Job, hours: Sequence[JobHour]) -> Table:
    columns = (
        Column("hour", "Hour", TEXT), Column("it_energy_kwh_low", "IT energy low, kWh"),
        Column("it_energy_kwh", "IT energy, kWh"), Column("it_energy_kwh_high", "IT energy high, kWh"),
        Column("facility_energy_kwh", "At the wall, kWh"), Column("co2e_location_g", "Operational CO₂e, g"),
        Column("embodied_g", "Embodied, g"), Column("water_l", "Water, L"),
        Column("cost", f"Cost, {settings.GREENAI['currency']}"), Column("covered_s", "Covered, s"),
        Column("co2e_market_g", "Operational market-based, g"), Column("market_coverage", "Of the energy"),
    )  # fmt: skip
    rows: list[list[Value]] = [[getattr(one, column.key) for column in columns] for one in hours]
    return Table(f"job-{job.pk}-hours", f"{job} hour by hour", columns, rows)


_PARTS = (
    ("co2e_g", "CO₂e, g"),
    ("co2e_location_g", "Operational, g"),
    ("known_market_g", "Operational market-based, g"),
    ("embodied_g", "Embodied, g"),
    ("facility_energy_kwh", "At the wall, kWh"),
    ("it_energy_kwh", "IT energy, kWh"),
    ("water_onsite_l", "Water on-site, L"),
    ("water_offsite_l", "Water off-site, L"),
    ("known_cost", "Cost"),
)


def split_table(parts: Sequence[Part], *, by: str, urls: Sequence[str] = ()) -> Table:
    """Every quantity with its range, a line a part."""
    ranged = [Column(f"{_key(key)}{end}", f"{words}{extra}") for key, words in _PARTS for end, extra in _ENDS]
    columns = (Column(by, by.capitalize(), TEXT), *ranged, *_KNOWN)
    rows = [[part.name, *_cells(part.totals)] for part in parts]
    return Table(f"by-{by}", f"Totals by {by}", columns, rows, urls)


_ENDS = (("_low", " low"), ("", ""), ("_high", " high"))
_KNOWN = (
    Column("unpriced_share", "Energy without a known price"),
    Column("idle_embodied_share", "Embodied that no job answers for"),
    Column("market_coverage", "Energy that the market-based figure speaks of"),
    Column("measured_share", "Measured share of IT energy"), Column("idle_kwh", "Idle draw, kWh"),
    Column("coverage", "Time covered"), Column("status", "Status", TEXT),
)  # fmt: skip


def _key(name: str) -> str:
    return {"known_market_g": "co2e_market_g", "known_cost": "cost"}.get(name, name)


def _cells(totals: Totals) -> list[Value]:
    ranges = [getattr(totals, key) for key, _ in _PARTS]
    ends = [value for one in ranges for value in ((one.low, one.mid, one.high) if one else (None,) * 3)]
    besides = (
        totals.unpriced_share, totals.idle_embodied_share, totals.market_coverage, totals.measured_share,
        totals.idle_kwh, totals.coverage,
    )  # fmt: skip
    return [*ends, *besides, str(totals.status or "")]


def trend_table(trend: Trend, *, metric: str, grain: str, name: str) -> Table:
    """A trend as a table, in the ledger's units: a line an hour or day, a column a series, then the sum's range."""
    unit = {"co2e": "g", "co2e_market": "g", "energy": "kWh", "water": "L", "cost": settings.GREENAI["currency"]}[
        metric
    ]
    words = {"co2e": "CO₂e", "co2e_market": "CO₂e market-based", "energy": "Energy at the wall", "water": "Water"}
    metric_words = words.get(metric, "Cost")
    names = [one.name or metric_words for one in trend.series]
    columns = (Column(grain, grain.capitalize(), TEXT), *(Column(name, f"{name}, {unit}") for name in names))
    columns += (Column("sum_low", f"Sum low, {unit}"), Column("sum_high", f"Sum high, {unit}"))
    rows = [
        [bucket if grain == "hour" else bucket.date(), *values, low, high]
        for bucket, low, high, *values in zip(
            trend.buckets, trend.low, trend.high, *(one.values for one in trend.series), strict=True
        )
        if low is not None
    ]
    return Table(f"{name}-{metric}-by-{grain}", f"{metric_words} by {grain}", columns, rows)
