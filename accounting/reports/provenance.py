"""Where the numbers behind a figure come from, in words."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse

from accounting.factorbook.resolve import Resolved, resolve
from accounting.factors.catalog import Row
from accounting.methods.records import Factor, Status

QUANTITY_WORDS = {
    "grid_intensity": "Grid intensity",
    "ewif": "Water behind the grid",
    "wue": "On-site water",
    "pue": "Facility overhead (PUE)",
    "price": "Electricity price",
    "embodied": "Making the device",
    "embodied_component": "Making a part",
    "embodied_server": "Making a server",
    "cooling_pue": "Facility overhead (PUE) by way of cooling",
    "cooling_wue": "On-site water by way of cooling",
    "die_mm2": "Compute silicon of an accelerator",
    "lifetime": "Service life",
    "idle_share": "Idle draw, as a share of TDP",
    "tolerance": "Tolerance of a reading",
    "continent_grid_intensity": "Grid intensity of a continent",
    "cloud_grid_intensity": "Grid intensity of a cloud region",
    "cloud_pue": "Facility overhead (PUE) of a cloud",
    "cloud_wue": "On-site water of a cloud",
    "accelerator_tdp": "Power of an accelerator (TDP)",
    "accelerator_memory": "Memory of an accelerator",
    "accelerator_bandwidth": "Memory bandwidth of an accelerator",
    "accelerator_fp16": "Dense 16-bit speed of an accelerator",
    "cpu_tdp": "Power of a CPU (TDP)",
    "price_zone": "Electricity price of a place",
    "power_model": "Load model",
    "fuel_intensity": "Emissions of a fuel's electricity",
    "residual_mix": "Residual mix (market-based)",
    "contract": "Emissions as a contract states them",
    "exchange": "Exchange rate of the day",
    "rental": "Rent of the device",
    "cloud_cfe": "Carbon-free energy of a cloud region, by the hour",
}
OWN_WORDS = {
    "telemetry": ("As the site's own telemetry said", Status.MEASURED),
    "site": ("As stated in the site's terms", Status.MODELLED),
    "device": ("As stated for the device", Status.MODELLED),
    "attribution": ("How jobs that held a device at once were told apart", Status.MODELLED),
    "contract": ("As the contract or certificate states (page Contracts)", Status.MODELLED),
    "price-hour": ("Imported hourly price", Status.MODELLED),
    "tariff": ("A band of the site's tariff", Status.MODELLED),
    "exchange": ("Imported exchange rate of the day", Status.MODELLED),
    "host": ("As stated for the server", Status.MODELLED),
    "allocation": ("How embodied carbon is shared between a job and nobody", Status.MODELLED),
    "price": ("No typical price was known in this currency", Status.DEFAULT),
}


@dataclass(frozen=True, slots=True)
class FactorLine:
    """One factor as people read it. Own statements have no packaged value to show."""

    id: str
    quantity: str
    of: str
    factor: Factor | None
    source: str
    url: str
    status: Status | None


def describe(factor_ids: Iterable[str]) -> list[FactorLine]:
    """Each id with its quantity, value and source; one that the catalogue no longer has is still listed."""
    wanted = set(factor_ids)
    hourly = {factor_id for factor_id in wanted if factor_id.startswith("grid:")}
    return [*_hourly_lines(hourly), *(_line(one) for _, one in sorted(resolve(wanted - hourly).items()))]


def _hourly_lines(factor_ids: Iterable[str]) -> list[FactorLine]:
    """One line for all hours of a series: `grid:<provider>:<zone>:<hour>[@mark…]`, thousands of them in a long job."""
    series: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for factor_id in factor_ids:
        _, provider, zone, rest = factor_id.split(":", 3)
        hour, _, marks = rest.partition("@")
        series[provider, zone, marks].append(hour)
    return [_hourly_line(*key, sorted(hours)) for key, hours in sorted(series.items())]


def _hourly_line(provider: str, zone: str, marks: str, hours: list[str]) -> FactorLine:
    first, last = hours[0], hours[-1]
    span = first if first == last else f"{first} to {last}, {len(hours)} hours"
    source = f"{provider}, hour by hour" + (f" ({marks.replace('@', ', ')})" if marks else "")
    status = Status.DEFAULT if "stale" in marks else Status.MODELLED
    mark = f"@{marks}" if marks else ""
    line_id = (
        f"grid:{provider}:{zone}:{first}{mark}" if first == last else f"grid:{provider}:{zone}:{first}…{last}{mark}"
    )
    return FactorLine(line_id, QUANTITY_WORDS["grid_intensity"], f"{zone} {span}", None, source, "", status)


def _line(one: Resolved) -> FactorLine:
    words, status = OWN_WORDS.get(one.kind, ("Not in the catalogue any more", None))
    if one.row is None:
        return FactorLine(one.id, words, one.id.partition(":")[2], None, words, _page(one), status)
    row = one.row
    of = " for ".join([row.key, *(what for _, what in one.steps)])
    quantity = QUANTITY_WORDS.get(row.quantity, row.quantity)
    return FactorLine(one.id, quantity, of, row.factor, _source(one, row), _page(one) or row.factor.url, one.status)


def _source(one: Resolved, row: Row) -> str:
    if one.own is None:
        return row.factor.source
    state = "" if one.own.is_in_force else ", no longer in force"
    return f"{row.factor.source} (own factor of the {one.own.scope}, version {one.own.version}{state})"


def _page(one: Resolved) -> str:
    """The page that says more of what the organisation states itself."""
    if one.own is not None:
        return reverse("own-factor", args=[one.own.pk])
    if one.device_id is not None:
        return reverse("device", args=[one.device_id])
    return reverse("site", args=[one.site_id]) if one.site_id is not None else ""
