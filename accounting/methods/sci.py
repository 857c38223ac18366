"""Software Carbon Intensity, ISO/IEC 21031:2024: grams of CO2e for each unit of what the software is for."""

import math
from dataclasses import dataclass

from accounting.methods.operational import Basis, Operational
from accounting.methods.records import Figure


class MarketInstrumentRefused(ValueError):
    """The score excludes whatever is bought elsewhere: certificates, contracts, offsets."""


@dataclass(frozen=True, slots=True)
class FunctionalUnit:
    """R of the score: what is counted (a token, a request, a training run, a user), and how many of them.

    Raises:
        ValueError: no name, or a count that is not above zero.
    """

    name: str
    count: float

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError(f"functional unit {self.name!r}: name what is counted, for example token")
        if not math.isfinite(self.count) or self.count <= 0:
            raise ValueError(f"{self.count} of functional unit {self.name!r}: give a number above zero")


def sci_g_per_unit(operational: Operational, embodied_g: Figure, unit: FunctionalUnit) -> Figure:
    """SCI = ((E x I) + M) / R, with E x I the location-based grams of facility energy, idle share included.

    Raises:
        MarketInstrumentRefused: the operational grams are market-based.
    """
    if operational.basis is not Basis.LOCATION:
        raise MarketInstrumentRefused(
            f"{operational.basis}-based carbon in a Software Carbon Intensity: ISO/IEC 21031 allows no market "
            "instrument, give the location-based figure"
        )
    return operational.g.plus(embodied_g).scaled(1.0 / unit.count, f"g/{unit.name}")
