"""The fleet, its sites and a site's terms as tables, for the pages' CSV."""

from collections.abc import Sequence

from django.conf import settings

from accounting.models import SiteTerms
from accounting.reports.fleet import DeviceLine, SiteLine
from accounting.reports.tables import Column, Table, Value

TEXT = False


def devices_table(lines: Sequence[DeviceLine]) -> Table:
    columns = (
        Column("host", "Host", TEXT), Column("device", "Device", TEXT), Column("kind", "Kind", TEXT),
        Column("model", "Model", TEXT), Column("site", "Site", TEXT), Column("team", "Team", TEXT),
        Column("state", "State", TEXT), Column("power_w", "Power now, W"), Column("it_energy_kwh", "IT energy, kWh"),
        Column("facility_energy_kwh", "At the wall, kWh"), Column("co2e_g", "CO₂e, g"),
        Column("cost", f"Cost, {settings.GREENAI['currency']}"), Column("status", "Status", TEXT),
        Column("conflicts", "Conflicting readings"), Column("agent_seen_at", "Agent last seen", TEXT),
    )  # fmt: skip
    return Table("devices", "Devices", columns, [_row(line) for line in lines])


def _row(line: DeviceLine) -> list[Value]:
    device, totals = line.device, line.totals
    host = device.host
    words: list[Value] = [
        host.name, device.key, device.kind_in_words, device.model, host.site.name if host.site else "",
        host.team.name if host.team else "", line.state, line.live.power_w if line.live else None,
    ]  # fmt: skip
    sums: list[Value] = [None, None, None, None, ""]
    if totals:
        sums = [
            totals.it_energy_kwh.mid, totals.facility_energy_kwh.mid, totals.co2e_g.mid,
            totals.known_cost.mid if totals.known_cost else None,
            str(totals.status or ""),
        ]  # fmt: skip
    return [*words, *sums, line.conflicts, line.agent_seen_at]


def sites_table(lines: Sequence[SiteLine]) -> Table:
    """Each site with the terms that hold now; an empty cell is not stated."""
    columns = (Column("site", "Site", TEXT), Column("time_zone", "Time zone", TEXT), Column("hosts", "Hosts"), *_TERMS)
    rows: list[list[Value]] = [
        [line.site.name, line.site.time_zone, line.hosts, *_terms_row(line.terms)] for line in lines
    ]
    return Table("sites", "Sites", columns, rows)


def terms_table(site_name: str, terms: Sequence[SiteTerms]) -> Table:
    """Every term that was stated, in columns as the form has them; an empty cell is not stated."""
    return Table("terms", f"Terms of {site_name}", _TERMS, [_terms_row(one) for one in terms])


_NUMBERS = {
    "pue": "PUE", "wue_l_per_kwh": "WUE, L/kWh", "electricity_price_per_kwh": "Price per kWh",
    "carbon_price_per_t": "Carbon price per t", "supplier_g_per_kwh": "Supplier, g/kWh",
    "residual_g_per_kwh": "Residual mix, g/kWh", "grid_cfe_share": "Carbon-free share of the grid",
}  # fmt: skip
_WORDS = {
    "grid_zone": "Grid zone", "cloud_provider": "Cloud provider", "cloud_region": "Cloud region",
    "emission_basis": "Hourly intensities", "price_currency": "Currency of the price", "price_zone": "Price zone",
    "carbon_price_currency": "Currency of the carbon price", "market_matching": "Contracts are matched",
    "idle_policy": "Shared idle draw", "embodied_allocation": "Embodied carbon goes to jobs",
}  # fmt: skip
_TERMS = (
    Column("valid_from", "Holds since", TEXT),
    *(Column(name, label, TEXT) for name, label in _WORDS.items()),
    *(Column(name, label) for name, label in _NUMBERS.items()),
)


def _terms_row(terms: SiteTerms | None) -> list[Value]:
    if terms is None:
        return [None] * len(_TERMS)
    return [getattr(terms, column.key) for column in _TERMS]
