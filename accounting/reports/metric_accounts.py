"""The accounts as metrics: by team, project and site, from roll-ups only.

Two queries over at most 31 days of `TeamDay` and one hour of `TeamHour`, whatever the number of samples.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Model, Sum

from accounting.methods.units import J_PER_KWH
from accounting.models import TeamDay, TeamHour
from accounting.reports.metric_families import NOBODY, OTHERS, Point
from accounting.reports.queries import seen
from accounting.reports.records import Sees

MOST_LINES = 500  # of team, project and site; the smaller ones are added up as one
SETTLES_FOR = timedelta(minutes=5)  # the ledger and late batches have this long after an hour
HOUR = timedelta(hours=1)
S_PER_HOUR = 3600.0

Line = tuple[str, str, str]  # slugs of team, project and site
Sums = dict[str, float]
_READ = (
    "it_energy_kwh", "facility_energy_kwh", "measured_kwh", "idle_kwh", "co2e_location_g", "co2e_market_g",
    "market_kwh", "embodied_g", "water_onsite_l", "water_offsite_l", "cost", "unpriced_kwh", "unpriced_s",
    "covered_s", "missing_s",
)  # fmt: skip
_JOULES = {
    "it_energy": "it_energy_kwh", "facility_energy": "facility_energy_kwh", "measured_energy": "measured_kwh",
    "idle_energy": "idle_kwh", "market_energy": "market_kwh", "unpriced_energy": "unpriced_kwh",
}  # fmt: skip
_AS_THEY_ARE = {
    "co2e_location_grams": "co2e_location_g", "co2e_embodied_grams": "embodied_g",
    "water_onsite_liters": "water_onsite_l", "water_offsite_liters": "water_offsite_l",
    "covered_seconds": "covered_s", "missing_seconds": "missing_s",
}  # fmt: skip


def account_points(visibility: Sees, *, now: datetime) -> Iterator[Point]:
    """The running month and the last settled hour of every line. Missing is absent, never nought."""
    month = _month(visibility, now)
    hour = _sums(visibility, TeamHour, hour=settled_hour(now))
    shown = _largest(month, hour)
    yield Point("greenai_account_lines", ("by itself",), len(shown))
    yield Point("greenai_account_lines", ("added up",), len(month.keys() | hour.keys()) - len(shown))
    for line, sums in _folded(month, shown).items():
        yield from _month_points(line, sums)
    for line, sums in _folded(hour, shown).items():
        yield from _rate_points(line, sums)


def settled_hour(now: datetime) -> datetime:
    """The start of the last UTC hour that ended at least five minutes ago."""
    return (now - SETTLES_FOR).replace(minute=0, second=0, microsecond=0) - HOUR


def _month(visibility: Sees, now: datetime) -> dict[Line, Sums]:
    first = now.date().replace(day=1)
    return _sums(visibility, TeamDay, day__gte=first, day__lte=now.date())


def _sums(visibility: Sees, model: type[Model], **period: Any) -> dict[Line, Sums]:
    rows = model._default_manager.filter(seen(visibility), **period).order_by()
    keys = {"of_team": F("team__slug"), "of_project": F("project__slug"), "of_site": F("site__slug")}
    found = rows.values(**keys).annotate(**{f"sum_{name}": Sum(name) for name in _READ})
    return {
        (row["of_team"] or NOBODY, row["of_project"] or NOBODY, row["of_site"] or NOBODY): {
            name: row[f"sum_{name}"] for name in _READ
        }
        for row in found
    }


def _largest(*found: Mapping[Line, Sums]) -> set[Line]:
    """The lines that are shown by themselves: those of the most energy, and of the most carbon where none is drawn."""
    lines = set().union(*found)
    told = {line: [sums[line] for sums in found if line in sums] for line in lines}

    def rank(line: Line) -> tuple[float, float, Line]:
        energy_kwh, embodied_g = (
            sum(sums[name] for sums in told[line]) for name in ("facility_energy_kwh", "embodied_g")
        )
        return -energy_kwh, -embodied_g, line

    return set(sorted(lines, key=rank)[:MOST_LINES])


def _folded(found: Mapping[Line, Sums], shown: set[Line]) -> dict[Line, Sums]:
    """Lines that are not shown by themselves, added up as one. Nothing is lost from a sum over all lines."""
    lines: dict[Line, Sums] = {line: sums for line, sums in found.items() if line in shown}
    rest: dict[str, list[float]] = defaultdict(list)
    for line, sums in found.items():
        if line not in shown:
            for name, value in sums.items():
                rest[name].append(value)
    if rest:
        lines[OTHERS, OTHERS, OTHERS] = {name: math.fsum(values) for name, values in rest.items()}
    return lines


def _month_points(line: Line, sums: Sums) -> Iterator[Point]:
    for name, column in _JOULES.items():
        yield Point(f"greenai_month_{name}_joules", line, sums[column] * J_PER_KWH)
    for name, column in _AS_THEY_ARE.items():
        yield Point(f"greenai_month_{name}", line, sums[column])
    if sums["market_kwh"] > 0:
        yield Point("greenai_month_co2e_market_grams", line, sums["co2e_market_g"])
    if _cost_known(sums):
        yield Point("greenai_month_cost", (*line, settings.GREENAI["currency"]), sums["cost"])


def _rate_points(line: Line, sums: Sums) -> Iterator[Point]:
    yield Point("greenai_it_power_watts", line, sums["it_energy_kwh"] * J_PER_KWH / S_PER_HOUR)
    yield Point("greenai_facility_power_watts", line, sums["facility_energy_kwh"] * J_PER_KWH / S_PER_HOUR)
    yield Point("greenai_co2e_location_grams_per_second", line, sums["co2e_location_g"] / S_PER_HOUR)
    yield Point("greenai_co2e_embodied_grams_per_second", line, sums["embodied_g"] / S_PER_HOUR)
    water_l = sums["water_onsite_l"] + sums["water_offsite_l"]
    yield Point("greenai_water_liters_per_second", line, water_l / S_PER_HOUR)
    if _cost_known(sums):
        yield Point("greenai_cost_per_second", (*line, settings.GREENAI["currency"]), sums["cost"] / S_PER_HOUR)
    if due_s := sums["covered_s"] + sums["missing_s"]:
        yield Point("greenai_coverage_ratio", line, sums["covered_s"] / due_s)


def _cost_known(sums: Sums) -> bool:
    """Whether any price is: nought beside energy or rented time without a price is not a cost."""
    return sums["cost"] != 0.0 or not (sums["unpriced_kwh"] or sums["unpriced_s"])
