"""Which factor answers a question, and what stands in when there is none.

No fallback is silent: the factor's id names the step, its status is DEFAULT, and its range is wider.
"""

import re
from dataclasses import replace

from accounting.factors.catalog import Catalog
from accounting.methods.records import Factor, Range, Status
from accounting.methods.units import BYTES_PER_GIB

WORLD = "world"
_CARDS = re.compile(r"\b(?:a100|h100|b200)\b", re.IGNORECASE)


def grid_intensity(catalog: Catalog, zone: str) -> Factor:
    """Yearly mean of a zone such as FR, US-CA or SE-SE3; else of its country (FR for FR-IDF); else of the world."""
    return _by_zone(catalog, "grid_intensity", zone)


def ewif(catalog: Catalog, zone: str) -> Factor:
    """Water that a zone's power plants consume per kWh, by the same steps."""
    return _by_zone(catalog, "ewif", zone)


def pue(catalog: Catalog) -> Factor:
    return catalog.get("pue", "default")


def wue(catalog: Catalog) -> Factor:
    return catalog.get("wue", "default")


def price(catalog: Catalog, currency: str) -> Factor:
    """A typical price in the currency; where none is known, nought under the id `price:unknown:…`."""
    known = catalog.find("price", currency.upper())
    if known is not None:
        return known
    nothing = f"no typical price in {currency} is known: state the site's price"
    return Factor(f"price:unknown:{currency}", Range.exact(0.0), f"{currency}/kWh", Status.DEFAULT, nothing)


def embodied(catalog: Catalog, *, kind: str, model: str, memory_bytes: int | None) -> Factor:
    """Kilograms of making one device: by model, else by capacity (memory), else by kind."""
    if kind == "memory":
        if not memory_bytes:
            return catalog.get("embodied", "other")
        per_gib = catalog.get("embodied", "memory_per_gib")
        return replace(per_gib, value=per_gib.value.scaled(memory_bytes / BYTES_PER_GIB), unit="kg")
    card = _CARDS.search(model) if kind == "gpu" else None
    known = catalog.find("embodied", f"{kind}/{card.group().lower()}") if card else None
    return known or catalog.find("embodied", kind) or catalog.get("embodied", "other")


def lifetime(catalog: Catalog) -> Factor:
    return catalog.get("lifetime", "default")


def reading_tolerance(catalog: Catalog, *, metered: bool, kind: str, measured: bool) -> Factor:
    """What a reading of a meter, of a device's own sensor, or of a model may be off by: a range around 1."""
    if metered and measured:
        return catalog.get("tolerance", "meter")
    how = "measured" if measured else "modelled"
    return catalog.find("tolerance", f"{kind}/{how}") or catalog.get("tolerance", f"other/{how}")


def tolerance(catalog: Catalog, key: str) -> Factor:
    """What a stated figure may be off by, as a range around 1, for example `pue/declared`."""
    return catalog.get("tolerance", key)


def _by_zone(catalog: Catalog, quantity: str, zone: str) -> Factor:
    zone = zone.strip().upper()
    if known := catalog.find(quantity, zone):
        return known
    country = zone.partition("-")[0]
    if of_country := catalog.find(quantity, country):
        spread = catalog.get("tolerance", "zone_in_country").value
        wider = Range(
            min(of_country.value.low, of_country.value.mid * spread.low),
            of_country.value.mid,
            max(of_country.value.high, of_country.value.mid * spread.high),
        )
        return replace(of_country, id=f"{of_country.id}@unknown-part:{zone}", value=wider, status=Status.DEFAULT)
    return catalog.get(quantity, WORLD)
