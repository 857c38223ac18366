"""What runs in the background. Each task is safe to run twice, and to lose: the database knows what is left to do."""

import time
from datetime import timedelta
from functools import partial

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from accounting.ingest import imports, intake, partitions, retirement
from accounting.ledger import gridfeed, rebuild, restate, sealing, upgrade
from accounting.ledger.imported import ImportKeeper

_REBUILD_FOR_S = 20.0
_USUAL_LOOK_BACK = timedelta(days=7)
_FETCH_FOR_S = 20.0
_RETIRE_FOR_S = 60.0
_CLIENTS = gridfeed.clients(clock=time.monotonic, today=timezone.now)


@shared_task(name="accounting.rebuild_dirty_hours")
def rebuild_dirty_hours() -> None:
    """Drain the hours that are dirty now, for at most 20 seconds at a time, and close what they restated.

    First what an upgrade changed: after it, no hour is made anew before it is known what stood there. Then twice what
    is dirty by then: hours that readings make dirty again after that are for the next nudge, else a busy fleet would
    keep a worker at them for ever.
    """
    upgrade.restate_upgrade(now=timezone.now())
    until = time.monotonic() + _REBUILD_FOR_S
    for _ in range(2):
        began = timezone.now()
        while time.monotonic() < until and rebuild.rebuild_dirty(
            now=timezone.now(), limit=rebuild.ROUND, marked_until=began
        ):
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
        reason = f"runs of {held.file_name} were imported (import {brought.pk})"
        try:
            imports.go_on(
                held, keeper=ImportKeeper(reason=reason, actor=held.held_by, now=timezone.now()), now=timezone.now()
            )
        except Exception as error:
            imports.fail(brought, str(error))
            raise


@shared_task(name="accounting.fold_intake")
def fold_intake() -> None:
    """Add up the counts of what came in more than a day ago."""
    intake.fold_intake(now=timezone.now())


@shared_task(name="accounting.make_sample_days")
def make_sample_days() -> None:
    """Make the sample table's days of today and the days to come (PostgreSQL)."""
    partitions.ensure_ahead(now=timezone.now())


@shared_task(name="accounting.retire_raw_samples")
def retire_raw_samples() -> None:
    """Take away raw samples that are older than the policy keeps, once what rests on them is built and sealed.

    A minute at a time; what is left, or cannot go yet because of a dirty hour, is for the next.
    """
    now, until = timezone.now(), time.monotonic() + _RETIRE_FOR_S
    if keep_days := settings.GREENAI["raw_retention_days"]:
        retirement.advance(now=now, keep_days=keep_days, ready=partial(sealing.ready, now=now))
    stretch = retirement.sealing()
    if stretch and sealing.seal(*stretch, now=now, hold=retirement.hold):
        retirement.settle()
    retirement.drop(going_on=lambda: time.monotonic() < until)
