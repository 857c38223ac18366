"""Carbon of running: the grid's intensity times what the building drew, location-based."""

from accounting.methods.facility import FacilityEnergy
from accounting.methods.records import Figure


def co2e_location_g(energy: FacilityEnergy, intensity_g_per_kwh: Figure) -> Figure:
    """Grams of CO2e = facility kWh x g/kWh (GHG Protocol Scope 2 Guidance, location-based method)."""
    return energy.kwh.times(intensity_g_per_kwh, "g")
