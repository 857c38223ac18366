"""Water: what cooling evaporates on site, and what the power plants use. Kept apart, never summed with scarcity."""

from accounting.methods.facility import FacilityEnergy, ItEnergy
from accounting.methods.records import Figure
from accounting.methods.units import W_PER_KW


def onsite_l(energy: ItEnergy, wue_l_per_kwh: Figure) -> Figure:
    """Litres on site = IT kWh x WUE (ISO/IEC 30134-9: WUE is per kWh of IT energy, so PUE has no place here)."""
    return energy.kwh.times(wue_l_per_kwh, "L")


def wue_of_litres(onsite_l_per_h: Figure, it_power_w: Figure) -> Figure | None:
    """WUE = litres per hour / kilowatts of IT power; None where nothing is known to draw power."""
    if it_power_w.range.low <= 0:
        return None
    return onsite_l_per_h.scaled(W_PER_KW).over(it_power_w, "L/kWh")


def offsite_l(energy: FacilityEnergy, ewif_l_per_kwh: Figure) -> Figure:
    """Litres at the power plants = facility kWh x EWIF (arXiv:2304.03271, section 2)."""
    return energy.kwh.times(ewif_l_per_kwh, "L")
