"""Which sensors this machine is read with: every one asked for that works, and no kind of device twice."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from accounting.agent.sensors.base import Sensor, SensorUnavailable
from accounting.agent.sensors.codecarbon import CodecarbonSensor
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.nvml import NvmlSensor
from accounting.agent.sensors.procstat import ProcstatSensor
from accounting.agent.sensors.rapl import RaplSensor
from accounting.agent.sensors.replay import ReplaySensor
from accounting.agent.wire import DeviceInfo, DeviceKind

LiveSensor = type[NvmlSensor] | type[RaplSensor] | type[CodecarbonSensor] | type[ProcstatSensor]
LIVE: tuple[LiveSensor, ...] = (NvmlSensor, RaplSensor, CodecarbonSensor, ProcstatSensor)  # best first
AUTO = tuple(sensor.name for sensor in LIVE)
WORKS = "ok"


class UnknownSensor(ValueError):
    """A name that stands for no sensor."""


class Rack:
    """The open sensors, by the name they were asked for; and of every other one, why it is not open."""

    def __init__(self, names: Sequence[str], *, here: Machine, replay_speed: float = 0.0) -> None:
        """`names`: auto, nvml, rapl, codecarbon, procstat, replay:FILE. Whatever their order, a meter goes first.

        Raises:
            UnknownSensor: a name is none of these.
        """
        self._openers: dict[str, Callable[[], Sensor]] = {}
        self._here = here
        wanted = [name for asked in names for name in (AUTO if asked == "auto" else (asked,))]
        for sensor in LIVE:
            if sensor.name in wanted:
                self._openers[sensor.name] = partial(self._open_live, sensor)
        for name in wanted:
            if name.startswith("replay:"):
                path = Path(name.removeprefix("replay:"))
                self._openers[name] = partial(ReplaySensor, path, speed=replay_speed)
            elif name not in AUTO:
                raise UnknownSensor(f"no sensor is named {name!r}: use auto, {', '.join(AUTO)} or replay:FILE")
        self.open: dict[str, Sensor] = {}
        self.unavailable: dict[str, SensorUnavailable] = {}

    def open_missing(self) -> bool:
        """Open whatever is asked for and not open yet. Returns whether anything new works."""
        before = len(self.open)
        for name, opener in self._openers.items():
            if name in self.open:
                continue
            try:
                self.open[name] = opener()
                self.unavailable.pop(name, None)
            except SensorUnavailable as error:
                self.unavailable[name] = error
        return len(self.open) > before

    def fail(self, name: str, error: Exception) -> None:
        """Take out a sensor that stopped working; `open_missing` may bring it back."""
        self.open.pop(name).close()
        self.unavailable[name] = SensorUnavailable(f"{type(error).__name__}: {error}", "it is tried again every minute")

    def states(self) -> dict[str, str]:
        """Sensor name -> "ok" or why it does not work here. A replay is named without its path."""
        states = {name: WORKS if name in self.open else self.unavailable[name].reason for name in self._openers}
        return {name.split(":")[0]: state for name, state in states.items()}

    def devices(self) -> list[DeviceInfo]:
        return [device for sensor in self.open.values() for device in sensor.devices()]

    def close(self) -> None:
        for sensor in self.open.values():
            sensor.close()
        self.open.clear()

    def _open_live(self, sensor: LiveSensor) -> Sensor:
        covered = self._covered()
        if sensor.kinds <= covered.keys():
            by = ", ".join(sorted({covered[kind] for kind in sensor.kinds}))
            raise SensorUnavailable(f"not needed: {' and '.join(sorted(sensor.kinds))} covered by {by}", "")
        return sensor(self._here, covered=covered.keys())

    def _covered(self) -> dict[DeviceKind, str]:
        """Kind of device -> the live sensor that speaks of it."""
        live = [sensor for sensor in self.open.values() if sensor.stream is None]
        return {device.kind: sensor.name for sensor in live for device in sensor.devices()}
