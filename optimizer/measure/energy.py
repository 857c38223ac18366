"""Joules of this machine's processors: measured where a sensor is, else modelled, and never the one for the other.

The parent records; the child only marks windows. Boundary: what the meter covers, before cooling and losses.
"""

import threading
import time
from collections.abc import Sequence
from typing import Literal, Protocol, Self

import numpy as np

from accounting.agent.sensors.base import Sensor, SensorUnavailable
from accounting.agent.sensors.codecarbon import CodecarbonSensor
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.procstat import ProcstatSensor
from accounting.agent.sensors.rapl import RaplSensor
from optimizer.measure.protocol import Window

INTERVAL_S = 0.02
TICKS_PER_S = 100  # USER_HZ, fixed in Linux's /proc interface on every architecture in use
IDLE_SHARE = 0.1  # of TDP, with nothing to do: the end points of codecarbon 3.3.2's CPU curve are 0.1 and 1


class Meter(Protocol):
    """Cumulative joules since some moment. `method` says how, in a few words that stand beside every figure."""

    status: Literal["MEASURED", "MODELLED"]
    method: str

    def read_j(self) -> float: ...


class CounterMeter:
    """Sensors with hardware energy counters, summed over all of their devices."""

    status: Literal["MEASURED", "MODELLED"] = "MEASURED"

    def __init__(self, sensors: Sequence[Sensor]) -> None:
        self._sensors = sensors
        devices = [device.device for sensor in sensors for device in sensor.devices()]
        self.method = f"{' + '.join(sensor.name for sensor in sensors)} counters of {', '.join(devices)}"

    def read_j(self) -> float:
        """
        Raises:
            ValueError: a device answers without its counter; a partial sum would look like a saving.
        """
        readings = [reading for sensor in self._sensors for reading in sensor.read()]
        if missing := [reading.device for reading in readings if reading.energy_j is None]:
            raise ValueError(f"{missing[0]} answers without an energy counter")
        return sum(reading.energy_j or 0.0 for reading in readings)


class CpuModelMeter:
    """P = TDP x (0.1 + 0.9 load), load over all CPUs of the machine from /proc/stat.

    The end points are codecarbon's. The line between them is straight, where codecarbon's agent curve is cubic: a
    curve that bends makes the energy of a window depend on how it is cut and on what else runs, and this one must only
    compare two windows. Since it is a straight line it counts in CPU ticks and misses nothing between readings.
    """

    status: Literal["MEASURED", "MODELLED"] = "MODELLED"

    def __init__(self, tdp_w: float, here: Machine) -> None:
        self.method = f"modelled: TDP {tdp_w:g} W x (0.1 + 0.9 CPU load)"
        self._here = here
        self._start_ns, self._start = time.monotonic_ns(), here.cpu_times()
        self._idle_w = IDLE_SHARE * tdp_w
        self._tick_j = (1.0 - IDLE_SHARE) * tdp_w / here.cpu_threads() / TICKS_PER_S

    def read_j(self) -> float:
        elapsed_s = (time.monotonic_ns() - self._start_ns) / 1e9
        return self._idle_w * elapsed_s + self._tick_j * (self._here.cpu_times().busy - self._start.busy)


def find_meter(here: Machine | None = None) -> Meter:
    """The best meter of what runs on this machine's CPUs: RAPL, else the model.

    A GPU's counter is left aside: built-in workloads run on the CPU, and a sensor of something else measures nothing.
    """
    here = here or Machine()
    try:
        return CounterMeter([RaplSensor(here)])
    except SensorUnavailable:
        return CpuModelMeter(cpu_tdp_w(here), here)


def cpu_tdp_w(here: Machine) -> float:
    """Rated power of all CPUs: as the operator says, else codecarbon's table, else its fallback of 4 W a thread."""
    sensor: Sensor
    try:
        sensor = CodecarbonSensor(here, covered=("memory",))
    except SensorUnavailable:
        sensor = ProcstatSensor(here, covered=("memory",))
    return next(device.tdp_w for device in sensor.devices() if device.tdp_w)


class MeterLog:
    """Readings of a cumulative meter over time; energy between two moments by straight lines between readings."""

    def __init__(self, status: str, method: str) -> None:
        self.status, self.method = status, method
        self._at_ns: list[int] = []
        self._total_j: list[float] = []

    def add(self, at_ns: int, total_j: float) -> None:
        self._total_j.append(total_j)
        self._at_ns.append(at_ns)

    def energy_j(self, start_ns: int, end_ns: int) -> float | None:
        """Energy in [start, end); None where the log does not reach over all of it."""
        count = len(self._at_ns)
        if count < 2 or start_ns < self._at_ns[0] or end_ns > self._at_ns[count - 1]:
            return None
        low, high = np.interp([start_ns, end_ns], self._at_ns[:count], self._total_j[:count])
        return float(high - low)

    def of(self, window: Window) -> float | None:
        return self.energy_j(window.start_ns, window.end_ns)

    @property
    def total_j(self) -> float:
        return self._total_j[-1] - self._total_j[0] if self._total_j else 0.0

    def power_w(self, over_s: float = 2.0) -> float | None:
        """Mean draw over the last moments; None before there are two readings."""
        if len(self._at_ns) < 2:
            return None
        end = self._at_ns[-1]
        start = max(end - int(over_s * 1e9), self._at_ns[0])
        energy_j = self.energy_j(start, end)
        return None if energy_j is None or end <= start else energy_j / ((end - start) / 1e9)


class Recorder:
    """Reads a meter fifty times a second in a thread of its own, while a `with` block lasts."""

    def __init__(self, meter: Meter, *, interval_s: float = INTERVAL_S) -> None:
        self.log = MeterLog(meter.status, meter.method)
        self.failure = ""  # why readings ended early
        self._meter, self._interval_s = meter, interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, name="meter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _record(self) -> None:
        try:
            while True:
                total_j = self._meter.read_j()
                self.log.add(time.monotonic_ns(), total_j)
                if self._stop.wait(self._interval_s):
                    total_j = self._meter.read_j()
                    return self.log.add(time.monotonic_ns(), total_j)
        except (OSError, ValueError) as error:
            self.failure = f"{type(error).__name__}: {error}"
