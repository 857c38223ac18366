"""A generation mix and what each fuel emits -> the zone's intensity, direct and life-cycle, of what is made there."""

import math
from collections.abc import Mapping
from typing import Protocol

from accounting.factors.providers.base import EmissionBasis, Flow, Series, Signal, WrongSchema
from accounting.methods.records import Factor

STORAGE = "storage"  # gives back what was generated before: not generation
OTHER = "other"


class FuelFactors(Protocol):
    """What of the catalogue is needed: grams of CO2e per kWh generated, by `direct/coal` and the like."""

    def get(self, quantity: str, key: str) -> Factor: ...
    def find(self, quantity: str, key: str) -> Factor | None: ...


def series_of(basis: EmissionBasis) -> Series:
    return Series(Signal.AVERAGE, basis, Flow.PRODUCTION)


def intensity_of_mix(
    mwh_by_fuel: Mapping[str, float], factors: FuelFactors, basis: EmissionBasis, *, country: str = ""
) -> float | None:
    """g/kWh = sum of MWh x g/kWh over sum of MWh, of every fuel that generated. None where nothing did.

    A plant's own draw (below nought) and storage are left out. `country` prefers that country's own factors.
    """
    generated = {fuel: mwh for fuel, mwh in mwh_by_fuel.items() if fuel != STORAGE and mwh > 0}
    total = math.fsum(generated.values())
    if total <= 0:
        return None
    grams = (mwh * _g_per_kwh(factors, fuel, basis, country) for fuel, mwh in generated.items())
    return math.fsum(grams) / total


def _g_per_kwh(factors: FuelFactors, fuel: str, basis: EmissionBasis, country: str) -> float:
    own = factors.find("fuel_intensity", f"{basis}/{fuel}/{country}") if country else None
    return (own or factors.get("fuel_intensity", f"{basis}/{fuel}")).value.mid


def fuel_of(code: str, fuels: Mapping[str, str], where: str) -> str:
    """Our name of a provider's fuel. A code that it has added since is `other`: wide, but not left out."""
    if not code:
        raise WrongSchema(f"{where}: the fuel has no code")
    return fuels.get(code, OTHER)
