"""`manage.py prepare`: migrate and make what a new installation starts with, without starting anything."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils import timezone

from greenai.bootstrap import prepare


class Command(BaseCommand):
    help = "Migrate, then make the first site, team, administrator and agent token where they are missing."

    def handle(self, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=1)
        installation = prepare(data_dir=settings.DATA_DIR, now=timezone.now())
        self.stdout.write(f"Site {installation.site}, team {installation.team}.")
        self.stdout.write(f"Agent token: {installation.token_file}")
        self.stdout.write("Sign in: python manage.py login_link")
