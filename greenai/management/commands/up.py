"""`manage.py up`: the whole product on this machine, as children of one command."""

import fcntl
import os
import socket
import sys
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounting.access import one_time_login
from greenai.bootstrap import Installation, prepare
from greenai.supervise import Child, Supervisor

LINK_VALID_FOR = timedelta(hours=24)


class Command(BaseCommand):
    help = "Migrate, then run web server, ledger worker, beat, this machine's hardware worker and its agent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=os.environ.get("GREENAI_HOST", "127.0.0.1"), help="address to listen on")
        parser.add_argument("--port", type=int, default=int(os.environ.get("GREENAI_PORT", "8000")))
        parser.add_argument("--no-agent", action="store_true", help="do not measure this machine")
        parser.add_argument("--no-hardware", action="store_true", help="do not run experiments on this machine")

    def handle(self, *, host: str, port: int, no_agent: bool, no_hardware: bool, **options: Any) -> None:
        lock = _only_one(settings.DATA_DIR)
        _check_port(host, port)
        url = os.environ.get("GREENAI_BASE_URL") or f"http://{_reachable(host)}:{port}"
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        now = timezone.now()
        installation = prepare(data_dir=settings.DATA_DIR, now=now)
        secret = one_time_login(installation.administrator, valid_for=LINK_VALID_FOR, now=now)
        children = _children(installation, host=host, port=port, url=url)
        if no_agent:
            children = [child for child in children if child.name != "agent"]
        if no_hardware:
            children = [child for child in children if child.name != "hardware"]
        self.stdout.write(
            f"\n  GreenAI     {url}\n"
            f"  Sign in     {url}/login/once/{secret}\n"
            f"              (works once, within 24 hours, as {installation.administrator.username})\n"
            f"  Data        {settings.DATA_DIR}\n"
            "  Stop        Ctrl-C; start again with the same command, the data stays\n\n"
        )
        self.stdout.flush()
        try:
            Supervisor(children, write=self._line).run()
        finally:
            lock.close()
        self.stdout.write("GreenAI stopped.")

    def _line(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _children(installation: Installation, *, host: str, port: int, url: str) -> list[Child]:
    python, token = sys.executable, str(installation.token_file)
    env = {"GREENAI_BASE_URL": url, "DJANGO_SETTINGS_MODULE": "greenai.settings"}
    celery = [python, "-m", "celery", "--quiet", "-A", "greenai"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    beat_files = ["-s", f"{settings.DATA_DIR}/beat", "--pidfile="]
    web = [python, "-m", "gunicorn", "greenai.wsgi", "-k", "gthread", "--threads", "8", "--no-control-socket"]
    agent = [python, "-m", "accounting.agent", "run", "--server", url, "--token-file", token]
    return [
        Child("web", [*web, "--bind", f"{host}:{port}", "--access-logfile", os.devnull], env),
        *(
            Child(
                name, [*celery, "worker", "-Q", "ledger", "-P", "solo", "-n", f"{name}@%h", "-l", "info", *quiet], env
            )
            for name in _ledger_workers()
        ),
        Child("beat", [*celery, "beat", "-l", "warning", *beat_files], env),
        Child(
            "hardware",
            [python, "manage.py", "hardware_worker", "--approve"],
            {**env, "GREENAI_TOKEN_FILE": token},
        ),
        Child("agent", [*agent, "--spool", str(settings.DATA_DIR / "spool")], env),
    ]


def _ledger_workers() -> list[str]:
    """Processes of their own, so that they end with the supervisor: `ledger`, `ledger-2`, …"""
    return ["ledger", *(f"ledger-{k}" for k in range(2, settings.GREENAI["ledger_workers"] + 1))]


def _only_one(data_dir: Path) -> IO[str]:
    """Hold a lock on the data folder for as long as the file is open.

    Raises:
        CommandError: another `up` runs on this data.
    """
    lock = (data_dir / "up.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(
            f"GreenAI already runs on {data_dir}. Stop it first, or set GREENAI_DATA_DIR to another folder."
        ) from None
    return lock


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port} ({error.strerror}). "
                "Free it, or choose another: GREENAI_PORT=8001 make run"
            ) from None


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host
