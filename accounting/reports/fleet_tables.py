"""The fleet as a table, for the page's CSV."""

from collections.abc import Sequence

from django.conf import settings

from accounting.reports.fleet import DeviceLine
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
        host.name, device.key, device.get_kind_display(), device.model, host.site.name if host.site else "",
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
