"""Meters this machine for the ledger during an experiment where no agent does: the agent's own parts, in two threads.

It names devices as an agent on this host would and posts under the same kind of source, so an agent that is started
meanwhile speaks of the same devices, and the ledger still counts each of them once. Its queue lies on disk: what the
server did not take is posted with the next experiment.
"""

import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from accounting.agent.clock import Clock, machine_boot_id
from accounting.agent.courier import Courier
from accounting.agent.jobs import JobFinder
from accounting.agent.loop import Loop, serve
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack
from accounting.agent.spool import Spool
from accounting.agent.spoolfile import SpoolBusy, only_agent
from accounting.models import Agent
from optimizer.worker.marks import Post

INTERVAL_S = 1.0  # an experiment's edges are known to one of these
FIRST_READINGS = 2  # a load model has nothing to say before its second
SETTLE_S = 10.0  # opening a sensor may load a library; twice this is well within a lease
STOP_LIMIT_S = 5.0
AGENT_SEEN_WITHIN = timedelta(minutes=6)  # it may post every five

log = structlog.get_logger()


def agent_is_alive(host_name: str, *, now: datetime) -> bool:
    """Whether an agent of a host of this name was heard of within AGENT_SEEN_WITHIN.

    The name counts, whoever's token it came under: one machine may be metered under another team's, and energy that is
    missing is shown, where energy that is there twice is not.
    """
    agents = Agent.objects.filter(host__name=host_name, last_seen_at__gt=now - AGENT_SEEN_WITHIN)
    return agents.exclude(key__in=Agent.PASSING_KEYS).exists()


class StandIn:
    """Measures and posts while a `with` block lasts: from before its first line to after its last."""

    def __init__(self, *, post: Post, host_name: str, folder: Path) -> None:
        """`folder` is its queue's own, kept between experiments."""
        self.problem = ""  # why the ledger lacks some of it, for people
        self._post, self._host_name, self._folder = post, host_name, folder
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._loop: Loop | None = None
        self._thread = threading.Thread(target=self._run, name="stand-in", daemon=True)

    def __enter__(self) -> "StandIn":
        self._thread.start()
        self._begun.wait(SETTLE_S)
        self._wait_for_readings(FIRST_READINGS, limit_s=SETTLE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._wait_for_readings(1, limit_s=3 * INTERVAL_S)
        self._stop.set()
        self._thread.join(STOP_LIMIT_S)

    def _wait_for_readings(self, more: int, *, limit_s: float) -> None:
        """Until so many more rounds of readings were taken; not at all where nothing measures."""
        if self._loop is None:
            return
        target, deadline_s = self._loop.live_ticks + more, time.monotonic() + limit_s
        while self._thread.is_alive() and self._loop.live_ticks < target and time.monotonic() < deadline_s:
            time.sleep(INTERVAL_S / 50)

    def _run(self) -> None:
        try:
            with only_agent(self._folder):
                self._measure()
        except SpoolBusy:  # the worker of a second process on this machine: it meters for both
            log.info("another process meters this machine for the ledger", folder=str(self._folder))
        finally:
            self._begun.set()

    def _measure(self) -> None:
        rack = open_rack()
        if not rack.open:
            self.problem = "Its energy is not in the ledger: no sensor works on this machine."
            return
        clock, spool = Clock(), Spool(self._folder, machine_boot=machine_boot_id())
        courier = Courier(spool, self._post, agent_id=Agent.STAND_IN_KEY, host=self._host_name, clock=clock)
        self._loop = Loop(rack, spool, courier, interval_s=INTERVAL_S, jobs=JobFinder(), clock=clock)
        self._begun.set()
        try:
            serve(self._loop, courier, self._stop)
            if courier.defect or (waiting := spool.counts()["waiting"]):
                what = courier.defect or f"{waiting} readings wait for the server, which gets them with the next one"
                self.problem = f"Its energy is not wholly in the ledger: {what}."
        finally:
            rack.close()
            spool.close()


def open_rack() -> Rack:
    """The sensors that an agent would use here, the best for each kind of device."""
    rack = Rack(["auto"], here=Machine())
    rack.open_missing()
    return rack
