"""Several workers on one ledger, killed at any moment. PostgreSQL only: SQLite has one writer at a time."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction

from accounting.ledger import rebuild, worklist
from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.models import DirtyHour, EnergyHour, LedgerHour, Team, TeamDay
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, hold, ledger, post, wipe

ROOT = Path(__file__).resolve().parents[3]
WORKERS, DEVICES = 3, 12
# A worker as Celery would run it, in small steps, so that a kill finds it anywhere in them.
PROGRAM = """
import django; django.setup()
from datetime import datetime
from accounting.ledger import rebuild
rebuild.CHUNK, rebuild.ROUND = 5, 20
while True:
    rebuild.rebuild_dirty(now=datetime.fromisoformat({now!r}))
"""


def a_worker() -> "subprocess.Popen[bytes]":
    s = connection.settings_dict
    url = f"postgres://{s['USER']}:{s['PASSWORD']}@{s['HOST']}:{s['PORT']}/{s['NAME']}"
    env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "greenai.settings", "PYTHONPATH": str(ROOT)}
    program = PROGRAM.format(now=NOON.isoformat())
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=env)


def at_once(*works: Callable[[], object]) -> None:
    """Each in a thread with a connection of its own; the first failure is raised."""
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if failures:
        raise failures[0]


def a_fleet() -> list[object]:
    """Two sites, three teams with jobs that cross hours, two days and a midnight, uneven watts."""
    dice = random.Random(3)
    sites = [a_site("paris", grid_zone="FR", pue=1.2), a_site("berlin", grid_zone="DE", pue=1.5)]
    devices = []
    for k in range(DEVICES):
        team, _ = Team.objects.get_or_create(name=f"Team {k % 3}", slug=f"team-{k % 3}")
        start = EIGHT - 12 * HOUR
        device = a_device(f"gpu-{k}", site=sites[k % 2], acquired_at=start, retired_at=EIGHT + 4 * HOUR)
        hold(team.jobs.create(key=f"job-{k}"), device, start + HOUR / 3, EIGHT + HOUR / 7)
        post(device, range(0, 57_600, 400), lambda _: dice.uniform(50.0, 700.0), start=start)
        devices.append(device)
    return devices


def single() -> dict[str, list[tuple[object, ...]]]:
    """What one worker makes of the same samples, from nothing."""
    wipe()
    rebuild_everything(now=NOON)
    return ledger()


if not settings.SQLITE:
    pytestmark = pytest.mark.django_db(transaction=True)

    class TestSeveralWorkers:
        def test_killed_at_random_end_with_the_ledger_of_one_to_the_last_digit(self) -> None:
            devices = a_fleet()
            dice, deadline = random.Random(7), time.monotonic() + 90
            workers = [a_worker() for _ in range(WORKERS)]
            kills = marks = 0
            try:
                while kills < 6 or DirtyHour.objects.exists():
                    assert time.monotonic() < deadline, f"{DirtyHour.objects.count()} hours are still dirty"
                    time.sleep(dice.uniform(0.3, 1.0))
                    if marks < 12:  # posters go on while they work
                        DirtyHour.objects.mark(
                            [(dice.choice(devices).pk, EIGHT + k * HOUR) for k in range(-12, 4)], now=NOON
                        )
                        marks += 1
                    if kills < 6 and len(LedgerHour.objects.values_list("pk")[:1]):
                        victim = workers.pop(dice.randrange(WORKERS))
                        victim.send_signal(signal.SIGKILL)
                        victim.wait()
                        workers.append(a_worker())
                        kills += 1
                ended = ledger()
            finally:
                for worker in workers:
                    worker.kill()
                    worker.wait()
            assert ended["ledger"] and ended == single()

        def test_that_pick_the_same_hour_make_it_once(self, monkeypatch) -> None:
            device = a_device(retired_at=EIGHT + HOUR)
            post(device, range(0, 3600, 60), 1000.0)
            meet, made = threading.Barrier(2), []
            inner, due = rebuild._replace, worklist.due

            def both_know_of_it(**given: object) -> list[int]:
                found = due(**given)
                if found:
                    meet.wait(20)
                return found

            def slow(device_hours, **given: object):
                made.append(sorted(device_hours))
                time.sleep(0.5)
                return inner(device_hours, **given)

            monkeypatch.setattr(worklist, "due", both_know_of_it)
            monkeypatch.setattr(rebuild, "_replace", slow)
            at_once(lambda: rebuild_dirty(now=NOON, limit=1), lambda: rebuild_dirty(now=NOON, limit=1))
            assert len([hours for hours in made if (device.pk, EIGHT) in hours]) == 1
            assert EnergyHour.objects.filter(hour=EIGHT).count() == LedgerHour.objects.filter(hour=EIGHT).count() == 1

        def test_that_finish_hours_of_one_day_at_the_same_time_leave_its_roll_ups_right(self, monkeypatch) -> None:
            a_fleet()
            monkeypatch.setattr(rebuild, "CHUNK", 3)
            monkeypatch.setattr(rebuild, "ROUND", 6)

            def work() -> None:
                while DirtyHour.objects.exists():
                    rebuild_dirty(now=NOON)

            at_once(*[work] * 4)
            ended = ledger()
            assert TeamDay.objects.exists() and ended == single()

        def test_never_wait_for_a_poster_and_a_poster_never_for_them(self, monkeypatch) -> None:
            device = a_device(retired_at=EIGHT + HOUR)
            post(device, range(0, 3600, 60), 1000.0)
            began, marked = threading.Event(), threading.Event()
            inner = rebuild._replace

            def while_a_poster_marks(device_hours, **given: object):
                found = inner(device_hours, **given)
                began.set()
                assert marked.wait(20), "the poster waited for the worker"
                return found

            def poster() -> None:
                began.wait(20)
                with transaction.atomic():
                    DirtyHour.objects.mark([(device.pk, EIGHT)], now=NOON + timedelta(seconds=1))
                    marked.set()
                    time.sleep(1.5)  # its transaction is still open when the worker notes what it made

            monkeypatch.setattr(rebuild, "_replace", while_a_poster_marks)
            at_once(poster, lambda: rebuild_dirty(now=NOON, limit=1))
            assert DirtyHour.objects.filter(device=device, hour=EIGHT).exists()  # the newer mark is still to be made
            monkeypatch.setattr(rebuild, "_replace", inner)
            rebuild_dirty(now=NOON)
            assert not DirtyHour.objects.exists()
