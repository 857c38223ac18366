"""From the devices to the wall of the building. The boundary is part of the type: PUE cannot be applied twice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
    ranges = [device.kwh.range for device in devices]
    total = Range(*(math.fsum(getattr(r, end) for r in ranges) for end in ("low", "mid", "high")))
    ids = tuple(sorted({i for device in devices for i in device.kwh.factor_ids}))
    return Figure(total.scaled(J_PER_KWH / over_s), "W", Status.worst(d.kwh.status for d in devices), ids)


def pue_of_cooling(cooling_power_w: Figure, it_power_w: Figure) -> Figure | None:
    """PUE = 1 + cooling power / IT power; None where nothing is known to draw power.

    A lower bound of the true one: losses of supply and lighting are not in it.
    """
    cooling, it = cooling_power_w.range, it_power_w.range
    if it.low <= 0:
        return None
    pue = Range(1 + cooling.low / it.high, 1 + cooling.mid / it.mid, 1 + cooling.high / it.low)
    ids = tuple(sorted({*cooling_power_w.factor_ids, *it_power_w.factor_ids}))
    return Figure(pue, "1", Status.worst((cooling_power_w.status, it_power_w.status)), ids)


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
