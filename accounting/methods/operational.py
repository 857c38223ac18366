"""Carbon of running, location-based and market-based. The basis is part of the type: they are never mixed up."""

from dataclasses import dataclass
from enum import StrEnum

from accounting.methods.facility import FacilityEnergy
from accounting.methods.records import Figure


class Basis(StrEnum):
    LOCATION = "location"  # the grid that delivers
    MARKET = "market"  # the contracts that were bought


@dataclass(frozen=True, slots=True)
class Operational:
    """Grams of CO2e of running something, by the basis they are reckoned on."""

    g: Figure
    basis: Basis


def co2e_location_g(energy: FacilityEnergy, intensity_g_per_kwh: Figure) -> Figure:
    """Grams of CO2e = facility kWh x g/kWh (GHG Protocol Scope 2 Guidance, location-based method)."""
    return energy.kwh.times(intensity_g_per_kwh, "g")


def co2e_market_g(energy: FacilityEnergy, supplier: Figure | None, residual_mix: Figure | None) -> Figure | None:
    """Grams of CO2e by what was bought, in g per facility kWh (GHG Protocol Scope 2 Guidance, table 6.3).

    The supplier's factor, else the residual mix of the market. None where neither is known: the grid's mean is never
    put in their place, since the part of it that others have claimed would count twice.
    """
    intensity = supplier if supplier is not None else residual_mix
    return None if intensity is None else energy.kwh.times(intensity, "g")
