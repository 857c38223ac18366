"""What a sensor is: it names its devices once and answers readings whenever it is asked.

Boundary: a device's own draw, before cooling and losses. A sensor never guesses: what it does not measure is None.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from accounting.agent.wire import DeviceInfo, DeviceKind, Source, Status


class SensorUnavailable(Exception):
    """A sensor that does not work here: why not, and what a person can do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Reading:
    """What one device says now. None means not measured; a measured zero stays zero."""

    device: str
    power_w: float | None = None  # now, or the mean since the sensor's reading before
    energy_j: float | None = None  # a counter; within one sensor object it only rises
    utilization: float | None = None  # 0..1
    memory_used_bytes: int | None = None
    measured_at: str | None = None  # only a replay knows; the loop stamps the others
    job: str | None = None  # likewise
    seq: int | None = None  # likewise


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """How much of a device a process used since the sensor was asked before."""

    pid: int
    utilization: float | None = None  # 0..1 of the slice, or of the device; None: not told
    mig_slice: str = ""  # empty: the whole device
    mig_fraction: float | None = None  # the slice's part of the device


class Sensor(ABC):
    """One source of readings. Making one opens it and raises `SensorUnavailable` where it cannot work."""

    name: ClassVar[str]
    source: ClassVar[Source]
    status: ClassVar[Status]
    kinds: ClassVar[frozenset[DeviceKind]] = frozenset()  # what it can speak of; empty: not known before it is opened
    stream: str | None = None  # set where keys come from the source itself, as a replay's do, and not from this boot
    finished: bool = False  # nothing more will ever come

    @abstractmethod
    def devices(self) -> Sequence[DeviceInfo]:
        """Every device that `read` will ever speak of."""

    @abstractmethod
    def read(self) -> Sequence[Reading]:
        """One reading a device, or none of a device that has nothing to say yet.

        Raises:
            Exception: the source failed; the caller closes this sensor and may open a new one later.
        """

    def counter_ranges_j(self) -> Mapping[str, float]:
        """Devices whose hardware counter wraps, with the energy after which it does."""
        return {}

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Process ids that hold each device now, where the sensor can tell."""
        return {}

    def uses(self) -> Mapping[str, Sequence[ProcessUse]]:
        """What each process on a device used of it, where the sensor can tell."""
        return {}

    def notes(self) -> Sequence[str]:
        """What a person should know about these readings."""
        return ()

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open
        """Let go of the source."""
