"""Carbon of making: a device's footprint, spread evenly over its service life."""

from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import G_PER_KG, S_PER_HOUR


def embodied_rate_g_per_h(embodied_kg: Figure, lifetime_h: Figure) -> Figure:
    """Grams per hour in service = kg x 1000 / lifetime (SCI specification, M = TE x TiR / EL).

    A longer life makes the rate smaller, so the low rate goes with the long life.

    Raises:
        ValueError: the shortest lifetime is not above zero.
    """
    kg, life = embodied_kg.range, lifetime_h.range
    if life.low <= 0:
        raise ValueError(f"lifetime of {life.low} h: give the hours a device serves, for example 35040")
    return Figure(
        Range(kg.low * G_PER_KG / life.high, kg.mid * G_PER_KG / life.mid, kg.high * G_PER_KG / life.low),
        "g/h",
        Status.worst((embodied_kg.status, lifetime_h.status)),
        tuple(sorted({*embodied_kg.factor_ids, *lifetime_h.factor_ids})),
    )


def embodied_g(rate_g_per_h: Figure, *, held_s: float) -> Figure:
    """Grams for the time a job, or nobody, held the device while it was in service."""
    return Figure(rate_g_per_h.range.scaled(held_s / S_PER_HOUR), "g", rate_g_per_h.status, rate_g_per_h.factor_ids)
