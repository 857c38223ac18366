"""Where the numbers behind a figure come from, in words."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from accounting.factorbook import catalog
from accounting.factors.catalog import Row
from accounting.factors.cpus import cpu_rows
from accounting.methods.records import Factor, Status

QUANTITY_WORDS = {
    "grid_intensity": "Grid intensity",
    "ewif": "Water behind the grid",
    "wue": "On-site water",
    "pue": "Facility overhead (PUE)",
    "price": "Electricity price",
    "embodied": "Making the device",
    "lifetime": "Service life",
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
    "residual_mix": "Residual mix (market-based)",
    "cloud_cfe": "Carbon-free energy of a cloud region, by the hour",
}
OWN_WORDS = {
    "telemetry": ("As the site's own telemetry said", Status.MEASURED),
    "site": ("As stated in the site's terms", Status.MODELLED),
    "device": ("As stated for the device", Status.MODELLED),
    "contract": ("As the contract or certificate states (page Contracts)", Status.MODELLED),
    "price": ("No typical price is known in this currency: state the site's price", Status.DEFAULT),
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
    rows = {row.factor.id: row for row in catalog()}
    if any(factor_id.startswith("tdp:cpu:") for factor_id in wanted):
        rows |= {row.factor.id: row for row in cpu_rows().values()}
    return [_line(factor_id, rows) for factor_id in sorted(wanted)]


def _line(factor_id: str, rows: Mapping[str, Row]) -> FactorLine:
    packaged, *steps = re.split(r"@(unknown-part|unknown-variant|cloud):", factor_id)
    if row := rows.get(packaged):
        of = " for ".join([row.key, *steps[1::2]])
        status = Status.DEFAULT if any(step.startswith("unknown") for step in steps[::2]) else row.factor.status
        words = QUANTITY_WORDS.get(row.quantity, row.quantity)
        return FactorLine(factor_id, words, of, row.factor, row.factor.source, row.factor.url, status)
    kind, _, rest = factor_id.partition(":")
    words, status = OWN_WORDS.get(kind, ("Not in the catalogue any more", None))
    return FactorLine(factor_id, words, rest, None, words, "", status)
