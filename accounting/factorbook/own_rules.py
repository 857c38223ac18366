"""What an own factor must be before it may move a figure. Every refusal names the column, the value and what to do."""

import math
import re
from dataclasses import dataclass
from datetime import datetime

from accounting.factors.catalog import Catalog

_ZONED = ("grid_intensity", "ewif", "price_zone")
_OPEN = (*_ZONED, "price")  # may be stated of things that the packaged catalogue has never heard of
_KEY = re.compile(r"[A-Za-z0-9_:/.+ -]{1,120}")
_CURRENCY_PER_KWH = re.compile(r"[A-Z]{3}/kWh")
LIMITS = {  # what can be true at all, in the quantity's unit
    "grid_intensity": (0.0, 2000.0),
    "continent_grid_intensity": (0.0, 2000.0),
    "cloud_grid_intensity": (0.0, 2000.0),
    "pue": (1.0, 10.0),
    "cloud_pue": (1.0, 10.0),
    "wue": (0.0, 100.0),
    "cloud_wue": (0.0, 100.0),
    "ewif": (0.0, 1000.0),
    "continent_ewif": (0.0, 1000.0),
    "cloud_cfe": (0.0, 1.0),
    "lifetime": (1.0, 1_000_000.0),
    "tolerance": (0.0, 10.0),
}
WIDEST = (0.0, 1e9)


@dataclass(frozen=True, slots=True)
class Stated:
    """An own factor as somebody states it; scope: a site, a team, or neither for the whole organisation."""

    quantity: str
    key: str
    value: float
    low: float
    high: float
    unit: str
    status: str
    source: str
    reason: str
    url: str = ""
    page: str = ""
    year: int | None = None
    licence: str = ""
    note: str = ""
    site_id: int | None = None
    team_id: int | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one column, and what to do."""

    column: str
    value: str
    what: str

    def __str__(self) -> str:
        return f"{self.column} {self.value!r}: {self.what}" if self.value else f"{self.column}: {self.what}"


def known_key(packaged: Catalog, quantity: str, key: str) -> str:
    """The key as the catalogue writes it: zones and currencies in capitals."""
    key = " ".join(key.split())
    known = set(packaged.keys(quantity))
    if key in known:
        return key
    if quantity in _OPEN or key.upper() in known:
        return key.upper()
    return key.lower() if key.lower() in known else key


def problems(stated: Stated, packaged: Catalog) -> list[Problem]:
    """Everything that speaks against it; none: it may be written."""
    quantities = {row.quantity for row in packaged}
    if stated.quantity not in quantities:
        return [Problem("quantity", stated.quantity, f"is none of {', '.join(sorted(quantities))}")]
    return [*_of_key(stated, packaged), *_of_unit(stated, packaged), *_of_value(stated), *_of_rest(stated)]


def _of_key(stated: Stated, packaged: Catalog) -> list[Problem]:
    if not _KEY.fullmatch(stated.key):
        return [Problem("key", stated.key, "use letters, digits, spaces and : / . + - _, 120 at most")]
    known = packaged.keys(stated.quantity)
    if stated.quantity not in _OPEN and stated.key not in known:
        some = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        return [Problem("key", stated.key, f"nothing asks for it: {stated.quantity} is known of {some}")]
    if stated.quantity == "tolerance" and stated.team_id is not None:
        what = "readings are a device's, not a team's: state it of the organisation or a site"
        return [Problem("team", stated.key, what)]
    return []


def _of_unit(stated: Stated, packaged: Catalog) -> list[Problem]:
    if stated.quantity == "price":
        right = [f"{stated.key}/kWh"]
    elif stated.quantity == "price_zone" and _CURRENCY_PER_KWH.fullmatch(stated.unit):
        return []
    else:
        factor = packaged.find(stated.quantity, stated.key)
        right = [factor.unit] if factor else sorted({r.factor.unit for r in packaged if r.quantity == stated.quantity})
    if stated.unit in right:
        return []
    return [Problem("unit", stated.unit, f"{stated.quantity} {stated.key} is in {' or '.join(right)}: convert it")]


def _of_value(stated: Stated) -> list[Problem]:
    ends = {"low": stated.low, "value": stated.value, "high": stated.high}
    if endless := [Problem(name, str(end), "is no number") for name, end in ends.items() if not math.isfinite(end)]:
        return endless
    if not stated.low <= stated.value <= stated.high:
        return [Problem("value", f"{stated.value:g}", f"must lie between low {stated.low:g} and high {stated.high:g}")]
    least, most = LIMITS.get(stated.quantity, WIDEST)
    beyond = [
        Problem(
            name, f"{end:g}", f"{stated.quantity} lies between {least:g} and {most:g} {stated.unit}".removesuffix(" 1")
        )
        for name, end in ends.items()
        if not least <= end <= most
    ]
    if not beyond and stated.quantity == "tolerance" and stated.value != 1.0:
        return [Problem("value", f"{stated.value:g}", "a tolerance is a range around 1")]
    return beyond


def _of_rest(stated: Stated) -> list[Problem]:
    found = []
    if stated.status not in ("MEASURED", "MODELLED", "DEFAULT"):
        found.append(Problem("status", stated.status, "is none of MEASURED, MODELLED, DEFAULT"))
    for name in ("source", "reason"):
        if not getattr(stated, name).strip():
            found.append(Problem(name, "", "is empty: an auditor will ask"))
    if stated.url and not stated.url.startswith(("https://", "http://")):
        found.append(Problem("url", stated.url, "must begin with https:// or http://"))
    if stated.site_id is not None and stated.team_id is not None:
        found.append(Problem("scope", "", "a site or a team, not both"))
    for name, edge in (("valid_from", stated.valid_from), ("valid_to", stated.valid_to)):
        if edge is not None and (edge.minute or edge.second or edge.microsecond):
            found.append(Problem(name, edge.isoformat(), "must be a full hour, UTC"))
    if stated.valid_from and stated.valid_to and stated.valid_to <= stated.valid_from:
        found.append(Problem("valid_to", stated.valid_to.isoformat(), f"is not after {stated.valid_from.isoformat()}"))
    return found
