"""The second golden sum: 30 kWh an hour at the wall, a contract in two of four hours, by the year and by the hour."""

from datetime import timedelta

import pytest

from accounting.ledger.matching import note_year
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import EnergyContract, InstrumentUse, LedgerHour, Site, TeamDay
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, post, tell

TOMORROW = NOON + timedelta(days=1)
# 10 kW x PUE 3.0 = 30 kWh an hour from 08 to 12 h, 120 kWh in all. What no contract covers: residual mix, 500 g/kWh.
WORKED = {
    # 20 kWh/h from 08 to 10 h, 40 kWh. Each hour: (30 - 20) x 500, (30 - 20) x 500, 30 x 500, 30 x 500
    ("hourly", 20.0): (5_000.0, 5_000.0, 15_000.0, 15_000.0),
    # 40 of 120 kWh are covered, a third of every hour: 30 x 2/3 x 500
    ("annual", 20.0): (10_000.0, 10_000.0, 10_000.0, 10_000.0),
    # 40 kWh/h: 30 of each of the two hours, the 10 beyond are lost
    ("hourly", 40.0): (0.0, 0.0, 15_000.0, 15_000.0),
    # 80 of 120 kWh, two thirds: 30 x 1/3 x 500
    ("annual", 40.0): (5_000.0, 5_000.0, 5_000.0, 5_000.0),
}


def a_contract(kwh_per_hour: float, **fields: object) -> EnergyContract:
    said = {"name": "Wind", "kind": "ppa", "zone": "IE", "vintage": 2026, "start": EIGHT, "end": EIGHT + 2 * HOUR}
    said["mwh"] = kwh_per_hour * 2 / 1000
    return EnergyContract.objects.create(**(said | fields))


def four_hours(mode: str, **terms: object) -> Site:
    said = {"grid_zone": "IE", "residual_g_per_kwh": 500.0, "market_matching": mode} | terms
    site = a_site("dublin", **said)
    machine = a_device("node", site=site, kind="node", embodied_kg=0.0)
    post(machine, range(0, 4 * 3600 + 1, 60), 10_000.0)
    for minutes in range(0, 240, 15):
        tell(site, EIGHT + timedelta(minutes=minutes), pue=3.0, grid_intensity_g_per_kwh=50.0)
    return site


def hours() -> list[LedgerHour]:
    return list(LedgerHour.objects.filter(hour__lt=NOON).order_by("hour"))


@pytest.mark.django_db
class TestMarketBased:
    @pytest.mark.parametrize(("mode", "kwh_per_hour"), WORKED)
    def test_comes_to_the_sum_worked_by_hand(self, mode: str, kwh_per_hour: float) -> None:
        a_contract(kwh_per_hour)
        four_hours(mode)
        rebuild_dirty(now=TOMORROW)
        assert [row.co2e_market_g for row in hours()] == pytest.approx(WORKED[mode, kwh_per_hour], abs=1e-6)
        assert [row.market_kwh for row in hours()] == pytest.approx([30.0] * 4)
        assert sum(day.co2e_market_g for day in TeamDay.objects.all()) == pytest.approx(sum(WORKED[mode, kwh_per_hour]))

    @pytest.mark.parametrize("mode", ["annual", "hourly"])
    def test_claims_no_more_than_the_contract_gives(self, mode: str) -> None:
        contract = a_contract(40.0)
        four_hours(mode)
        rebuild_dirty(now=TOMORROW)
        claimed = sum(InstrumentUse.objects.filter(contract=contract).values_list("kwh", flat=True))
        assert claimed == pytest.approx({"annual": 80.0, "hourly": 60.0}[mode])

    @pytest.mark.parametrize("mode", ["annual", "hourly"])
    def test_no_contract_moves_the_location_based_figure(self, mode: str) -> None:
        four_hours(mode)
        rebuild_dirty(now=TOMORROW)
        without = [(row.co2e_location_g_low, row.co2e_location_g, row.co2e_location_g_high) for row in hours()]
        a_contract(40.0)
        note_year(2026)
        assert rebuild_dirty(now=TOMORROW) > 0
        assert [(r.co2e_location_g_low, r.co2e_location_g, r.co2e_location_g_high) for r in hours()] == without
        assert without[0][1] == pytest.approx(1500.0)  # 30 x 50

    def test_says_what_it_rests_on(self) -> None:
        contract = a_contract(20.0)
        four_hours("hourly")
        rebuild_dirty(now=TOMORROW)
        first, *_, last = hours()
        assert {f"contract:{contract.pk}@hourly", "site:dublin:residual_mix@2020-01-01"} <= set(first.factor_ids)
        assert f"contract:{contract.pk}@hourly" not in last.factor_ids
