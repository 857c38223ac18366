"""Charts as plain dicts for static/js/charts.js (docs/design.md): tokens for colours, SVG traces only."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from accounting.reports.display import scale
from accounting.reports.jobs import JobHour, PowerLine
from accounting.reports.periods import Period
from accounting.reports.records import Trend

Figure = dict[str, Any]
COLOURS = ("--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7")
METRIC_WORDS = {
    "co2e": ("CO₂e", "carbon_g"),
    "co2e_market": ("CO₂e market-based", "carbon_g"),
    "energy": ("Energy at the wall", "energy_kwh"),
    "water": ("Water", "water_l"),
    "cost": ("Cost", "cost"),
}


def trend_figure(trend: Trend, *, period: Period, metric: str, currency: str, zone: ZoneInfo) -> Figure:
    """Stacked bars, one for each hour or day, with the range of their sum. A missing hour stays empty."""
    if all(value is None for value in trend.low):
        unknown = "Not known: no contract, supplier’s factor or residual mix speaks of this energy"
        return {"data": [], "empty": unknown if metric == "co2e_market" else "Nothing in this period yet"}
    words, kind = METRIC_WORDS[metric]
    sums = _sums(trend)
    factor, unit = scale(kind, max(value or 0.0 for value in sums), currency=currency)
    at = [_local(bucket, zone if period.grain == "hour" else ZoneInfo("UTC")) for bucket in trend.buckets]
    traces = [
        {
            "type": "bar", "name": one.name or words, "x": at, "y": _scaled(one.values, factor),
            "marker": {"color": "--c-rest" if one.id in (None, -1) and one.name else COLOURS[index % len(COLOURS)]},
            "hovertemplate": f"%{{y:.3~g}} {unit}",
        }
        for index, one in enumerate(trend.series)
    ]  # fmt: skip
    per = "hour" if period.grain == "hour" else "UTC day"
    return {
        "data": [*traces, _range_trace(trend, _scaled(sums, factor), at, factor, unit)],
        "layout": {
            "barmode": "stack",
            "yaxis": {"title": {"text": f"{unit} {'CO₂e ' if metric.startswith('co2e') else ''}/ {per}"}},
            "xaxis": {"type": "date", "range": _edges(period, zone), "tickformatstops": TICKS},
        },
    }


TICKS = [  # an hour under its day, days without an hour
    {"dtickrange": [None, 86_400_000 - 1], "value": "%H:%M\n%-d %b"},
    {"dtickrange": [86_400_000, None], "value": "%-d %b"},
]


def _sums(trend: Trend) -> list[float | None]:
    columns = zip(*(one.values for one in trend.series), strict=True)
    return [None if all(v is None for v in column) else math.fsum(v or 0.0 for v in column) for column in columns]


def _range_trace(trend: Trend, sums: Sequence[float | None], at: Sequence[str], factor: float, unit: str) -> Figure:
    """The sum with its low and high as whiskers, no marker of its own."""
    up = [None if m is None else max((h or 0.0) / factor - m, 0.0) for m, h in zip(sums, trend.high, strict=True)]
    down = [None if m is None else max(m - (low or 0.0) / factor, 0.0) for m, low in zip(sums, trend.low, strict=True)]
    ends = [["", ""] if m is None else [m - d, m + u] for m, d, u in zip(sums, down, up, strict=True)]
    return {
        "type": "scatter", "mode": "markers", "name": "All", "x": at, "y": sums, "customdata": ends,
        "showlegend": False, "marker": {"opacity": 0, "size": 1, "color": "--ink-3"},
        "error_y": {
            "type": "data", "symmetric": False, "array": up, "arrayminus": down,
            "color": "--line-2", "thickness": 1, "width": 0,
        },
        "hovertemplate": f"%{{y:.3~g}} {unit} (%{{customdata[0]:.3~g}} – %{{customdata[1]:.3~g}})",
    }  # fmt: skip


def job_figure(hours: Sequence[JobHour], *, zone: ZoneInfo) -> Figure:
    """IT energy of a job, hour by hour, with its range."""
    if not hours:
        return {"data": [], "empty": "No hour of this job is in the ledger yet"}
    factor, unit = scale("energy_kwh", max(one.it_energy_kwh for one in hours))
    trace = {
        "type": "bar", "name": "IT energy", "x": [_local(one.hour, zone) for one in hours],
        "y": [one.it_energy_kwh / factor for one in hours], "marker": {"color": "--c1"},
        "error_y": {
            "type": "data", "symmetric": False, "color": "--ink-3", "thickness": 1, "width": 3,
            "array": [(one.it_energy_kwh_high - one.it_energy_kwh) / factor for one in hours],
            "arrayminus": [(one.it_energy_kwh - one.it_energy_kwh_low) / factor for one in hours],
        },
        "hovertemplate": f"%{{y:.3~g}} {unit}<extra></extra>",
    }  # fmt: skip
    layout = {"yaxis": {"title": {"text": f"{unit} / hour"}}, "xaxis": {"type": "date", "tickformatstops": TICKS}}
    if len(hours) == 1:  # one bar would fill the width
        start = hours[0].hour
        layout["xaxis"]["range"] = [_local(start.replace(hour=0), zone), _local(start.replace(hour=23), zone)]
    return {"data": [trace], "layout": layout}


def power_figure(lines: Sequence[PowerLine], *, zone: ZoneInfo) -> Figure:
    """Watts over time, a line a device."""
    if not lines:
        return {"data": [], "empty": "No power readings in this window"}
    traces = [
        {
            "type": "scatter", "mode": "lines" if len(line.points) > 1 else "markers", "name": line.name,
            "x": [_local(at, zone) for at, _ in line.points], "y": [watts for _, watts in line.points],
            "line": {"color": COLOURS[index % len(COLOURS)], "width": 1.5}, "hovertemplate": "%{y:.4~g} W",
        }
        for index, line in enumerate(lines)
    ]  # fmt: skip
    return {
        "data": traces,
        "layout": {"yaxis": {"title": {"text": "W"}}, "xaxis": {"type": "date", "tickformatstops": TICKS}},
    }


def _scaled(values: Sequence[float | None], factor: float) -> list[float | None]:
    return [None if value is None else value / factor for value in values]


def _local(moment: datetime, zone: ZoneInfo) -> str:
    """Wall time without an offset: plotly shows times as they are written."""
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")


def _edges(period: Period, zone: ZoneInfo) -> list[str]:
    """Half a bar beyond the first and the last."""
    half = period.step / 2
    shown = zone if period.grain == "hour" else ZoneInfo("UTC")
    return [_local(period.start - half, shown), _local(period.end - half, shown)]
