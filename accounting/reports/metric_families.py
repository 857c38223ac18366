"""Every metric that GET /metrics can show: name, type, labels and what it means. docs/metrics.md is held against this.

Names follow Prometheus: base units (joules, grams, seconds, watts), `_total` for true counters only. The accounts are
gauges: a restatement may lower what was shown before, which a counter must never do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

NOBODY = "(none)"  # label of what no team, project or site answers for; a slug has no brackets
OTHERS = "(others)"  # label of the account lines beyond the most that are shown


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. `name` as Prometheus shows it, with its suffix."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


class Point(NamedTuple):
    """One value of a family; `labels` in the family's order. Thousands are made for an answer: a tuple is cheaper."""

    name: str
    labels: tuple[str, ...]
    value: float


LINE = ("team", "project", "site")
AGENT = ("agent", "host", "team", "site")
_LAST_HOUR = "mean over the last UTC hour that ended at least five minutes ago"
_MONTH = "since the start of this UTC month"

HEALTH = (
    Family("greenai_build_info", Kind.INFO, ("version", "method"),
           "Version of the product, and of the methods that made the ledger; always 1."),
    Family("greenai_ledger_lag_seconds", Kind.GAUGE, (),
           "Age of the oldest change that the ledger does not show yet; 0 when nothing waits."),
    Family("greenai_ledger_waiting", Kind.GAUGE, (),
           "Device-hours that wait to be made anew; counted up to 100000."),
    Family("greenai_intake_samples_total", Kind.COUNTER, ("protocol", "result"),
           "Items that came in, by what became of them: accepted, duplicate, conflict (set aside) or rejected."),
    Family("greenai_intake_last_timestamp_seconds", Kind.GAUGE, ("protocol",),
           "When anything last came in by a protocol, in seconds since 1970."),
    Family("greenai_intake_unread_values_total", Kind.COUNTER, ("protocol",),
           "Values of metrics that nothing here understands: counted and named on the page Sources, not kept."),
    Family("greenai_agents", Kind.GAUGE, ("state",),
           "Agents heard of within 30 days: reporting, or silent for longer than GREENAI_AGENT_SILENT_S."),
    Family("greenai_agent_last_seen_timestamp_seconds", Kind.GAUGE, AGENT,
           "When an agent last posted, in seconds since 1970. The 500 longest silent of the last 30 days."),
    Family("greenai_agent_dropped_samples_total", Kind.COUNTER, AGENT,
           "Samples that an agent's full spool had to drop since it was first heard of. The same agents."),
    Family("greenai_devices", Kind.GAUGE, (),
           "Devices in service: known and not retired."),
    Family("greenai_experiments", Kind.GAUGE, ("state",),
           "Experiments by state: queued, running, finished, failed, cancelled or quarantined."),
    Family("greenai_raw_samples_estimate", Kind.GAUGE, (),
           "About how many raw device samples are stored, from the database's own statistics. "
           "Organisation only."),
    Family("greenai_raw_partitions", Kind.GAUGE, (),
           "Partitions that hold raw device samples; 1 where they are one table. Organisation only."),
)  # fmt: skip

SITES = (
    Family("greenai_site_grid_intensity_grams_per_joule", Kind.GAUGE, ("site",),
           "CO2e per energy at the wall in the running hour, location-based. Times 3.6e6: g/kWh."),
    Family("greenai_site_pue_ratio", Kind.GAUGE, ("site",),
           "Facility energy over IT energy in the running hour."),
    Family("greenai_site_rates_info", Kind.INFO, ("site", "intensity_status", "intensity_step", "pue_status"),
           "How well intensity and PUE are known (MEASURED, MODELLED, DEFAULT), and where the intensity was found."),
)  # fmt: skip

RATES = (
    Family("greenai_it_power_watts", Kind.GAUGE, LINE,
           f"What the devices drew, before cooling: {_LAST_HOUR}."),
    Family("greenai_facility_power_watts", Kind.GAUGE, LINE,
           f"The same at the wall of the building, with cooling and losses: {_LAST_HOUR}."),
    Family("greenai_co2e_location_grams_per_second", Kind.GAUGE, LINE,
           f"Operational CO2e by the grid's intensity: {_LAST_HOUR}. Times 3600: g/h."),
    Family("greenai_co2e_embodied_grams_per_second", Kind.GAUGE, LINE,
           f"Share of making the hardware: {_LAST_HOUR}."),
    Family("greenai_water_liters_per_second", Kind.GAUGE, LINE,
           f"Water, on site and at the power plants: {_LAST_HOUR}."),
    Family("greenai_cost_per_second", Kind.GAUGE, (*LINE, "currency"),
           f"Electricity, rental and carbon price as far as they are known: {_LAST_HOUR}. Absent where no price is."),
    Family("greenai_coverage_ratio", Kind.GAUGE, LINE,
           f"Part of the time that samples back, 0 to 1: over {_LAST_HOUR.removeprefix('mean over ')}. "
           "Absent where no sample was due."),
)  # fmt: skip

MONTH = (
    Family("greenai_month_it_energy_joules", Kind.GAUGE, LINE,
           f"Energy of the devices, before cooling, {_MONTH}. Over 3.6e6: kWh."),
    Family("greenai_month_facility_energy_joules", Kind.GAUGE, LINE,
           f"Energy at the wall of the building, {_MONTH}. Over 3.6e6: kWh."),
    Family("greenai_month_measured_energy_joules", Kind.GAUGE, LINE,
           f"Part of the IT energy that a meter saw, {_MONTH}; the rest is modelled."),
    Family("greenai_month_idle_energy_joules", Kind.GAUGE, LINE,
           f"Part of the IT energy that is idle draw, {_MONTH}."),
    Family("greenai_month_co2e_location_grams", Kind.GAUGE, LINE,
           f"Operational CO2e by the grid's intensity, {_MONTH}."),
    Family("greenai_month_co2e_market_grams", Kind.GAUGE, LINE,
           f"Operational CO2e by contracts, {_MONTH}, of greenai_month_market_energy_joules only. "
           "Absent where it speaks of none."),
    Family("greenai_month_market_energy_joules", Kind.GAUGE, LINE,
           f"Facility energy that the market-based figure speaks of, {_MONTH}."),
    Family("greenai_month_co2e_embodied_grams", Kind.GAUGE, LINE,
           f"Share of making the hardware, {_MONTH}."),
    Family("greenai_month_water_onsite_liters", Kind.GAUGE, LINE,
           f"Water used for cooling on site, {_MONTH}."),
    Family("greenai_month_water_offsite_liters", Kind.GAUGE, LINE,
           f"Water used to make the electricity, {_MONTH}."),
    Family("greenai_month_cost", Kind.GAUGE, (*LINE, "currency"),
           f"Electricity, rental and carbon price as far as they are known, {_MONTH}. Absent where no price is."),
    Family("greenai_month_unpriced_energy_joules", Kind.GAUGE, LINE,
           f"Facility energy whose price nobody knows, {_MONTH}: not in the cost."),
    Family("greenai_month_covered_seconds", Kind.GAUGE, LINE,
           f"Device-time that samples back, {_MONTH}."),
    Family("greenai_month_missing_seconds", Kind.GAUGE, LINE,
           f"Device-time that samples should have backed, {_MONTH}: its energy is in no figure."),
)  # fmt: skip

ACCOUNTS = (
    Family("greenai_account_lines", Kind.GAUGE, ("shown",),
           "Lines of the accounts (team, project, site) this month: shown by themselves, or added up as "
           f"{OTHERS} because there are more than the most that are shown."),
    *RATES,
    *MONTH,
)  # fmt: skip

FAMILIES = (*HEALTH, *SITES, *ACCOUNTS)


def in_order(points: Iterable[Point]) -> list[tuple[Family, Sequence[Point]]]:
    """Every family that has a value, with its values, in the order of `FAMILIES`.

    Raises:
        KeyError: a value of no family.
    """
    of: dict[str, list[Point]] = {family.name: [] for family in FAMILIES}
    for point in points:
        of[point.name].append(point)
    return [(family, of[family.name]) for family in FAMILIES if of[family.name]]
