"""A job's own word on itself, from inside your code: `with track("train-42") as job: …`, `@track(…)`, start and stop.

Posts when the job began and ended and which devices it held; meters them where no agent does. Whatever the network or
the server does, the code inside runs on as if nothing were there: nothing of it is raised here, and what could not be
delivered waits on disk for the next run. Standard library only.
"""

import asyncio
import atexit
import functools
import hashlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from accounting.agent.clock import Clock, rfc3339
from accounting.agent.post import Client, ConfigurationError, Token
from accounting.agent.tracking.asking import Asker
from accounting.agent.tracking.footprint import Figure, Footprint, FootprintNotReady, FootprintRefused, Reader
from accounting.agent.tracking.marks import Mark, new_id
from accounting.agent.tracking.options import FLUSH_S, Options, check, folder_of, made_up, plain, server_of, token_of
from accounting.agent.tracking.place import TRACKED_BY, Gpus, job_name, parent_tracks, rank, visible_gpus
from accounting.agent.tracking.station import Measure, Station

__all__ = ["Figure", "Footprint", "FootprintNotReady", "FootprintRefused", "Track", "track"]

POST_TIMEOUT_S = 5.0

log = logging.getLogger("greenai.track")
_stations: dict[tuple[str, ...], Station] = {}
_lock = threading.Lock()
P = ParamSpec("P")
R = TypeVar("R")
_active: ContextVar[tuple["Track", ...]] = ContextVar("greenai_active", default=())
_running: set["Track"] = set()


class Track:
    """One job. A context manager; a decorator, which makes a job of every call; or `start` and `stop` by hand."""

    def __init__(self, options: Options) -> None:
        check(options)
        self._options = options
        self._given = options.job is not None or job_name(os.environ) is not None
        self.job = options.job or job_name(os.environ) or made_up(options.name)
        self._rank, self._gpus = rank(os.environ), Gpus()
        if not self._given and self._rank.processes > 1:
            raise ValueError('the processes of a distributed job need one name: track("train-42", …)')
        self._station: Station | None = None
        self._problem = ""
        self._pid = os.getpid()
        self._mark: Mark | None = None
        self._metered = self._started = False
        self._began_at = ""
        self._guard = threading.RLock()

    # --- running --------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """The job begins. Waits at most a second for the server's word and two for a first reading."""
        with self._guard:
            if not self._started:
                self._started, self._pid = True, os.getpid()
                self._quietly(self._begin)
        return self

    def stop(self) -> None:
        """The job has ended. Delivers for at most `flush_s`; the rest waits on disk."""
        if self._pid != os.getpid():  # a forked child's copy, whose locks nobody may hold any more
            return
        with self._guard:
            if self in _running:
                _running.discard(self)
                self._quietly(self._end)

    def _quietly(self, step: Callable[[], None]) -> None:
        """Whatever goes wrong in here is said, and is not the business of the code that is tracked."""
        try:
            step()
        except Exception as defect:
            self._problem = f"tracking broke down: {type(defect).__name__}: {defect}"
            log.warning("job %s: %s", self.job, self._problem, exc_info=True)

    def _begin(self) -> None:
        if parent_tracks(os.environ, pid=self._pid):
            self._problem = "a parent process tracks this job: nothing is posted here"
            return
        self._station = self._open_station()
        if self._station is None:
            return
        self._gpus = visible_gpus(os.environ)
        self._problem = self._gpus.problem
        self._metered = self._station.begin(self._options.measure, meters=self._rank.speaks_for_host)
        self._began_at = now = rfc3339(Clock().now())
        if outer := _innermost():
            outer._hand_over(now)
        _active.set((*_active.get(), self))
        _running.add(self)
        os.environ[TRACKED_BY] = str(self._pid)
        self._hold(now)

    def _end(self) -> None:
        station, now = self._station, rfc3339(Clock().now())
        assert station is not None
        self._release(now, last=True)
        _active.set(tuple(one for one in _active.get() if one is not self))
        if outer := _innermost():
            outer._hold(now)
        if not _running:
            os.environ.pop(TRACKED_BY, None)
        end_s = time.monotonic() + self._options.flush_s
        meter = station.end(metered=self._metered)
        if not station.flush(max(end_s - time.monotonic(), 0.0)):
            log.info("job %s: its end waits on disk for the server", self.job)
        if meter is not None:
            meter.join(max(end_s - time.monotonic(), 0.0))
            if meter.problem or meter.waiting:
                self._problem = meter.problem or f"{meter.waiting} readings wait on disk for the server"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An exception ends the job as any end does, and goes on."""
        self.stop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """A job a call, of the given name; without one, of the function's."""
        options = replace(self._options, name=self._options.name or function.__qualname__)
        if asyncio.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaiting(*args: P.args, **kwargs: P.kwargs) -> Any:
                with Track(options):
                    return await function(*args, **kwargs)

            return awaiting  # type: ignore[return-value]

        @functools.wraps(function)
        def calling(*args: P.args, **kwargs: P.kwargs) -> R:
            with Track(options):
                return function(*args, **kwargs)

        return calling

    @property
    def problem(self) -> str:
        """Why the ledger lacks something of this job, for people; empty while all is well."""
        return (self._station.problem if self._station else "") or self._problem

    # --- reading back ---------------------------------------------------------------------------------------------

    def footprint(self, wait_s: float = 0.0) -> Footprint:
        """What the ledger has of the job. Once stopped, waits up to `wait_s` until it is complete.

        A server that does not answer gives a footprint that is not complete, and says so.

        Raises:
            FootprintRefused: the token may not read, or there is no server to ask.
        """
        besides = (self.problem,) if self.problem else ()
        return self._reader().read(wait_s=wait_s, ended=self not in _running, besides=besides)

    def co2_eq_emissions(self, *, training_type: str | None = None, geographical_location: str | None = None) -> str:
        """The block for the top of a Hugging Face model card (YAML): emissions in grams, with their source.

        Args:
            training_type: pre-training or fine-tuning; None: the job's kind, where it is one of them.
            geographical_location: where it ran; None: as the server knows its site.

        Raises:
            FootprintRefused: the token may not read, or there is no server to ask.
            FootprintNotReady: nothing is in the ledger yet, or the server does not answer.
        """
        return self._reader().model_card(training_type=training_type, geographical_location=geographical_location)

    def _reader(self) -> Reader:
        options = self._options
        secret = options.read_token or os.environ.get("GREENAI_READ_TOKEN")
        token = Token(secret.strip, "read_token") if secret else None
        try:
            asker = Asker(server_of(options), token or token_of(options))
        except ConfigurationError as error:
            raise FootprintRefused(str(error)) from error
        return Reader(asker, self.job, options.team)

    # --- holding devices ------------------------------------------------------------------------------------------

    def _hand_over(self, now: str) -> None:
        """A job inside this one begins: it holds the devices until it ends, so that nothing is counted twice."""
        with self._guard:
            self._release(now, last=False)

    def _hold(self, now: str) -> None:
        with self._guard:
            every = self._rank.speaks_for_host
            listed = self._gpus.chosen is not None
            if self._station is None or not (every or listed):  # another rank marks this host's devices
                return
            chosen = self._gpus.chosen
            self._mark = Mark(
                new_id(), self._described(), self._station.host, started_at=now, alive_at=now,
                gpus=None if chosen is None else tuple(sorted(chosen)), others=every,
                own=self._options.measure == "always" and self._metered,
            )  # fmt: skip
            self._station.put(self._mark)

    def _release(self, now: str, *, last: bool) -> None:
        mark, self._mark = self._mark, None
        if mark is None or self._station is None:
            return
        ended = {"ended_at": now} if last and self._rank.speaks_for_job else {}
        self._station.put(replace(mark, ended_at=now, alive_at=now, job={**mark.job, **ended}))

    def _described(self) -> dict[str, str | None]:
        options = self._options
        told = {"job": self.job, "name": options.name, "kind": options.kind, "model": options.model}
        owner = {"team": options.team, "project": options.project}
        times = {"started_at": self._began_at} if self._rank.speaks_for_job else {}
        return {**told, **owner, **times}

    def _open_station(self) -> Station | None:
        """None where the configuration does not allow one: said once, and the job runs untracked."""
        options = self._options
        try:
            server, token = server_of(options), token_of(options)
            public = token.value().rpartition("_")[0]  # gai_<public part>: not the secret
            client = Client(server, token, timeout_s=POST_TIMEOUT_S)
        except ConfigurationError as error:
            self._problem = f"not tracked: {error}"
            log.warning("job %s is %s", self.job, self._problem)
            return None
        host = options.host or os.environ.get("GREENAI_HOST") or socket.gethostname()
        key = (server, public, host, str(options.folder or ""))
        with _lock:
            if key not in _stations:
                folder = (
                    folder_of(options)
                    / plain(socket.gethostname())
                    / hashlib.sha256("\n".join(key[:3]).encode()).hexdigest()[:12]
                )
                asker = Asker(server, token)
                _stations[key] = Station(client, asker, host=host, folder=folder, interval_s=options.interval_s)
            return _stations[key]


def track(
    job: str | Callable[..., Any] | None = None,
    *,
    name: str = "",
    kind: str = "",
    model: str = "",
    project: str | None = None,
    team: str | None = None,
    server: str | None = None,
    token: str | None = None,
    read_token: str | None = None,
    host: str | None = None,
    measure: Measure = "auto",
    interval_s: float = 5.0,
    folder: str | os.PathLike[str] | None = None,
    flush_s: float = FLUSH_S,
) -> Any:
    """A job to be tracked. `job` is its key: the scheduler's name where none is given, else one made up.

    Args:
        name, kind, model: what people see; kind is training, fine-tuning, inference …
        project, team: slugs. A team's token is that team; a site's has to be told.
        server, token: else GREENAI_SERVER, and GREENAI_TOKEN_FILE or GREENAI_TOKEN (scope ingest).
        read_token: a team's token of scope read, else GREENAI_READ_TOKEN, else `token`.
        host: this machine's name, where an agent here posts under another; else GREENAI_HOST.
        measure: auto: where no agent posts for this machine. always, never: whatever others do.
        interval_s: between readings.
        folder: where readings and marks wait; else GREENAI_TRACK_DIR, else the user's state folder.
        flush_s: how long the end may take.

    Raises:
        ValueError: an argument that can never work, as `measure="maybe"`.
    """
    options = Options(
        job if isinstance(job, str) else None, name, kind, model, project, team, server, token, read_token, host,
        measure, interval_s, folder, flush_s,
    )  # fmt: skip
    return Track(options)(job) if callable(job) else Track(options)


def _innermost() -> Track | None:
    """The job of this thread or task that holds the devices now."""
    return next((one for one in reversed(_active.get()) if one in _running), None)


def _stop_all() -> None:
    for one in list(_running):
        one.stop()


def _forget_in_child() -> None:
    """A forked child (a data loader's worker) has none of the threads: it posts nothing, whatever it inherited."""
    global _lock
    _lock = threading.Lock()
    _stations.clear()
    _running.clear()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget_in_child)
