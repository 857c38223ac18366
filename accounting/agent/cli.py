"""The command line: run, status, doctor, flush. Exit codes: 0 well, 1 something is wrong, 2 asked for wrongly."""

import argparse
import json
import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accounting.agent import VERSION
from accounting.agent.clock import Clock, machine_boot_id
from accounting.agent.courier import POST_EVERY_S, Announcement, Courier
from accounting.agent.jobs import JobFinder
from accounting.agent.logs import log_to_stdout
from accounting.agent.loop import Loop, serve
from accounting.agent.post import Client, ConfigurationError, Token
from accounting.agent.report import doctor, show, status
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack, UnknownSensor
from accounting.agent.slurm_epilog import DEVICES, Epilog
from accounting.agent.spool import Spool
from accounting.agent.spoolfile import SpoolBusy, only_agent

if TYPE_CHECKING:
    from accounting.agent.tracking.station import Station

MADE_BY_TRACK = "track.host"  # a file in the folders that `track` keeps, with this machine's name
WELL, WRONG, MISUSED = 0, 1, 2
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}

log = logging.getLogger("greenai.agent")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except (ConfigurationError, UnknownSensor, SpoolBusy) as error:
        print(json.dumps({"error": str(error)}) if options.json else f"greenai-agent: {error}", file=sys.stderr)
        return MISUSED
    except BrokenPipeError:  # the reader of our output has gone, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WRONG
    return code


def _run(options: argparse.Namespace) -> int:
    log_to_stdout(as_json=options.json)
    client, rack = _client(options), _rack(options)
    stop = _stop_on_signal()
    rack.open_missing()
    _refuse_unplayable(rack)
    with only_agent(options.spool):
        spool = Spool(options.spool, machine_boot=machine_boot_id())
        with suppress(sqlite3.Error):  # a full disk: `status` will know less, and nothing else is lost
            spool.note(server=client.url, host=options.host, sensors=json.dumps(rack.states()))
        log.info("greenai-agent %s on %s, posting to %s, spool %s", VERSION, options.host, client.url, options.spool)
        for name, sensor in rack.open.items():
            devices = ", ".join(device.device for device in sensor.devices())
            log.info("sensor %s (%s): %s", name, sensor.status, devices)
        clock = Clock()
        courier = Courier(
            spool,
            client.post,
            agent_id=options.agent_id,
            host=options.host,
            clock=clock,
            post_every_s=options.post_every,
        )
        jobs = JobFinder(env_job=os.environ.get("GREENAI_JOB_ID") or None, path=options.job_file)
        loop = Loop(rack, spool, courier, interval_s=options.interval, jobs=jobs, clock=clock)
        serve(loop, courier, stop, once=options.once)
        waiting = spool.counts()["waiting"]
        log.info("stopped; %d samples measured, %d delivered, %d waiting", loop.measured, courier.delivered, waiting)
        spool.close()
    failed = courier.defect or (options.once and (waiting or not loop.measured))
    return WRONG if failed else WELL


def _flush(options: argparse.Namespace) -> int:
    """Also what `track` left behind in a folder of its own: marks of jobs, and readings unless an agent posts them."""
    log_to_stdout(as_json=options.json)
    client = _client(options)
    station = _left_by_track(options, client)
    if station and not (options.spool / "spool.sqlite3").exists():
        done = station.flush(options.timeout)
        show({"marks_waiting": station.left()}, as_json=options.json)
        return WELL if done else WRONG
    spool = _existing_spool(options.spool)
    if options.parked:
        log.info("%d parked samples are put back", spool.unpark())
    facts = spool.facts()
    tracked = facts.get("agent_id")
    asks = station is not None and not options.parked
    courier = Courier(
        spool,
        station.post_readings if station and asks else client.post,
        agent_id=tracked or options.agent_id,
        host=facts["host"] if tracked else options.host,
        clock=Clock(),
    )
    courier.announce(Announcement(sensors=json.loads(facts.get("sensors", "{}"))))
    done = courier.drain(deadline_s=options.timeout)
    told: dict[str, Any] = {"delivered": courier.delivered, **spool.counts()}
    if station:
        done = station.flush(options.timeout) and done
        told["marks_waiting"] = station.left()
    show(told, as_json=options.json)
    return WELL if done else WRONG


def _job_ended(options: argparse.Namespace) -> int:
    """In Slurm's epilog: exit code 0 whatever happens, for another drains the node."""
    try:
        client = Client(options.server or "", Token.find(options.token_file), timeout_s=2.0)
        told = Epilog(client, options.spool / "slurm", options.gather, options.team, options.project)
        print(f"greenai-agent: {told.tell(os.environ)}", file=sys.stderr)
    except Exception as error:  # also what nobody foresaw
        print(f"greenai-agent: the end of the job is not told: {error}", file=sys.stderr)
    return WELL


def _left_by_track(options: argparse.Namespace, client: Client) -> "Station | None":
    """Who delivers what is in a folder of `track`; None for an agent's own."""
    if not (options.spool / MADE_BY_TRACK).exists():
        return None
    from accounting.agent.tracking.asking import Asker  # an agent that runs for months need not hold these
    from accounting.agent.tracking.station import Station

    asker = Asker(options.server, Token.find(options.token_file))
    host = (options.spool / MADE_BY_TRACK).read_text().strip()
    return Station(client, asker, host=host, folder=options.spool, interval_s=5.0)


def _status(options: argparse.Namespace) -> int:
    facts, well = status(_existing_spool(options.spool), options.spool)
    show(facts, as_json=options.json)
    return WELL if well else WRONG


def _doctor(options: argparse.Namespace) -> int:
    rack = _rack(options)
    client = _client(options) if options.server else None
    findings, well = doctor(rack, options.spool, client)
    show(findings, as_json=options.json)
    return WELL if well else WRONG


def _rack(options: argparse.Namespace) -> Rack:
    return Rack(options.sensor or ["auto"], here=Machine(cpu_tdp_w=options.cpu_tdp_w), replay_speed=options.speed)


def _client(options: argparse.Namespace) -> Client:
    if not options.server:
        raise ConfigurationError("no server: give --server URL or set GREENAI_SERVER")
    token = Token.find(options.token_file)
    token.value()  # a wrong path is better said now than a minute later
    return Client(options.server, token)


def _existing_spool(folder: Path) -> Spool:
    if not (folder / "spool.sqlite3").exists():
        raise ConfigurationError(f"no spool in {folder}: give the --spool that `run` was given")
    spool = Spool(folder, machine_boot=None)
    if spool.trouble:
        raise ConfigurationError(spool.trouble)
    return spool


def _refuse_unplayable(rack: Rack) -> None:
    for name, unavailable in rack.unavailable.items():
        if name.startswith("replay:"):
            raise ConfigurationError(f"{unavailable.reason}; {unavailable.remedy}")


def _stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set. A thread waits for them, so that none arrives in the middle of a lock."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    stop = threading.Event()

    def wait() -> None:
        signal.sigwait(STOP_SIGNALS)
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="greenai-agent", description="Measures this host and posts it to GreenAI.")
    parser.add_argument("--version", action="version", version=f"greenai-agent {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--json", action="store_true", help="write JSON instead of text")
    every.add_argument("--spool", type=Path, default=_default_spool(), metavar="DIR", help="default: %(default)s")

    target = argparse.ArgumentParser(add_help=False)
    target.add_argument("--server", default=os.environ.get("GREENAI_SERVER"), metavar="URL", help="or GREENAI_SERVER")
    target.add_argument(
        "--token-file", metavar="FILE", help="- reads standard input; or GREENAI_TOKEN_FILE, or GREENAI_TOKEN"
    )
    target.add_argument("--host", default=socket.gethostname(), metavar="NAME", help="default: %(default)s")
    target.add_argument("--agent-id", default="greenai-agent", metavar="ID", help="default: %(default)s")

    sensors = argparse.ArgumentParser(add_help=False)
    sensors.add_argument(
        "--sensor",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="auto (the default), nvml, rapl, codecarbon, procstat, replay:FILE",
    )
    sensors.add_argument("--speed", type=_number(0, 1e6), default=0.0, help="of a replay: 1 its own pace, 0 no pauses")
    sensors.add_argument(
        "--cpu-tdp-w", type=_number(1, 10_000), metavar="W", help="all sockets, for modelled CPU power"
    )

    run = commands.add_parser("run", parents=[every, target, sensors], help="measure and post until stopped")
    run.add_argument("--interval", type=_number(0.1, 60), default=5.0, metavar="S", help="seconds; default 5")
    run.add_argument(
        "--post-every",
        type=_number(1, 300),
        default=os.environ.get("GREENAI_POST_EVERY_S") or f"{POST_EVERY_S:g}",  # checked like the option
        metavar="S",
        help="seconds between posts, or GREENAI_POST_EVERY_S; default %(default)s",
    )
    run.add_argument("--once", action="store_true", help="two readings, an interval apart, then stop")
    run.add_argument("--job-file", type=Path, metavar="PATH", help="names the job that holds this host; or a folder")
    run.set_defaults(command=_run)

    ended = commands.add_parser("job-ended", parents=[every, target], help="in Slurm's epilog: tell that the job ended")
    ended.add_argument("--gather", choices=sorted(DEVICES), default="node", help="what AcctGatherEnergyType measures")
    ended.add_argument("--team", metavar="SLUG", help="the job's team, where a site's token posts")
    ended.add_argument("--project", metavar="SLUG", help="the job's project")
    ended.set_defaults(command=_job_ended)
    commands.add_parser("status", parents=[every], help="how delivery goes").set_defaults(command=_status)
    inspect = commands.add_parser("doctor", parents=[every, target, sensors], help="what works here, and why not")
    inspect.set_defaults(command=_doctor)
    flush = commands.add_parser("flush", parents=[every, target], help="post whatever waits, now")
    flush.add_argument("--parked", action="store_true", help="also what the server refused before")
    flush.add_argument("--timeout", type=_number(1, 86_400), default=60.0, metavar="S", help="seconds; default 60")
    flush.set_defaults(command=_flush)
    return parser


class _number:
    """An argparse type: a number between two others."""

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not self._least <= value <= self._most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number between {self._least:g} and {self._most:g}")
        return value


def _default_spool() -> Path:
    """systemd's StateDirectory, else the usual place for root or for a user."""
    if folder := os.environ.get("GREENAI_SPOOL") or os.environ.get("STATE_DIRECTORY"):
        return Path(folder)
    if os.geteuid() == 0:
        return Path("/var/lib/greenai-agent")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "greenai-agent"
