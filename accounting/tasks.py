"""What runs in the background. Each task is safe to run twice, and to lose: the database knows what is left to do."""

import time
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from accounting.ingest import imports
from accounting.ledger import gridfeed, rebuild, restate, upgrade
from accounting.ledger.imported import ImportKeeper

_REBUILD_FOR_S = 20.0
_USUAL_LOOK_BACK = timedelta(days=7)
_FETCH_FOR_S = 20.0
_CLIENTS = gridfeed.clients(clock=time.monotonic, today=timezone.now)


@shared_task(name="accounting.rebuild_dirty_hours")
def rebuild_dirty_hours() -> None:
    """Drain the dirty hours, for at most 20 seconds at a time, and close what they restated.

    First what an upgrade changed: after it, no hour is made anew before it is known what stood there.
    """
    upgrade.restate_upgrade(now=timezone.now())
    until = time.monotonic() + _REBUILD_FOR_S
    while time.monotonic() < until and rebuild.rebuild_dirty(now=timezone.now(), limit=rebuild.ROUND):
        pass
    restate.settle(now=timezone.now())


@shared_task(name="accounting.mark_in_service_hours")
def mark_in_service_hours(*, whole_past: bool = False) -> None:
    """Let embodied carbon accrue: mark the open hour, and what is not right in the last week or in all the past."""
    now = timezone.now()
    rebuild.mark_in_service(now=now, since=None if whole_past else now - _USUAL_LOOK_BACK)


@shared_task(name="accounting.fetch_grid_hours")
def fetch_grid_hours() -> None:
    """Ask the providers of feeds that are due, one after another, for about 20 seconds; the rest waits for the next."""
    until = time.monotonic() + _FETCH_FOR_S
    for feed in gridfeed.due(now=timezone.now()):
        if time.monotonic() > until:
            break
        gridfeed.fetch_feed(feed, now=timezone.now(), clients=_CLIENTS)


@shared_task(name="accounting.take_held_files")
def take_held_files() -> None:
    """Take in the files that people confirmed, the oldest first. One that cannot be taken says why, and stays."""
    while held := imports.claim(now=timezone.now()):
        brought = held.file_import
        reason = f"Runs of {held.file_name} were imported (import {brought.pk})"
        try:
            imports.go_on(
                held, keeper=ImportKeeper(reason=reason, actor=held.held_by, now=timezone.now()), now=timezone.now()
            )
        except Exception as error:
            imports.fail(brought, str(error))
            raise
