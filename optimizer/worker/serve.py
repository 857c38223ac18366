"""The process that waits for experiments on this machine: registered, heard from every few seconds, stopped cleanly."""

from collections.abc import Callable
from datetime import datetime

import structlog
from celery import current_app
from celery.signals import worker_shutting_down
from django.conf import settings

from accounting.agent.post import ConfigurationError, Token
from optimizer.models import Hardware
from optimizer.worker import marks, register, sandbox
from optimizer.worker.run import STOP

log = structlog.get_logger()


def serve(*, name: str, approve: bool, clock: Callable[[], datetime], say: Callable[[str], object]) -> None:
    """Register this machine, then consume its queue until SIGTERM or SIGINT. A running experiment is handed back."""
    sandbox.remove_left_over()
    hardware = enrol(name=name, approve=approve, now=clock())
    say(standing(hardware))
    worker_shutting_down.connect(_stop, weak=False)
    post, notes = marks.post_to(settings.BASE_URL), marks.folder_of(hardware, settings.DATA_DIR)
    beat = register.Heartbeat(
        hardware,
        host_name=name,
        token=_token(),
        every_s=settings.GREENAI["heartbeat_s"],
        clock=clock,
        chore=lambda: post and marks.send_left_over(notes, post=post),
    )
    with beat:
        beat.beat()
        only_this_queue = ["worker", "-Q", hardware.queue, "-n", f"hardware-{hardware.key}@%h", "--pool", "solo"]
        alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        current_app.worker_main(["--quiet", *only_this_queue, *alone, "-l", "info"])


def enrol(*, name: str, approve: bool, now: datetime) -> Hardware:
    key = register.machine_key(host_name=name)
    able = register.probe(import_from=settings.BASE_DIR)
    return register.register(name=name, key=key, capabilities=able, approve=approve, now=now)


def standing(hardware: Hardware) -> str:
    """What an operator has to know of the machine's state."""
    match hardware.state:
        case Hardware.State.APPROVED:
            return f"{hardware.name} is registered and runs experiments from the queue {hardware.queue}."
        case Hardware.State.RETIRED:
            return (
                f"{hardware.name} is retired and gets no experiment until an administrator approves it under Hardware."
            )
    return f"{hardware.name} is registered and waits for approval: {settings.BASE_URL}/hardware/"


def _token() -> Token | None:
    try:
        return Token.find(None)
    except ConfigurationError as error:
        log.warning("this machine's place in the fleet stays unknown", reason=str(error))
        return None


def _stop(**_: object) -> None:
    STOP.set()
