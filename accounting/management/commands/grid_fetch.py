"""`grid_fetch [--all]`: ask the providers of hourly grid intensity now, and say what came of it."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounting.ledger import gridfeed
from accounting.models import GridFeed


class Command(BaseCommand):
    help = "Fetch feeds that are due; beat does the same every few minutes"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="every feed that is switched on, due or not")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        feeds = list(GridFeed.objects.filter(enabled=True)) if options["all"] else gridfeed.due(now=now)
        asked = gridfeed.clients(clock=time.monotonic, today=timezone.now)
        failed = 0
        for feed in feeds:
            stored = gridfeed.fetch_feed(feed, now=now, clients=asked)
            feed.refresh_from_db()
            failed += stored is None
            outcome = (
                f"{stored.added} new, {stored.replaced} replaced" if stored else feed.last_error or "in hand elsewhere"
            )
            self.stdout.write(f"{feed}: {outcome}")
        if not feeds:
            self.stdout.write("No feed is due")
        if failed:
            raise CommandError(f"{failed} of {len(feeds)} feeds failed")
