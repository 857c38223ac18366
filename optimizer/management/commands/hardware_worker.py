"""`manage.py hardware_worker`: let this machine run experiments."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone


class Command(BaseCommand):
    help = "Register this machine and run the experiments that are sent to it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", help="default: the host name, as this machine's agent gives it")
        parser.add_argument("--approve", action="store_true", help="do not wait for an administrator")

    def handle(self, *, name: str | None, approve: bool, **options: Any) -> None:
        from optimizer.worker.register import this_host_name
        from optimizer.worker.serve import serve  # the rooms that may load torch

        serve(name=name or this_host_name(), approve=approve, clock=timezone.now, say=self._say)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
