"""Carries energy counters over a restart of the agent, and says when that cannot be done honestly.

The ledger compares a counter only within one boot_id. A kernel counter survives a restart of the agent, so energy used
while it was away is still known, unless the counter started again or may have wrapped unseen.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from accounting.agent.sensors.base import Reading

CEILING_W = 1000.0  # no CPU package draws more, so a counter of R joules cannot wrap twice within R / 1000 seconds


@dataclass(frozen=True, slots=True)
class CounterMark:
    """The last that was told of one device's counter, and when, by the machine's uptime."""

    energy_j: float
    uptime_s: float


class CounterBroken(Exception):
    """A counter that no longer continues what was told of it: a new boot_id must begin."""


class Continuity:
    """Turns what counters show into totals that only rise. `marks` is what to remember across restarts."""

    def __init__(self, marks: Mapping[str, CounterMark] | None = None) -> None:
        self.marks: dict[str, CounterMark] = dict(marks or {})
        self._offsets_j: dict[str, float] = {}

    def forget(self) -> None:
        """Begin anew, as after a `CounterBroken`."""
        self.marks.clear()
        self._offsets_j.clear()

    def reopened(self, devices: Iterable[str]) -> None:
        """These devices' sensor is a new object, which knows nothing of earlier wraps."""
        for device in devices:
            self._offsets_j.pop(device, None)

    def follow(self, readings: Sequence[Reading], *, ranges_j: Mapping[str, float], uptime_s: float) -> list[Reading]:
        """The same readings with counters that continue from the marks.

        Args:
            ranges_j: for each counter that wraps, after how much energy.

        Raises:
            CounterBroken: one started again, or may have wrapped more than once; no mark has been moved.
        """
        carried = [self._carry(reading, ranges_j.get(reading.device), uptime_s) for reading in readings]
        for reading in carried:
            if reading.energy_j is not None:
                self.marks[reading.device] = CounterMark(reading.energy_j, uptime_s)
        return carried

    def _carry(self, reading: Reading, range_j: float | None, uptime_s: float) -> Reading:
        if reading.energy_j is None:
            return reading
        mark = self.marks.get(reading.device)
        if mark and range_j and uptime_s - mark.uptime_s > range_j / CEILING_W:
            away_s = uptime_s - mark.uptime_s
            raise CounterBroken(f"{reading.device} was not read for {away_s:.0f} s and may have wrapped unseen")
        if reading.device not in self._offsets_j:
            self._offsets_j[reading.device] = _missed_j(reading.energy_j, mark, range_j)
        energy_j = reading.energy_j + self._offsets_j[reading.device]
        if mark and energy_j < mark.energy_j:
            raise CounterBroken(f"{reading.device} started again: {energy_j:g} J after {mark.energy_j:g} J")
        return reading if energy_j == reading.energy_j else replace(reading, energy_j=energy_j)


def _missed_j(energy_j: float, mark: CounterMark | None, range_j: float | None) -> float:
    """What a wrapping counter has lost since it began, by what was told before the restart."""
    if mark is None or range_j is None or energy_j >= mark.energy_j:
        return 0.0
    return math.ceil((mark.energy_j - energy_j) / range_j) * range_j
