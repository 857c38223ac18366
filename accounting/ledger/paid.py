"""What a row costs: electricity, the rent of the device, and a price on its carbon, as far as each is known."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from accounting.factorbook.currencies import load_exchange
from accounting.factorbook.terms import SiteFactors
from accounting.ledger.energy_hours import EnergyRow
from accounting.methods.cost import carbon_cost, electricity_cost, rental_cost, stated_price, total_cost
from accounting.methods.facility import FacilityEnergy
from accounting.methods.records import Figure
from accounting.models import Device


@dataclass(frozen=True, slots=True)
class Rental:
    """What a rented device costs in an hour. `per_h` None: in a currency without a rate for that day."""

    per_h: Figure | None
    with_electricity: bool  # the rent covers it: it is not paid a second time


@dataclass(frozen=True, slots=True)
class Paid:
    """The cost in the ledger's currency; None: nothing of it is known. `parts` as the ledger's columns."""

    cost: Figure | None
    parts: dict[str, float]


def rentals(
    places: Iterable[tuple[int, datetime]], devices: Mapping[int, Device]
) -> dict[tuple[int, datetime], Rental]:
    """Of each (device id, hour) whose device is rented. One query at most."""
    rented = [(devices[pk], hour) for pk, hour in places if devices[pk].rental_price_per_h is not None]
    exchange = load_exchange((device.rental_currency for device, _ in rented), (hour for _, hour in rented))
    found = {}
    for device, hour in rented:
        currency = device.rental_currency or exchange.into
        stated = stated_price(device.rental_price_per_h or 0.0, f"{currency}/h", (f"device:{device.pk}:rental",))
        per_h = exchange.convert(stated, currency, hour)
        found[device.pk, hour] = Rental(per_h, device.rental_includes_electricity)
    return found


def cost_of(
    row: EnergyRow, facility: FacilityEnergy, co2e_location_g: Figure, factors: SiteFactors, rental: Rental | None
) -> Paid:
    """Rent is due for every hour in service, on the row that holds the device, or on nobody's."""
    parts = {"unpriced_kwh": 0.0, "unpriced_s": 0.0, "rental_cost": 0.0, "carbon_cost": 0.0}
    known: list[Figure] = []
    if rental is not None and rental.per_h is not None:
        known.append(rental_cost(rental.per_h, held_s=row.held_s))
        parts["rental_cost"] = known[-1].range.mid
    elif rental is not None:
        parts["unpriced_s"] = row.held_s
    if rental is not None and rental.with_electricity:
        parts["unpriced_kwh"] = facility.kwh.range.mid if rental.per_h is None else 0.0
    elif factors.price_per_kwh is None:
        parts["unpriced_kwh"] = facility.kwh.range.mid
    else:
        known.append(electricity_cost(facility, factors.price_per_kwh))
    if factors.carbon_price_per_t is not None:
        known.append(carbon_cost(co2e_location_g, factors.carbon_price_per_t))
        parts["carbon_cost"] = known[-1].range.mid
    return Paid(total_cost(known), parts)
