"""A factor id, as ledger rows carry it -> everything that is known of the number behind it.

intensity:FR:2023                        a row of the packaged catalogue
intensity:FR:2023@unknown-part:FR-IDF    the same, standing in: the step is named behind the @
own:7:grid_intensity:FR                  a version of an own factor, in force or not
site:paris:pue@2026-11-21                what a site's terms state
device:12:embodied_kg                    what is stated of a device
contract:3@annual, exchange:…, host:…    what stated_rows knows
telemetry:paris:pue                      what a site's telemetry said: the value is in its readings
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.conf import settings

from accounting.factorbook import catalog
from accounting.factorbook.books import row_of
from accounting.factorbook.stated_rows import stated_rows
from accounting.factors.catalog import Row
from accounting.factors.cpus import cpu_rows
from accounting.methods.records import Factor, Range, Status
from accounting.models import Device, OwnFactor, Site, SiteTerms

_STEPS = re.compile(r"@(unknown-part|unknown-variant|cloud|for-year|subregion-of|unknown-subregion):")
_TERMS = {  # quantity of the id -> field and unit; a price's unit is the ledger's currency
    "pue": ("pue", "1"),
    "wue": ("wue_l_per_kwh", "L/kWh"),
    "price": ("electricity_price_per_kwh", "/kWh"),
    "supplier": ("supplier_g_per_kwh", "g/kWh"),
    "residual_mix": ("residual_g_per_kwh", "g/kWh"),
    "carbon_price": ("carbon_price_per_t", "/t"),
}
_DEVICE = {
    "embodied_kg": ("embodied", "kg"),
    "lifetime_h": ("lifetime", "h"),
    "memory_bytes": ("accelerator_memory", "B"),
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """One id. No row: its kind is all that is known here."""

    id: str
    kind: str  # packaged, own, site, device, telemetry, …: what the id begins with
    row: Row | None = None
    steps: tuple[tuple[str, str], ...] = ()  # what it stands in for: ("unknown-part", "FR-IDF")
    own: OwnFactor | None = None
    site_id: int | None = None  # of whose page says more
    device_id: int | None = None

    @property
    def status(self) -> Status | None:
        """As well known as the row, a default where it stands in for something unknown; None without a row."""
        if self.row is None:
            return None
        stands_in = any(_stands_in(self.row, step, what) for step, what in self.steps)
        return Status.DEFAULT if stands_in else self.row.factor.status


def _stands_in(row: Row, step: str, what: str) -> bool:
    """Whether the step makes the factor a default: an unknown part, or a year before the factor's own."""
    earlier = step == "for-year" and row.factor.year is not None and what.isdigit() and int(what) < row.factor.year
    return earlier or step.startswith("unknown")


def resolve(factor_ids: Iterable[str]) -> dict[str, Resolved]:
    """Every id, known or not. No query for packaged ones, at most one for each other kind."""
    wanted = sorted(set(factor_ids))
    rows = {row.factor.id: row for row in catalog()}
    if any(one.startswith("tdp:cpu:") for one in wanted):
        rows |= {row.factor.id: row for row in cpu_rows().values()}
    split = {one: _STEPS.split(one) for one in wanted}
    found: dict[str, Resolved] = {}
    own = _own(parts[0] for parts in split.values())
    for one, (base, *steps) in split.items():
        pairs = tuple(zip(steps[::2], steps[1::2], strict=True))
        kind = one.partition(":")[0]
        if base in rows:
            found[one] = Resolved(one, "packaged", rows[base], pairs)
        elif base in own:
            found[one] = Resolved(one, "own", row_of(own[base]), pairs, own[base])
        else:
            found[one] = Resolved(one, kind)
    stated = stated_rows(one.id for one in found.values() if one.row is None)
    found |= {one: replace(found[one], row=row) for one, row in stated.items()}
    return found | _of_sites(found.values()) | _of_devices(found.values())


def _own(base_ids: Iterable[str]) -> Mapping[str, OwnFactor]:
    pks = {int(match[1]) for one in base_ids if (match := re.match(r"own:(\d{1,18}):", one))}
    if not pks:
        return {}
    rows = OwnFactor.objects.filter(pk__in=pks).select_related("superseded_by", "site", "team")
    return {row.factor_id: row for row in rows}


def _of_sites(found: Iterable[Resolved]) -> dict[str, Resolved]:
    of_sites = [one for one in found if one.row is None and one.kind in ("site", "telemetry")]
    slugs = {one.id.split(":")[1] for one in of_sites if one.id.count(":") >= 2}
    if not slugs:
        return {}
    sites = {site.slug: site for site in Site.objects.filter(slug__in=slugs).prefetch_related("terms")}
    placed = {one.id: sites[slug] for one in of_sites if (slug := one.id.split(":")[1]) in sites}
    return {one.id: _of_site(one, placed[one.id]) for one in of_sites if one.id in placed}


def _of_site(one: Resolved, site: Site) -> Resolved:
    placed = replace(one, site_id=site.pk)
    quantity, _, since = one.id.split(":", 2)[2].partition("@")
    if one.kind != "site" or quantity not in _TERMS:
        return placed
    field, unit = _TERMS[quantity]
    terms = next((t for t in site.terms.all() if _day(t.valid_from) == since), None)
    value = getattr(terms, field) if terms else None
    return placed if value is None else replace(placed, row=_stated(one.id, quantity, value, unit, terms))


def _stated(factor_id: str, quantity: str, value: float, unit: str, terms: SiteTerms) -> Row:
    source = f"terms of {terms.site}"
    year = terms.valid_from.year
    factor = Factor(factor_id, Range.exact(value), unit, Status.MODELLED, source, year=year)
    return Row(factor, quantity, str(terms.site), "", terms.valid_from.date(), None, "stated by the site")


def _of_devices(found: Iterable[Resolved]) -> dict[str, Resolved]:
    matches = {one.id: match for one in found if (match := re.fullmatch(r"device:(\d{1,18}):(\w+)", one.id))}
    if not matches:
        return {}
    devices = Device.objects.select_related("host").in_bulk([int(match[1]) for match in matches.values()])
    resolved = {}
    for factor_id, match in matches.items():
        device, known = devices.get(int(match[1])), _DEVICE.get(match[2])
        value = getattr(device, match[2], None) if known else None
        row = None
        if device is not None and known is not None and value is not None:
            factor = Factor(factor_id, Range.exact(value), known[1], Status.MODELLED, "stated of the device")
            row = Row(factor, known[0], str(device), "", device.acquired_at.date(), None, "")
        elif device is not None and match[2] == "rental" and device.rental_price_per_h is not None:
            unit = f"{device.rental_currency or settings.GREENAI['currency']}/h"
            value = Range.exact(device.rental_price_per_h)
            factor = Factor(factor_id, value, unit, Status.MODELLED, "stated of the device")
            row = Row(factor, "rental", str(device), "", device.acquired_at.date(), None, "")
        resolved[factor_id] = Resolved(factor_id, "device", row, device_id=device.pk if device else None)
    return resolved


def _day(moment: datetime) -> str:
    """As `site:…` ids write it."""
    since = moment.astimezone(UTC)
    at_midnight = (since.hour, since.minute, since.second) == (0, 0, 0)
    return f"{since:%Y-%m-%d}" if at_midnight else f"{since:%Y-%m-%dT%H:%M:%SZ}"
