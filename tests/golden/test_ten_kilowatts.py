"""The first golden sum: a machine that draws 10 kW in a building with a PUE of 3.0 makes the building draw 30 kW."""

from datetime import timedelta

import pytest

from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import DeviceDay, LedgerHour, TeamDay, TeamHour
from tests.accounting.ledger.rows import EIGHT, NOON, a_device, a_site, post, tell

WORKED = {
    # 10 kW for one hour. A node's own sensor is off by 10 % at most: 9 to 11 kWh.
    "it_energy_kwh": (9.0, 10.0, 11.0),
    # x 3.0, told by two meters of 2 % each: 9 x 2.88, 10 x 3.0, 11 x 3.12
    "facility_energy_kwh": (25.92, 30.0, 34.32),
    # x 50 g/kWh, told within 10 %: 25.92 x 45, 30 x 50, 34.32 x 55
    "co2e_location_g": (1166.4, 1500.0, 1887.6),
    # 1000 kg (stated, 30 %) over 35040 h: 700, 1000 and 1300 kg x 1000 / 35040 for one hour
    "embodied_g": (19.97716895, 28.53881279, 37.10045662),
    # IT energy x 0.5 L/kWh (stated, 50 %), without PUE: 9 x 0.25, 10 x 0.5, 11 x 0.75
    "water_onsite_l": (2.25, 5.0, 8.25),
    # facility energy x Ireland's 1.476 L/kWh (30 %): 25.92 x 1.033, 30 x 1.476, 34.32 x 1.919
    "water_offsite_l": (26.77536, 44.28, 65.86008),
    # facility energy x 0.25: 25.92 x 0.25, 30 x 0.25, 34.32 x 0.25
    "cost": (6.48, 7.5, 8.58),
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
