"""A factor changes while workers rebuild. PostgreSQL only: SQLite has one writer at a time."""

import threading
from dataclasses import replace

import pytest
from django.conf import settings
from django.db import connection

from accounting.ledger import own_changes
from accounting.ledger.rebuild import rebuild_dirty
from accounting.ledger.restate import settle
from accounting.models import DirtyHour, LedgerHour, OwnFactor, Restatement
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, ledger, post
from tests.accounting.ledger.test_own_changes import FRANCE, whole

if not settings.SQLITE:

    @pytest.mark.django_db(transaction=True)
    class TestRestatingWhileRebuilding:
        def test_leaves_no_hour_behind_that_was_made_with_the_factor_before(self, monkeypatch) -> None:
            monkeypatch.setattr("accounting.ledger.rebuild.CHUNK", 2)
            monkeypatch.setattr("accounting.ledger.rebuild.ROUND", 4)
            site = a_site(grid_zone="FR")
            for k in range(10):
                post(a_device(f"gpu-{k}", site=site, retired_at=EIGHT + 2 * HOUR), range(0, 7200, 120), 1000.0)
            failures: list[BaseException] = []
            stop = threading.Event()

            def work() -> None:
                try:
                    while not stop.is_set() or DirtyHour.objects.exists():
                        rebuild_dirty(now=NOON)
                        settle(now=NOON)
                except BaseException as error:
                    failures.append(error)
                finally:
                    connection.close()

            workers = [threading.Thread(target=work) for _ in range(2)]
            for worker in workers:
                worker.start()
            for value in (40.0, 41.0, 42.0, 43.0):
                own_changes.save([replace(FRANCE, value=value)], reason="again", actor="ada", now=NOON)
            stop.set()
            for worker in workers:
                worker.join(60)
            settle(now=NOON)
            assert failures == []
            last = OwnFactor.objects.in_force().get()
            for row in LedgerHour.objects.filter(it_energy_kwh__gt=0):
                assert last.factor_id in row.factor_ids
            assert not Restatement.objects.exclude(state="done").exists()
            assert ledger() == whole()
