"""Raw energy counters, in whatever unit they count and however they wrap, into joules that only rise.

DCGM and NVML count millijoules, RAPL microjoules, Kepler and Slurm joules, CodeCarbon kilowatt-hours. A counter that
falls either wrapped, where its limit is known, or was reset; across a reset nothing is compared.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accounting.methods.energy import Bools, Floats, Ints
from accounting.methods.units import J_PER_KWH, MJ_PER_J, UJ_PER_J, US_PER_S

Amounts = NDArray[Any]  # in the counter's unit: whole numbers stay whole


class CounterUnit(StrEnum):
    MILLIJOULE = "mJ"
    JOULE = "J"
    MICROJOULE = "uJ"
    KILOWATT_HOUR = "kWh"


@dataclass(frozen=True, slots=True)
class RisingEnergy:
    """A counter's readings as a `PowerSeries` takes them: joules that only rise within one `epoch`."""

    energy_j: Floats  # since the first reading of its epoch; nan where the counter was not read
    epoch: Ints  # goes up by one at every reset


def joules(amount: float, unit: CounterUnit) -> float:
    """An amount of energy in joules."""
    return amount * J_PER_KWH if unit is CounterUnit.KILOWATT_HOUR else amount / _per_j(unit)


def rising_energy(
    raw: Floats | Ints,
    *,
    unit: CounterUnit,
    wraps_at: float | None = None,
    at_us: Ints | None = None,
    most_w: float | None = None,
) -> RisingEnergy:
    """Follow a counter over wraps and resets.

    A fall with a known limit is a wrap: the rise is `now + wraps_at - before`. Without a limit, or where the wrap would
    mean more than `most_w`, it is a reset. Whole numbers are followed exactly; joules are made of them at the end.

    Args:
        raw: readings in rising time; nan: not read then.
        wraps_at: the energy after which the counter begins again at nought, in `unit`.
        at_us, most_w: when each reading was taken, and the most that the device can draw.

    Raises:
        ValueError: a reading below nought or beyond its limit, or only one of `at_us` and `most_w`.
    """
    if (at_us is None) != (most_w is None):
        raise ValueError("to tell a reset from a wrap both at_us and most_w are needed: give both, or neither")
    read = np.flatnonzero(~np.isnan(raw))
    shown = raw[read]
    _refuse_beyond(shown, wraps_at, unit)
    rise = np.diff(shown)
    fell = rise < 0
    reset = fell
    if wraps_at is not None:
        rise = np.where(fell, rise + np.asarray(wraps_at).astype(rise.dtype), rise)
        if at_us is not None and most_w is not None:
            most = most_w * np.diff(at_us[read]) / US_PER_S
            reset = fell & (_in_joules(rise, unit) > most)
        else:
            reset = np.zeros_like(fell)
    epoch = np.zeros(raw.size, dtype=np.int64)
    epoch[read[1:]] = reset
    energy_j = np.full(raw.size, np.nan)
    energy_j[read] = _in_joules(_since_reset(np.where(reset, 0, rise), reset, read.size), unit)
    return RisingEnergy(energy_j, np.cumsum(epoch))


def _since_reset(rise: Amounts, reset: Bools, readings: int) -> Amounts:
    """The running sum of the rises at each reading, begun again after each reset."""
    total = np.concatenate((np.zeros(1, dtype=rise.dtype), np.cumsum(rise)))[:readings]
    begins = np.concatenate(([0], np.where(reset, np.arange(1, rise.size + 1), 0)))[:readings]
    since: Amounts = total - total[np.maximum.accumulate(begins)]
    return since


def _in_joules(amounts: Amounts, unit: CounterUnit) -> Floats:
    per_j = _per_j(unit)
    in_joules: Floats = amounts * J_PER_KWH if unit is CounterUnit.KILOWATT_HOUR else amounts / per_j
    return in_joules


def _per_j(unit: CounterUnit) -> float:
    return {CounterUnit.MILLIJOULE: MJ_PER_J, CounterUnit.MICROJOULE: UJ_PER_J}.get(unit, 1.0)


def _refuse_beyond(shown: Amounts, wraps_at: float | None, unit: CounterUnit) -> None:
    if not shown.size:
        return
    if shown.min() < 0:
        raise ValueError(f"a counter cannot show {shown.min()} {unit}: leave readings below nought out")
    if wraps_at is not None and shown.max() > wraps_at:
        raise ValueError(f"the counter shows {shown.max()} {unit}, beyond its limit of {wraps_at}: give the true limit")
