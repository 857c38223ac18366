"""Meters this machine from inside a process while one of its jobs runs: the agent's own parts, in two threads.

It names devices as an agent on this host would, so one that is started meanwhile speaks of the same devices and the
ledger still counts each of them once. Of several processes on a machine one meters, whoever holds the queue's lock;
when it ends, the next takes over. A reading is taken at each edge of a job, whatever the interval.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from accounting.agent.clock import Clock, machine_boot_id
from accounting.agent.courier import LAST_FLUSH_S, Courier
from accounting.agent.jobs import JobFinder
from accounting.agent.loop import Loop
from accounting.agent.post import Outcome
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack
from accounting.agent.spool import Spool
from accounting.agent.spoolfile import SpoolBusy, only_agent
from accounting.agent.wire import DeviceInfo, TelemetryBatch

AGENT_ID = "greenai-track"
SECOND_READING_S = 0.2  # a load model has nothing to say before its second
TAKE_OVER_S = 1.0  # how often a process that does not meter asks whether it should

log = logging.getLogger("greenai.track")


class Meter:
    """Started for the first job of a process, stopped with the last."""

    def __init__(
        self, *, post: Callable[[TelemetryBatch], Outcome], host: str, folder: Path, interval_s: float
    ) -> None:
        self.begun = threading.Event()  # the first readings are taken, or will not be
        self.problem = ""
        self.waiting = 0  # readings that the server does not have yet
        self._post, self._host, self._folder, self._interval_s = post, host, folder, interval_s
        self._stop, self._wake = threading.Event(), threading.Event()
        self._edge = False
        self._thread = threading.Thread(target=self._run, name="greenai-meter", daemon=True)
        self._thread.start()

    def read_now(self) -> None:
        """A job begins or ends here."""
        self._edge = True
        self._wake.set()

    def stop(self) -> None:
        """Take a last reading, deliver what can be delivered, end. Returns at once; `join` waits."""
        self._stop.set()
        self._wake.set()

    def join(self, limit_s: float) -> None:
        self._thread.join(limit_s)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    with only_agent(self._folder):
                        self._measure()
                    return
                except SpoolBusy:  # another process of this machine meters for both
                    self.begun.set()
                    self._stop.wait(TAKE_OVER_S)
        except Exception as defect:
            self.problem = f"metering broke down: {type(defect).__name__}: {defect}"
            log.warning("%s; the job itself goes on", self.problem, exc_info=True)
        finally:
            self.begun.set()

    def _measure(self) -> None:
        rack, clock = open_rack(), Clock()
        if not rack.open:
            self.problem = "no sensor works on this machine"
            return
        spool = Spool(self._folder, machine_boot=machine_boot_id())
        courier = Courier(spool, self._post, agent_id=AGENT_ID, host=self._host, clock=clock)
        loop = Loop(rack, spool, courier, interval_s=self._interval_s, jobs=JobFinder(), clock=clock)
        over = threading.Event()
        delivery = threading.Thread(target=_deliver, args=(courier, over, spool), name="greenai-courier", daemon=True)
        try:
            with suppress(sqlite3.Error):
                spool.note(agent_id=AGENT_ID, host=self._host)
            delivery.start()
            self._follow(loop)
            courier.hurry()
            over.set()
            courier.wake.set()
            delivery.join(LAST_FLUSH_S + 0.4)  # a server that hangs does not keep the next job from being metered
            self.waiting = loop.measured - courier.delivered
            self.problem = f"delivery broke down: {courier.defect}" if courier.defect else spool.trouble
        finally:
            over.set()
            courier.wake.set()
            rack.close()

    def _follow(self, loop: Loop) -> None:
        _tick(loop)
        self._stop.wait(SECOND_READING_S)
        self._edge = True
        while not self._stop.is_set():
            self._read(loop)
            self.begun.set()
            self._wake.wait(loop.pause_s())
            self._wake.clear()
        self._edge = True
        self._read(loop)

    def _read(self, loop: Loop) -> None:
        if self._edge:
            self._edge = False
            loop.read_now()
        _tick(loop)


def open_rack() -> Rack:
    """The sensors that an agent would use here, the best for each kind of device."""
    rack = Rack(["auto"], here=Machine())
    rack.open_missing()
    return rack


def devices_here() -> list[DeviceInfo]:
    """What an agent here would meter."""
    rack = open_rack()
    try:
        return rack.devices()
    finally:
        rack.close()


def _deliver(courier: Courier, over: threading.Event, spool: Spool) -> None:
    try:
        courier.run(over)
    finally:
        spool.close()


def _tick(loop: Loop) -> None:
    try:
        loop.tick()
    except sqlite3.Error as error:
        log.warning("a reading could not be kept: %s", error)
