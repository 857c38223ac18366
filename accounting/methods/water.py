"""Water: what cooling evaporates on site, and what the power plants use. Kept apart, never summed with scarcity."""

from accounting.methods.facility import FacilityEnergy, ItEnergy
from accounting.methods.records import Figure


def onsite_l(energy: ItEnergy, wue_l_per_kwh: Figure) -> Figure:
    """Litres on site = IT kWh x WUE (ISO/IEC 30134-9: WUE is per kWh of IT energy, so PUE has no place here)."""
    return energy.kwh.times(wue_l_per_kwh, "L")


def offsite_l(energy: FacilityEnergy, ewif_l_per_kwh: Figure) -> Figure:
    """Litres at the power plants = facility kWh x EWIF (arXiv:2304.03271, section 2)."""
    return energy.kwh.times(ewif_l_per_kwh, "L")
