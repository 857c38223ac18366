"""From the devices to the wall of the building. The boundary is part of the type: PUE cannot be applied twice."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounting.methods.records import Figure, Range, Status

KWH = "kWh"


@dataclass(frozen=True, slots=True)
class ItEnergy:
    """What the devices themselves drew, before cooling and losses."""

    kwh: Figure


@dataclass(frozen=True, slots=True)
class FacilityEnergy:
    """What the building drew for them: IT energy, cooling and losses."""

    kwh: Figure


@dataclass(frozen=True, slots=True)
class Held:
    """A factor that held for a share of the time."""

    figure: Figure
    share: float  # above 0; the shares of a mean add up to 1


def facility_energy(it: ItEnergy, pue: Figure) -> FacilityEnergy:
    """Facility energy = IT energy x PUE (ISO/IEC 30134-2)."""
    return FacilityEnergy(it.kwh.times(pue, KWH))


def time_mean(parts: Sequence[Held], unit: str) -> Figure:
    """The mean of a factor over the time for which each part held; as well known as its worst part.

    Raises:
        ValueError: the shares do not add up to 1.
    """
    if abs(sum(p.share for p in parts) - 1.0) > 1e-9:
        raise ValueError(f"shares {[p.share for p in parts]} do not add up to 1: fill the rest with a fallback")
    if len(parts) == 1:
        return parts[0].figure
    ranges = [(p.figure.range, p.share) for p in parts]
    return Figure(
        Range(
            sum(r.low * share for r, share in ranges),
            sum(r.mid * share for r, share in ranges),
            sum(r.high * share for r, share in ranges),
        ),
        unit,
        Status.worst(p.figure.status for p in parts),
        tuple(sorted({i for p in parts for i in p.figure.factor_ids})),
    )
