"""A building told by its meters: 10 kW of machines, 20 kW of cooling, 40 litres an hour."""

from datetime import timedelta

import pytest
from django.db.models import Sum

from accounting.access import issue_token
from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, FacilitySample, TelemetryBatch
from accounting.ingest.store import store
from accounting.ledger.rebuild import mark_in_service, rebuild_dirty, rebuild_everything
from accounting.models import DirtyHour, LedgerHour
from accounting.reports.queries import carbon_rate
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, ledger, post, tell

pytestmark = pytest.mark.django_db


def rebuilt() -> None:
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOON)


def at(minutes: float):
    return EIGHT + timedelta(minutes=minutes)


class TestCooling:
    def test_of_20_kw_for_10_kw_of_machines_makes_the_building_draw_30_kw(self) -> None:
        site = a_site("dublin", grid_zone="IE")
        post(a_device("node", site=site, kind="node"), range(0, 3601, 60), 10_000.0)
        for minutes in range(0, 60, 15):
            tell(site, at(minutes), cooling_power_w=20_000.0)
        rebuilt()
        row = LedgerHour.objects.get(hour=EIGHT)
        # 10 kWh x (1 + 20 / 10) = 30 kWh. The machines' meter at its ends: 9 x (1 + 20 / 9) = 29 and 31 kWh,
        # for what it misses in the machines it adds in the PUE; the cooling's: 10 x (1 + 19.5 / 10) = 29.5 and 30.5.
        # Low 30 x exp(-hypot(ln(30 / 29), ln(30 / 29.5))) = 28.886, high 30 x exp(hypot(ln(31 / 30), ln(30.5 / 30)))
        got = (row.facility_energy_kwh_low, row.facility_energy_kwh, row.facility_energy_kwh_high)
        assert got == pytest.approx((28.8860368, 30.0, 31.1220887))
        assert "telemetry:dublin:cooling_power" in row.factor_ids
        assert not [i for i in row.factor_ids if i.startswith("pue:")]

    def test_shows_in_the_rate_that_experiments_and_advice_go_by(self) -> None:
        site = a_site()
        post(a_device("node", site=site, kind="node"), range(0, 3601, 60), 10_000.0)
        tell(site, EIGHT, cooling_power_w=20_000.0)
        rebuilt()
        assert carbon_rate(site, now=at(59)).pue.mid == pytest.approx(3.0)

    def test_is_shared_by_the_machines_in_proportion_to_what_they_draw(self) -> None:
        # 6 kW and 4 kW under 20 kW of cooling: 18 and 12 kWh at the wall
        site = a_site()
        tell(site, EIGHT, cooling_power_w=20_000.0)
        for key, watts in (("a", 6000.0), ("b", 4000.0)):
            post(a_device(key, site=site), range(0, 3601, 60), watts)
        rebuilt()
        by_device = LedgerHour.objects.filter(hour=EIGHT).order_by("device__key")
        assert [row.facility_energy_kwh for row in by_device] == pytest.approx([18.0, 12.0])

    def test_a_stated_pue_goes_before_it_while_it_holds(self) -> None:
        # PUE 1.5 told at 08:00, cooling from 08:30: 1.5 for half the hour, 3.0 for the other
        site = a_site()
        post(a_device("node", site=site), range(0, 3601, 60), 10_000.0)
        tell(site, EIGHT, pue=1.5, cooling_power_w=99_000.0)
        tell(site, at(30), cooling_power_w=20_000.0)
        rebuilt()
        assert LedgerHour.objects.get(hour=EIGHT).facility_energy_kwh == pytest.approx(22.5)

    def test_of_machines_that_are_not_measured_here_is_refused_and_shows(self) -> None:
        # 20 kW over a single 100 W device would be a PUE of 201
        site = a_site(pue=1.2)
        post(a_device(site=site), range(0, 3601, 60), 100.0)
        tell(site, EIGHT, cooling_power_w=20_000.0)
        rebuilt()
        row = LedgerHour.objects.get(hour=EIGHT)
        assert row.facility_energy_kwh == pytest.approx(0.12) and row.status == "DEFAULT"
        assert "telemetry:paris:cooling_power@beyond-pue-10" in row.factor_ids

    def test_restates_every_machine_of_the_site_when_one_posts_late(self) -> None:
        site = a_site("lyon")
        token, _ = issue_token(name="t", scopes=["ingest"], site=site)

        def send(key: str, watts: float, *facility: FacilitySample) -> None:
            samples = [DeviceSample(key, at(m).isoformat(), power_w=watts) for m in range(61)]
            agent = AgentInfo("a", "h", "b")
            devices = [DeviceInfo(key, "gpu")]
            batch = TelemetryBatch(
                agent=agent, devices=devices, device_samples=samples, facility_samples=list(facility)
            )
            store(batch, token=token, now=NOON)
            rebuilt()

        send("a", 10_000.0, FacilitySample("lyon", EIGHT.isoformat(), cooling_power_w=20_000.0))
        first = LedgerHour.objects.get(hour=EIGHT, device__key="a").facility_energy_kwh
        send("b", 10_000.0)
        rows = LedgerHour.objects.filter(hour=EIGHT).order_by("device__key")
        # alone 10 x 3; beside another 10 kW: 10 x (1 + 20 / 20) each
        assert (first, [row.facility_energy_kwh for row in rows]) == (
            pytest.approx(30.0), pytest.approx([20.0, 20.0]),
        )  # fmt: skip
        mark_in_service(now=NOON)
        rebuilt()
        before = ledger()
        rebuild_everything(now=NOON)
        assert ledger() == before


class TestWaterMeter:
    def test_litres_since_the_reading_before_become_the_hours_water(self) -> None:
        # 08:00 the meter begins; 10:00 it tells 80 L over two hours: 40 L an hour, over 10 kWh: 4 L/kWh
        site = a_site(wue_l_per_kwh=0.5)
        post(a_device("node", site=site), range(0, 7201, 60), 10_000.0)
        tell(site, EIGHT, water_l=123.0)
        tell(site, EIGHT + 2 * HOUR, water_l=80.0)
        rebuilt()
        litres = (
            LedgerHour.objects.filter(it_energy_kwh__gt=0).order_by("hour").values_list("water_onsite_l", flat=True)
        )
        assert list(litres) == pytest.approx([40.0, 40.0])
        assert "telemetry:paris:water" in LedgerHour.objects.get(hour=EIGHT).factor_ids

    def test_the_rest_of_an_hour_keeps_what_the_site_states(self) -> None:
        # 20 L until 08:30 over 5 kWh = 4 L/kWh for half the hour, then the stated 0.5: 2.25 L/kWh x 10 kWh
        site = a_site(wue_l_per_kwh=0.5)
        post(a_device("node", site=site), range(0, 3601, 60), 10_000.0)
        tell(site, EIGHT, water_l=0.0)
        tell(site, at(30), water_l=20.0)
        rebuilt()
        row = LedgerHour.objects.get(hour=EIGHT)
        assert row.water_onsite_l == pytest.approx(22.5)
        assert {"telemetry:paris:water", "site:paris:wue@2020-01-01"} <= set(row.factor_ids)

    def test_all_of_it_is_booked_whatever_the_load(self) -> None:
        # 100 L from 08:00 to 10:00, with 2 kW in the first hour and 8 kW in the second
        site = a_site()
        post(a_device("node", site=site), range(0, 7201, 60), lambda s: 2000.0 if s < 3600 else 8000.0)
        tell(site, EIGHT, water_l=0.0)
        tell(site, EIGHT + 2 * HOUR, water_l=100.0)
        rebuilt()
        within = LedgerHour.objects.filter(hour__lt=EIGHT + 2 * HOUR)
        assert within.aggregate(total=Sum("water_onsite_l"))["total"] == pytest.approx(100.0)

    def test_a_meter_read_less_often_than_daily_is_not_used(self) -> None:
        site = a_site(wue_l_per_kwh=0.5)
        post(a_device("node", site=site), range(0, 3601, 60), 10_000.0)
        tell(site, EIGHT - timedelta(hours=20), water_l=0.0)
        tell(site, EIGHT + timedelta(hours=5), water_l=9999.0)
        rebuilt()
        assert LedgerHour.objects.get(hour=EIGHT).water_onsite_l == pytest.approx(5.0)
