"""Water: what cooling evaporates on site, and what the power plants use. Kept apart, never summed with scarcity."""

from accounting.methods.facility import FacilityEnergy, ItEnergy
from accounting.methods.records import Figure, Range, Status

W_PER_KW = 1000.0


def onsite_l(energy: ItEnergy, wue_l_per_kwh: Figure) -> Figure:
    """Litres on site = IT kWh x WUE (ISO/IEC 30134-9: WUE is per kWh of IT energy, so PUE has no place here)."""
    return energy.kwh.times(wue_l_per_kwh, "L")


def wue_of_litres(onsite_l_per_h: Figure, it_power_w: Figure) -> Figure | None:
    """WUE = litres per hour / kilowatts of IT power; None where nothing is known to draw power."""
    litres, watts = onsite_l_per_h.range, it_power_w.range
    if watts.low <= 0:
        return None
    per_w = Range(litres.low / watts.high, litres.mid / watts.mid, litres.high / watts.low)
    ids = tuple(sorted({*onsite_l_per_h.factor_ids, *it_power_w.factor_ids}))
    return Figure(per_w.scaled(W_PER_KW), "L/kWh", Status.worst((onsite_l_per_h.status, it_power_w.status)), ids)


def offsite_l(energy: FacilityEnergy, ewif_l_per_kwh: Figure) -> Figure:
    """Litres at the power plants = facility kWh x EWIF (arXiv:2304.03271, section 2)."""
    return energy.kwh.times(ewif_l_per_kwh, "L")
