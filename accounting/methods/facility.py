"""From the devices to the wall of the building. The boundary is part of the type: PUE cannot be applied twice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import J_PER_KWH

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


def it_power_w(devices: Sequence[ItEnergy], *, over_s: float) -> Figure:
    """The mean draw of several devices together: the sum of their energy over the time that it stands for.

    Raises:
        ValueError: no time.
    """
    if over_s <= 0:
        raise ValueError(f"energy over {over_s} s has no mean power: leave an hour without readings out")
    first, *rest = (device.kwh for device in devices)
    return first.plus(*rest).scaled(J_PER_KWH / over_s, "W")


def pue_of_cooling(cooling_power_w: Figure, it_power_w: Figure) -> Figure | None:
    """PUE = 1 + cooling power / IT power; None where nothing is known to draw power.

    A lower bound of the true one: losses of supply and lighting are not in it.
    """
    if it_power_w.range.low <= 0:
        return None
    return Figure(Range.exact(1.0), "1", Status.MEASURED).plus(cooling_power_w.over(it_power_w, "1"))


def time_mean(parts: Sequence[Held], unit: str) -> Figure:
    """The mean of a factor over the time for which each part held; as well known as its worst part.

    Raises:
        ValueError: the shares do not add up to 1.
    """
    if abs(sum(p.share for p in parts) - 1.0) > 1e-9:
        raise ValueError(f"shares {[p.share for p in parts]} do not add up to 1: fill the rest with a fallback")
    first, *rest = (p.figure if len(parts) == 1 else p.figure.scaled(p.share) for p in parts)
    mean = first.plus(*rest) if rest else first
    return replace(mean, unit=unit)
