"""Many rows at once come to be as if each had been saved alone, on either database."""

from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounting.ledger.insert import insert
from accounting.models import EnergyHour, LedgerHour, TeamDay
from tests.accounting.ledger.rows import EIGHT, a_device

pytestmark = pytest.mark.django_db
TRICKY = [0.1 + 0.2, 1e-308, 123_456_789.123_456_79, 0.0]


class TestInsert:
    def test_keeps_every_digit_text_and_gap_of_a_row(self) -> None:
        device, ids = a_device(), ['a "quoted"\tid', "zone:Å\\N@x", "tolerance:meter"]
        rows = [
            {
                "device_id": device.pk, "hour": EIGHT + timedelta(hours=k), "job_id": None, "cost": cost,
                "status": "MODELLED", "energy_status": "MEASURED", "factor_ids": ids[: k + 1], "method": "x",
                "rebuilt_at": EIGHT,
            }
            for k, cost in enumerate(TRICKY)
        ]  # fmt: skip
        insert(LedgerHour, rows)
        assert list(LedgerHour.objects.order_by("hour").values(*rows[0])) == rows

    def test_fills_in_the_defaults_of_what_is_not_named(self) -> None:
        insert(TeamDay, [{"day": date(2026, 3, 1), "status": "MEASURED"}])
        row = TeamDay.objects.get()
        assert (row.team_id, row.cost, row.factor_ids, row.day) == (None, 0.0, [], date(2026, 3, 1))

    def test_asks_nothing_of_the_database_for_no_rows(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            insert(TeamDay, [])
        assert len(queries) == 0

    def test_refuses_a_row_that_is_there_already(self) -> None:
        row = dict.fromkeys(("device_energy_j", "device_energy_low_j", "device_energy_high_j", "covered_s"), 1.0)
        row |= {"device_id": a_device().pk, "hour": EIGHT, "missing_s": 0.0, "held_s": 1.0, "status": "MEASURED"}
        insert(EnergyHour, [row])
        with pytest.raises(IntegrityError), transaction.atomic():
            insert(EnergyHour, [row])
        assert EnergyHour.objects.count() == 1
