"""Money: what the building pays for the energy."""

from accounting.methods.facility import FacilityEnergy
from accounting.methods.records import Figure


def electricity_cost(energy: FacilityEnergy, price_per_kwh: Figure) -> Figure:
    """Cost = facility kWh x price, in the currency of the price."""
    return energy.kwh.times(price_per_kwh, price_per_kwh.unit.removesuffix("/kWh"))
