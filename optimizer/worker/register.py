"""This machine makes itself known: who it is, what it can do, and every few seconds that it still lives."""

import hashlib
import json
import re
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from django.db import DatabaseError, connection, transaction

from accounting.access import AccessDenied, audit, authenticate
from accounting.agent.post import ConfigurationError, Token
from accounting.models import Host
from optimizer.models import Hardware

PROBE_LIMIT_S = 180.0
MACHINE_ID = Path("/etc/machine-id")

log = structlog.get_logger()


class ProbeFailed(RuntimeError):
    """The machine could not be asked what it can do; the message has the probe's last words."""


def machine_key(*, host_name: str) -> str:
    """A name for this machine that survives restarts and is fit for a queue: its host name and a fingerprint."""
    stable = MACHINE_ID.read_text().strip() if MACHINE_ID.exists() else f"{uuid.getnode():012x}"
    fingerprint = hashlib.sha256(f"{stable}:{host_name}".encode()).hexdigest()[:10]
    return f"{re.sub('[^a-z0-9]+', '-', host_name.lower()).strip('-')[:60]}-{fingerprint}"


def probe(*, import_from: Path) -> dict[str, Any]:
    """What this machine can do. A few seconds: a process of its own loads torch.

    Raises:
        ProbeFailed: it ended without an answer, or took too long.
    """
    command = [sys.executable, "-m", "optimizer.worker.probe"]
    try:
        done = subprocess.run(
            command, cwd=import_from, capture_output=True, text=True, check=True, timeout=PROBE_LIMIT_S
        )
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        last = getattr(error, "stderr", "") or ""
        raise ProbeFailed(f"{' '.join(command)}: {error} {last[-1000:]}".strip()) from error


@transaction.atomic
def register(*, name: str, key: str, capabilities: dict[str, Any], approve: bool, now: datetime) -> Hardware:
    """Make or update this machine's row. Its state stays as an administrator left it.

    Args:
        approve: let a machine in that waits for approval; `manage.py up` does so for its own.
    """
    hardware, _ = Hardware.objects.get_or_create(key=key, defaults={"name": name})
    hardware.name, hardware.capabilities, hardware.heartbeat_at = name, capabilities, now
    if approve and hardware.state == Hardware.State.PENDING:
        hardware.state, hardware.approved_at = Hardware.State.APPROVED, now
        audit(actor="hardware_worker --approve", action="hardware.approved", subject=hardware)
    hardware.save()
    return hardware


def host_of(name: str, token: Token | None, *, now: datetime) -> Host | None:
    """This machine in the fleet: of the site or team that the token speaks for; None until an agent has posted."""
    if token is None:
        return None
    try:
        owner = authenticate(f"Bearer {token.value()}", scope="ingest", now=now)
    except (AccessDenied, ConfigurationError) as error:
        log.warning("the token does not tell where this machine stands", reason=str(error))
        return None
    return Host.objects.filter(name=name, site=owner.site, team=owner.team).first()


class Heartbeat:
    """A thread that writes signs of life, and links the machine to its host in the fleet once that is known."""

    def __init__(
        self,
        hardware: Hardware,
        *,
        host_name: str,
        token: Token | None,
        every_s: float,
        clock: Callable[[], datetime],
        chore: Callable[[], object] = lambda: None,
    ) -> None:
        """`chore` is done after each sign of life; it must not block for long."""
        self._hardware, self._host_name, self._token = hardware, host_name, token
        self._every_s, self._clock, self._chore = every_s, clock, chore
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def beat(self) -> None:
        now = self._clock()
        changes: dict[str, object] = {"heartbeat_at": now}
        if self._hardware.host_id is None and (host := host_of(self._host_name, self._token, now=now)):
            self._hardware.host = changes["host"] = host
        Hardware.objects.filter(pk=self._hardware.pk).update(**changes)

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._every_s):
                try:
                    self.beat()
                    self._chore()
                except DatabaseError as error:  # it comes back; until then the machine counts as silent
                    log.warning("no sign of life could be written", reason=str(error))
                    connection.close()
        finally:
            connection.close()


def this_host_name() -> str:
    return socket.gethostname()
