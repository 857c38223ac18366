"""`manage.py login_link [USERNAME]`: a way in for whoever holds the server, when a password is lost or not yet set."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounting.access import one_time_login
from accounting.models import User
from greenai.bootstrap import first_administrator


class Command(BaseCommand):
    help = "Print a link that signs one person in, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="?", help="default: the first administrator")
        parser.add_argument("--hours", type=float, default=24.0, help="how long the link works")

    def handle(self, *, username: str | None, hours: float, **options: Any) -> None:
        user = User.objects.filter(username=username, is_active=True).first() if username else first_administrator()
        if user is None:
            raise CommandError(
                f"No active user {username!r}." if username else "No administrator yet: manage.py prepare"
            )
        secret = one_time_login(user, valid_for=timedelta(hours=hours), now=timezone.now())
        self.stdout.write(f"{settings.BASE_URL}/login/once/{secret}")
