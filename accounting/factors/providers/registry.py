"""Every provider by its name, in the order in which they go before one another for the same zone and hour."""

from accounting.factors.providers import csv_file
from accounting.factors.providers.base import Provider
from accounting.factors.providers.eia import Eia
from accounting.factors.providers.electricity_maps import ElectricityMaps
from accounting.factors.providers.entsoe import Entsoe
from accounting.factors.providers.mix import FuelFactors
from accounting.factors.providers.uk_carbon_intensity import UkCarbonIntensity
from accounting.factors.providers.watttime import WattTime

PRECEDENCE = (csv_file.NAME, "electricity-maps", "uk-carbon-intensity", "entsoe", "eia", "watttime")


def providers(factors: FuelFactors) -> dict[str, Provider]:
    """Those that are asked over the network; a file is imported. `factors` holds what each fuel emits."""
    found: tuple[Provider, ...] = (
        ElectricityMaps(), UkCarbonIntensity(), Entsoe(factors), Eia(factors), WattTime()
    )  # fmt: skip
    return {provider.name: provider for provider in found}


def rank(name: str) -> int:
    """Lower goes first; an unknown name last."""
    return PRECEDENCE.index(name) if name in PRECEDENCE else len(PRECEDENCE)
