"""`manage.py rebuild_ledger`: every hour anew, and nothing else than what stood where nothing changed."""

from io import StringIO

import pytest
from django.core.management import call_command

from accounting.models import LedgerHour
from tests.accounting.ledger.rows import EIGHT, HOUR, a_device, ledger, post


@pytest.mark.django_db
class TestCommand:
    def test_makes_the_hours_there_are_and_the_same_again(self) -> None:
        device = a_device(acquired_at=EIGHT, retired_at=EIGHT + HOUR, retirement="passed_on")
        post(device, range(0, 3601, 60), 1000.0)
        said = StringIO()
        call_command("rebuild_ledger", stdout=said)
        assert "device-hours rebuilt" in said.getvalue()
        assert LedgerHour.objects.get(hour=EIGHT).it_energy_kwh == pytest.approx(1.0)
        first = ledger()
        call_command("rebuild_ledger", stdout=StringIO())
        assert ledger() == first
