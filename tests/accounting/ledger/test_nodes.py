"""A sensor of the whole node beside sensors of its parts: every joule of the host stands in the ledger once."""

from datetime import timedelta

import pytest
from django.db.models import Sum

from accounting.access import issue_token
from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, TelemetryBatch
from accounting.ingest.store import store
from accounting.ledger.rebuild import mark_in_service, rebuild_dirty, rebuild_everything
from accounting.models import Device, DirtyHour, EnergyHour, LedgerHour
from tests.accounting.ledger.rows import EIGHT, HOUR, METER, NOON, a_device, a_site, ledger, post

pytestmark = pytest.mark.django_db


def rebuilt() -> None:
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOON)


def kwh(device: Device | None = None) -> float:
    rows = LedgerHour.objects.filter(device=device) if device else LedgerHour.objects.all()
    return rows.aggregate(total=Sum("it_energy_kwh"))["total"] or 0.0


class TestANodeAndItsParts:
    def test_count_once_for_the_time_the_node_covers(self) -> None:
        # The node draws 500 W from 08:00 to 08:30, its GPU 300 W the whole hour:
        # 500 W x 0.5 h + 300 W x 0.5 h = 0.25 + 0.15 = 0.4 kWh
        node, gpu = a_device("psu", kind="node"), a_device("gpu-0")
        post(gpu, range(0, 3601, 60), 300.0)
        rebuilt()
        assert kwh() == pytest.approx(0.3)
        post(node, range(0, 1801, 60), 500.0, source=METER)
        rebuilt()  # the node's readings stale the part's hour too
        assert (kwh(node), kwh(gpu)) == pytest.approx((0.25, 0.15))

    def test_a_hole_of_the_node_is_filled_by_the_parts_to_the_second(self) -> None:
        # The node speaks 0-600 s and 1200-1800 s (a hole beyond the gap limit between); the GPU 0-1800 s:
        # 1200 s x 500 W + 600 s x 300 W = 600 000 + 180 000 J
        node, gpu = a_device("psu", kind="node"), a_device("gpu-0")
        post(node, [*range(0, 601, 60), *range(1200, 1801, 60)], 500.0)
        post(gpu, range(0, 1801, 60), 300.0)
        rebuilt()
        assert kwh() * 3.6e6 == pytest.approx(780_000)
        of_gpu = EnergyHour.objects.filter(device=gpu).aggregate(c=Sum("covered_s"), m=Sum("missing_s"))
        assert of_gpu == {"c": 600.0, "m": 0.0}

    def test_a_parts_own_hole_is_missing_only_where_the_node_says_nothing(self) -> None:
        # The GPU is silent 0-1200 s; the node covers 0-600 s of that: 600 s are missing
        node, gpu = a_device("psu", kind="node"), a_device("gpu-0")
        post(node, range(0, 601, 60), 500.0)
        post(gpu, [0, 1200], 300.0)
        rebuilt()
        assert EnergyHour.objects.filter(device=gpu).aggregate(m=Sum("missing_s"))["m"] == 600.0

    def test_another_hosts_parts_are_left_alone(self) -> None:
        post(a_device("psu", kind="node"), range(0, 3601, 60), 500.0)
        gpu = a_device("gpu-0", site=a_site())
        post(gpu, range(0, 3601, 60), 300.0)
        rebuilt()
        assert kwh(gpu) == pytest.approx(0.3)

    def test_come_out_the_same_when_everything_is_rebuilt(self) -> None:
        node, gpu = a_device("psu", kind="node"), a_device("gpu-0")
        post(gpu, range(0, 9000, 50), lambda s: 200 + s % 170)
        rebuilt()
        post(node, [*range(1000, 5001, 70), *range(7000, 8000, 70)], lambda s: 400 + s % 310)
        mark_in_service(now=NOON)
        rebuilt()
        before = ledger()
        rebuild_everything(now=NOON)
        assert ledger() == before

    def test_a_device_found_to_be_a_node_restates_its_parts(self) -> None:
        site = a_site()
        token, _ = issue_token(name="t", scopes=["ingest"], site=site)
        agent = AgentInfo("a", "h", "b")
        stamps = [(EIGHT + timedelta(seconds=s)).isoformat() for s in range(0, 3601, 60)]
        samples = [DeviceSample(key, at, power_w=w) for key, w in (("psu", 500.0), ("gpu", 300.0)) for at in stamps]
        store(TelemetryBatch(agent=agent, device_samples=samples), token=token, now=EIGHT + HOUR)
        rebuilt()
        assert kwh() == pytest.approx(0.8)
        store(TelemetryBatch(agent=agent, devices=[DeviceInfo("psu", "node")]), token=token, now=EIGHT + HOUR)
        rebuilt()
        assert kwh() == pytest.approx(0.5)
        store(TelemetryBatch(agent=agent, devices=[DeviceInfo("psu", "other")]), token=token, now=EIGHT + HOUR)
        rebuilt()
        assert kwh() == pytest.approx(0.8)

    def test_of_which_one_fell_silent_long_before_come_to_an_end(self) -> None:
        # Two sensors of whole nodes on a host; the hours of the second, days later, go with the first's, after whose
        # last reading nothing is missing.
        early, late = a_device("psu-0", kind="node"), a_device("psu-1", kind="node")
        post(early, range(0, 601, 60), 500.0)
        post(late, range(0, 601, 60), 500.0, start=EIGHT + 200 * HOUR)
        rounds = 0
        while DirtyHour.objects.exists() and rounds < 5:
            rebuild_dirty(now=EIGHT + 300 * HOUR)
            rounds += 1
        assert not DirtyHour.objects.exists()
