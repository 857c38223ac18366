"""The worked example of docs/methodology.md, "Own factors and restatement"."""

import pytest

from accounting.factorbook import catalog
from accounting.factorbook.own_rules import Stated
from accounting.ledger import own_changes
from accounting.ledger.rebuild import rebuild_dirty
from accounting.ledger.restate import settle
from accounting.models import LedgerHour, OwnFactor, RestatedDay
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, post

pytestmark = pytest.mark.django_db


def remade() -> None:
    while rebuild_dirty(now=NOON):
        pass
    settle(now=NOON)


class TestAnOwnIntensityForFrance:
    # 1 kW for an hour is 1 kWh; times a stated PUE of 1.5: 1.5 kWh at the wall.
    # Before: 1.5 x 41.44 (France 2025) = 62.16 g. With the own factor of 40 g/kWh: 1.5 x 40 = 60 g.
    def test_restates_62_grams_to_60_and_back_to_the_last_digit(self) -> None:
        assert catalog().get("grid_intensity", "FR").value.mid == 41.44
        post(
            a_device(site=a_site(grid_zone="FR", pue=1.5), retired_at=EIGHT + HOUR, retirement="passed_on"),
            range(0, 3601, 60),
            1000.0,
        )
        remade()
        before = LedgerHour.objects.get(hour=EIGHT).co2e_location_g
        assert before == pytest.approx(62.16)
        stated = Stated("grid_intensity", "FR", 40.0, 36.0, 44.0, "g/kWh", "MODELLED", "supplier", "contract's mix")
        own_changes.save([stated], reason="contract's mix", actor="ada", now=NOON)
        remade()
        assert LedgerHour.objects.get(hour=EIGHT).co2e_location_g == pytest.approx(60.0)
        kept = dict(RestatedDay.objects.values_list("after", "co2e_location_g"))
        assert kept == {False: before, True: LedgerHour.objects.get(hour=EIGHT).co2e_location_g}
        own_changes.withdraw(OwnFactor.objects.get(), reason="ended", actor="ada", now=NOON)
        remade()
        assert LedgerHour.objects.get(hour=EIGHT).co2e_location_g == before
