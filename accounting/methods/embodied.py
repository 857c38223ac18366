"""Carbon of making: a device's footprint, spread evenly over its service life."""

from accounting.methods.records import Figure
from accounting.methods.units import G_PER_KG, S_PER_HOUR


def embodied_rate_g_per_h(embodied_kg: Figure, lifetime_h: Figure) -> Figure:
    """Grams per hour in service = kg x 1000 / lifetime (SCI specification, M = TE x TiR / EL).

    A longer life makes the rate smaller: footprint and lifetime are independent sources.

    Raises:
        ValueError: the shortest lifetime is not above zero.
    """
    if lifetime_h.range.low <= 0:
        raise ValueError(f"lifetime of {lifetime_h.range.low} h: give the hours a device serves, for example 35040")
    return embodied_kg.scaled(G_PER_KG, "g").over(lifetime_h, "g/h")


def embodied_g(rate_g_per_h: Figure, *, held_s: float) -> Figure:
    """Grams for the time a job, or nobody, held the device while it was in service."""
    return rate_g_per_h.scaled(held_s / S_PER_HOUR, "g")
