"""The agent's loop: read the sensors, stamp, spool, wake the courier. The one place that calls the clock."""

import logging
import math
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace

from accounting.agent.clock import Clock, rfc3339
from accounting.agent.continuity import Continuity, CounterBroken
from accounting.agent.courier import LAST_FLUSH_S, Announcement, Courier
from accounting.agent.jobs import JobFinder
from accounting.agent.sensors.base import Reading, Sensor
from accounting.agent.sensors.rack import Rack
from accounting.agent.sharing import uses_now
from accounting.agent.spool import Spool
from accounting.agent.wire import DeviceSample, DeviceUse

REOPEN_S = 60.0  # how often a sensor that does not work is tried again, and how often the log says how it goes
REPLAY_BACKLOG = 20_000  # a replay waits while this many samples do, so that it never pushes anything out of the spool
REPLAY_POLL_S = 0.05

log = logging.getLogger("greenai.agent")


class Loop:
    """Measures on its own thread's time; a slow or absent server never delays a reading."""

    def __init__(
        self, rack: Rack, spool: Spool, courier: Courier, *, interval_s: float, jobs: JobFinder, clock: Clock
    ) -> None:
        self._rack, self._spool, self._courier = rack, spool, courier
        self._interval_s, self._jobs, self._clock = interval_s, jobs, clock
        self._continuity = Continuity(spool.marks())
        self._last_at = ""
        self._next_live_s = self._next_minute_s = clock.monotonic_s()
        self._watts: dict[str, tuple[float, str]] = {}
        self._new_stream = False  # counters broke, and the spool has not been told yet
        self.live_ticks = 0
        self.measured = 0

    def run(self, stop: threading.Event, *, once: bool = False) -> None:
        """Until `stop` is set, every replay has been played and delivered, or, `once`, two readings are taken."""
        while not stop.is_set():
            try:
                self.tick()
            except sqlite3.Error as error:
                log.warning("the spool cannot be worked: %s", error)
            if self._finished(once) or stop.wait(self.pause_s()):
                break
        self._courier.hurry()
        while self._only_replays() and self._spool.holds(1) and not stop.wait(REPLAY_POLL_S):
            pass

    def tick(self) -> None:
        """Read what is due and keep it."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_minute_s:
            self._next_minute_s = now_s + REOPEN_S
            self._every_minute()
        if now_s >= self._next_live_s:
            missed = (now_s - self._next_live_s) // self._interval_s  # left out, never caught up in a burst
            self._next_live_s += (missed + 1) * self._interval_s
            self.live_ticks += 1
            self._read_live()
        self._read_replays()
        self._courier.announce(
            Announcement(tuple(self._rack.devices()), tuple(self._jobs.described()), self._rack.states())
        )
        self._courier.wake.set()

    def _read_live(self) -> None:
        sensors = [(name, sensor) for name, sensor in self._rack.open.items() if sensor.stream is None]
        read = [(sensor, self._read(name, sensor)) for name, sensor in sensors]
        at = rfc3339(self._clock.now())
        if at <= self._last_at:
            self._start_again(f"the clock was set back from {self._last_at} to {at}")
        self._last_at = at
        held = self._held([sensor for sensor, _ in read])
        ranges_j = {device: range_j for sensor, _ in read for device, range_j in sensor.counter_ranges_j().items()}
        readings = self._carry([reading for _, readings in read for reading in readings], ranges_j)
        sensor_of = {reading.device: sensor for sensor, readings in read for reading in readings}
        samples = [_sample(reading, sensor_of[reading.device], at, held.get(reading.device)) for reading in readings]
        if samples:
            self._keep(samples, uses_now(sensors=[sensor for sensor, _ in read], jobs=self._jobs, at=at))
        self._watts = {s.device: (s.power_w, s.status) for s in samples if s.power_w is not None}

    def _keep(self, samples: Sequence[DeviceSample], uses: Sequence[DeviceUse]) -> None:
        self.measured += len(samples)
        now_s, marks = self._clock.now().timestamp(), self._continuity.marks
        if self._spool.append(samples, now_s=now_s, marks=marks, new_stream=self._new_stream, uses=uses):
            self._new_stream = False

    def _read_replays(self) -> None:
        for name, sensor in list(self._rack.open.items()):
            if sensor.stream is None or sensor.finished or self._spool.holds(REPLAY_BACKLOG):
                continue
            readings = self._read(name, sensor)
            samples = [_sample(reading, sensor, reading.measured_at or "", reading.job) for reading in readings]
            if samples:
                self._spool.append_replayed(sensor.stream, samples, now_s=self._clock.now().timestamp())
                self.measured += len(samples)

    def _read(self, name: str, sensor: Sensor) -> Sequence[Reading]:
        try:
            readings = [_clean(reading) for reading in sensor.read()]
        except Exception as error:  # a driver's failure, whatever its kind, must not stop the other sensors
            log.warning("sensor %s stopped working: %s: %s", name, type(error).__name__, error)
            self._rack.fail(name, error)
            return ()
        return [reading for reading in readings if reading.power_w is not None or reading.energy_j is not None]

    def _carry(self, readings: Sequence[Reading], ranges_j: dict[str, float]) -> list[Reading]:
        uptime_s = self._clock.uptime_s()
        try:
            return self._continuity.follow(readings, ranges_j=ranges_j, uptime_s=uptime_s)
        except CounterBroken as broken:
            self._start_again(str(broken))
            return self._continuity.follow(readings, ranges_j=ranges_j, uptime_s=uptime_s)

    def _start_again(self, why: str) -> None:
        log.info("%s: counters are compared only from here on", why)
        self._new_stream = True
        self._continuity.forget()

    def _held(self, sensors: Sequence[Sensor]) -> dict[str, str]:
        processes = {device: pids for sensor in sensors for device, pids in sensor.processes().items()}
        devices = [device.device for sensor in sensors for device in sensor.devices()]
        return self._jobs.holders(devices, processes)

    def _every_minute(self) -> None:
        if self._rack.open_missing():
            self._continuity.reopened([device.device for device in self._rack.devices()])
            for name, sensor in self._rack.open.items():
                log.info("sensor %s: %s", name, ", ".join(device.device for device in sensor.devices()))
        if not self._rack.open:
            log.error("no sensor works here: `doctor` says why, and what to do")
        counts = self._spool.counts()
        if self.measured:
            modelled = any(status == "modelled" for _, status in self._watts.values())
            now = f", {sum(watts for watts, _ in self._watts.values()):.1f} W now" if self._watts else ""
            how = " (modelled)" if modelled else ""
            log.info(
                "%d samples measured, %d delivered, %d waiting%s%s",
                self.measured, self._courier.delivered, counts["waiting"], now, how,
            )  # fmt: skip
        for complaint in filter(None, (self._spool.trouble, self._jobs.trouble)):
            log.warning("%s", complaint)

    def read_now(self) -> None:
        """Have the next tick read the sensors whatever the interval, as at the edges of a job."""
        self._next_live_s = min(self._next_live_s, self._clock.monotonic_s())

    def pause_s(self) -> float:
        """How long until the next tick has something to do."""
        live_s = max(self._next_live_s - self._clock.monotonic_s(), 0.0)
        playing = any(sensor.stream and not sensor.finished for sensor in self._rack.open.values())
        return min(live_s, REPLAY_POLL_S) if playing else live_s

    def _finished(self, once: bool) -> bool:
        replays = [sensor for sensor in self._rack.open.values() if sensor.stream]
        played = all(sensor.finished for sensor in replays)
        if self._only_replays():
            return played
        return once and played and self.live_ticks >= 2

    def _only_replays(self) -> bool:
        return bool(self._rack.open) and all(sensor.stream for sensor in self._rack.open.values())


def serve(loop: Loop, courier: Courier, stop: threading.Event, *, once: bool = False) -> None:
    """Run the loop here and the courier beside it; when the loop ends, flush for at most three seconds."""
    thread = threading.Thread(target=courier.run, args=(stop,), name="courier", daemon=True)
    thread.start()
    try:
        loop.run(stop, once=once)
    finally:
        stop.set()
        courier.wake.set()
        thread.join(LAST_FLUSH_S + 0.4)


def _sample(reading: Reading, sensor: Sensor, at: str, job: str | None) -> DeviceSample:
    return DeviceSample(
        device=reading.device,
        measured_at=at,
        power_w=reading.power_w,
        energy_j=reading.energy_j,
        utilization=reading.utilization,
        memory_used_bytes=reading.memory_used_bytes,
        job=job,
        source=sensor.source,
        status=sensor.status,
        seq=reading.seq,
    )


def _clean(reading: Reading) -> Reading:
    """What a broken driver calls NaN was not measured."""
    told = (reading.power_w, reading.energy_j, reading.utilization)
    if all(value is None or math.isfinite(value) for value in told):
        return reading
    return replace(
        reading,
        power_w=_finite(reading.power_w),
        energy_j=_finite(reading.energy_j),
        utilization=_finite(reading.utilization),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
