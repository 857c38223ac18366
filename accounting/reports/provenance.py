"""Where the numbers behind a figure come from, in words."""

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
    "cloud_cfe": "Carbon-free energy of a cloud region, by the hour",
}
OWN_WORDS = {
    "telemetry": ("As the site's own telemetry said", Status.MEASURED),
    "site": ("As stated in the site's terms", Status.MODELLED),
    "device": ("As stated for the device", Status.MODELLED),
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
    return [_line(one) for _, one in sorted(resolve(factor_ids).items())]


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
