"""Money: what the building pays for the energy, what a rented device costs, and what carbon is priced at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from accounting.methods.facility import FacilityEnergy
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import G_PER_T, S_PER_HOUR

MOST_STALE_DAYS = 7  # the longest that exchanges close, with a day to spare; a policy, not a measurement


@dataclass(frozen=True, slots=True)
class DatedRate:
    """Units of the ledger's currency for one unit of another, as published for a day."""

    day: date
    rate: float


@dataclass(frozen=True, slots=True)
class RateOfDay:
    """The rate that holds on a day, and how many days before it was published."""

    rate: float
    published: date
    age_days: int


def electricity_cost(energy: FacilityEnergy, price_per_kwh: Figure) -> Figure:
    """Cost = facility kWh x price, in the currency of the price. A price below nought is money that comes in."""
    currency = price_per_kwh.unit.removesuffix("/kWh")
    if price_per_kwh.range.low >= 0:
        return energy.kwh.times(price_per_kwh, currency)
    paid_out = negated(price_per_kwh)
    if paid_out.range.low < 0:
        raise ValueError(f"a price from {price_per_kwh.range.low} to {price_per_kwh.range.high}: state one of a sign")
    return negated(energy.kwh.times(paid_out, currency))


def rental_cost(price_per_h: Figure, *, held_s: float) -> Figure:
    """Cost = price of a device-hour x hours in service, used or not."""
    return price_per_h.scaled(held_s / S_PER_HOUR, price_per_h.unit.removesuffix("/h"))


def carbon_cost(co2e_location_g: Figure, price_per_t: Figure) -> Figure:
    """Cost = operational CO2e, location-based, x price of a tonne."""
    return co2e_location_g.scaled(1.0 / G_PER_T, "t").times(price_per_t, price_per_t.unit.removesuffix("/t"))


def rate_on(rates: Sequence[DatedRate], day: date) -> RateOfDay | None:
    """The rate of the day, else the latest before it, at most a week old; None: unknown, which is never 1.

    Args:
        rates: of one currency, by rising day.
    """
    known = [one for one in rates if one.day <= day]
    if not known or (day - known[-1].day).days > MOST_STALE_DAYS:
        return None
    latest = known[-1]
    return RateOfDay(latest.rate, latest.day, (day - latest.day).days)


def converted(amount: Figure, rate: Figure, unit: str) -> Figure:
    """A price in another currency x units of the ledger's currency for one of it."""
    if amount.range.low >= 0:
        return amount.times(rate, unit)
    return negated(negated(amount).times(rate, unit))


def total_cost(parts: Sequence[Figure]) -> Figure | None:
    """What is known of electricity, rental and carbon price together; None where nothing is."""
    if not parts:
        return None
    first, *rest = parts
    return first.plus(*rest) if rest else first


def negated(figure: Figure) -> Figure:
    """The same money the other way."""
    r = figure.range
    turned = Range(-r.high or 0.0, -r.mid or 0.0, -r.low or 0.0)
    return Figure(turned, figure.unit, figure.status, figure.factor_ids, figure.widths)


def stated_price(value: float, unit: str, factor_ids: tuple[str, ...]) -> Figure:
    """A price as a contract or an exchange states it: exactly."""
    return Figure(Range.exact(value), unit, Status.MODELLED, factor_ids)
