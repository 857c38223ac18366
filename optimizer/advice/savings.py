"""What a variant is expected to save, and when it has earned back what finding it cost."""

import math

from accounting.methods.records import Range
from accounting.methods.units import J_PER_KWH
from optimizer.advice.records import Rates, Saving


def expected_saving(device_saving_j_per_unit: Range, *, units: float, rates: Rates) -> Saving:
    """Carry a measured saving per unit of work through to the meter, the grid and the bill.

    Args:
        device_saving_j_per_unit: baseline minus variant, the devices' own draw; negative where the variant draws more.
        units: units of work the saving is counted over.
    """
    it_kwh = device_saving_j_per_unit.scaled(units / J_PER_KWH)
    facility_kwh = product(it_kwh, rates.pue)
    return Saving(
        units=units,
        facility_energy_kwh=facility_kwh,
        co2e_g=product(facility_kwh, rates.intensity_g_per_kwh),
        cost=None if rates.price_per_kwh is None else signed_product(facility_kwh, rates.price_per_kwh),
    )


def product(signed: Range, factor: Range) -> Range:
    """Multiply a figure of either sign by a positive factor that errs independently of it.

    Each side's deviations add in squares (first-order propagation). Where the figure is negative, a larger factor moves
    the product down, so the factor's sides change places.
    """
    if factor.low < 0.0:
        raise ValueError(f"factor {factor} reaches below zero")
    mid = signed.mid * factor.mid
    factor_down = signed.mid * ((factor.mid - factor.low) if signed.mid >= 0.0 else (factor.mid - factor.high))
    factor_up = signed.mid * ((factor.high - factor.mid) if signed.mid >= 0.0 else (factor.low - factor.mid))
    down = math.hypot((signed.mid - signed.low) * factor.mid, factor_down)
    up = math.hypot((signed.high - signed.mid) * factor.mid, factor_up)
    return Range(mid - down, mid, mid + up)


def signed_product(signed: Range, price: Range) -> Range:
    """The same with a price, which an exchange may set below nought."""
    if price.low >= 0.0:
        return product(signed, price)
    return negated(product(signed, negated(price)))


def break_even_units(one_off_j: float, device_saving_j_per_unit: Range) -> float | None:
    """Units of work until the one-off energy is earned back; None where no saving is shown at the best figure."""
    if device_saving_j_per_unit.mid <= 0.0:
        return None
    return one_off_j / device_saving_j_per_unit.mid


def negated(figure: Range) -> Range:
    """A difference the other way round: variant minus baseline becomes what is saved."""
    return Range(-figure.high, -figure.mid, -figure.low)
