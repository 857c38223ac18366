"""The first golden sum: a machine that draws 10 kW in a building with a PUE of 3.0 makes the building draw 30 kW."""

from datetime import timedelta

import pytest

from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import DeviceDay, LedgerHour, TeamDay, TeamHour
from tests.accounting.ledger.rows import EIGHT, NOON, a_device, a_site, post, tell

# Independent sources combine in quadrature of their logarithms: sqrt(ln(10/9)^2 + ln(3/2.88)^2) = 0.11299 downwards.
WORKED = {
    # 10 kW for one hour. A node's own sensor is off by 10 % at most: 9 to 11 kWh.
    "it_energy_kwh": (9.0, 10.0, 11.0),
    # x 3.0, told by two meters, 4 %: 30 x exp(-0.11299); up sqrt(ln(1.1)^2 + ln(1.04)^2) = 0.10307: 30 x exp(0.10307)
    "facility_energy_kwh": (26.79472451, 30.0, 33.25688785),
    # x 50 g/kWh, told within 10 %: down sqrt(0.11299^2 + ln(10/9)^2) = 0.15449, up 0.14038
    "co2e_location_g": (1285.274132, 1500.0, 1726.065131),
    # 1000 kg (stated, 30 %) over 35040 h: 700, 1000 and 1300 kg x 1000 / 35040 for one hour
    "embodied_g": (19.97716895, 28.53881279, 37.10045662),
    # IT energy x 0.5 L/kWh (stated, 50 %), without PUE: down sqrt(ln(10/9)^2 + ln(2)^2) = 0.70111, up 0.41652
    "water_onsite_l": (2.48017444, 5.0, 7.583345035),
    # facility energy x Ireland's 1.476 L/kWh (1.033 to 1.919): down sqrt(0.11299^2 + 0.35686^2), up 0.28199
    "water_offsite_l": (30.45358761, 44.28, 58.70423299),
    # facility energy x 0.25, a price without a range
    "cost": (6.698681126, 7.5, 8.314221961),
}


@pytest.fixture
def ten_kilowatts_for_an_hour(db: None) -> None:
    site = a_site("dublin", grid_zone="IE", wue_l_per_kwh=0.5, electricity_price_per_kwh=0.25)
    machine = a_device("node", site=site, kind="node", embodied_kg=1000.0, lifetime_h=35040.0)
    post(machine, range(0, 3601, 60), 10_000.0)
    for minutes in range(0, 60, 15):
        tell(site, EIGHT + timedelta(minutes=minutes), pue=3.0, grid_intensity_g_per_kwh=50.0)
    assert rebuild_dirty(now=NOON) > 0


@pytest.mark.usefixtures("ten_kilowatts_for_an_hour")
class TestTenKilowatts:
    @pytest.mark.parametrize("quantity", WORKED)
    def test_comes_to_the_sum_worked_by_hand(self, quantity: str) -> None:
        row = LedgerHour.objects.get(hour=EIGHT)
        got = tuple(getattr(row, f"{quantity}{bound}") for bound in ("_low", "", "_high"))
        assert got == pytest.approx(WORKED[quantity], rel=1e-9)

    @pytest.mark.parametrize("quantity", [q for q in WORKED if q != "embodied_g"])
    @pytest.mark.parametrize("table", [TeamHour, TeamDay, DeviceDay])
    def test_stands_the_same_in_every_roll_up(self, table: type, quantity: str) -> None:
        assert sum(getattr(row, quantity) for row in table.objects.all()) == pytest.approx(WORKED[quantity][1])

    def test_says_what_it_rests_on(self) -> None:
        row = LedgerHour.objects.get(hour=EIGHT)
        assert row.energy_status == "MEASURED" and row.measured_kwh == pytest.approx(10.0)
        assert row.status == "MODELLED"  # the footprint of making it, water and price are stated or published
        assert {"telemetry:dublin:pue", "telemetry:dublin:grid_intensity", "ewif:IE:li2025"} <= set(row.factor_ids)
        assert {"site:dublin:wue@2020-01-01", "site:dublin:price@2020-01-01"} <= set(row.factor_ids)
        assert (row.covered_s, row.missing_s) == (3600.0, 0.0)
