"""Two workers at once. PostgreSQL only: SQLite has one writer at a time."""

import threading

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import Sum

from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import DeviceDay, DirtyHour, LedgerHour, TeamDay, TeamHour
from tests.accounting.ledger.rows import NOON, a_device, post

if not settings.SQLITE:

    @pytest.mark.django_db(transaction=True)
    class TestTwoWorkersAtOnce:
        def test_double_nothing_and_leave_nothing_out(self, monkeypatch) -> None:
            monkeypatch.setattr("accounting.ledger.rebuild.CHUNK", 2)
            monkeypatch.setattr("accounting.ledger.rebuild.ROUND", 4)
            for k in range(12):
                post(a_device(f"gpu-{k}"), range(0, 7201, 100), 1000.0)
            failures: list[BaseException] = []

            def work() -> None:
                try:
                    while DirtyHour.objects.exists():
                        rebuild_dirty(now=NOON)
                except BaseException as error:
                    failures.append(error)
                finally:
                    connection.close()

            workers = [threading.Thread(target=work) for _ in range(3)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            assert failures == []
            # 12 devices x 1 kW x 2 h = 24 kWh, in the hours and in every roll-up
            for table in (LedgerHour, TeamHour, TeamDay, DeviceDay):
                assert table.objects.aggregate(s=Sum("it_energy_kwh"))["s"] == pytest.approx(24.0), table
