"""`rebuild_ledger`: make every hour of the ledger anew, after a setting changed that restates nothing by itself."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounting.ledger.rebuild import rebuild_everything


class Command(BaseCommand):
    help = "Rebuild every hour from raw samples (sealed hours from their energy rows). Reads every sample; safe to stop"

    def handle(self, *args: Any, **options: Any) -> None:
        done = rebuild_everything(now=timezone.now())
        self.stdout.write(f"{done} device-hours rebuilt")
