"""Ranks of one job that each post the whole node under a name of their own: the node counts once."""

import pytest
from django.db.models import Sum

from accounting.ledger.rebuild import mark_in_service, rebuild_dirty, rebuild_everything
from accounting.models import Device, DirtyHour, EnergyHour, Job, LedgerHour
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, hold, ledger, post

pytestmark = pytest.mark.django_db


def rebuilt() -> None:
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOON)


def kwh(**where: object) -> float:
    return LedgerHour.objects.filter(**where).aggregate(total=Sum("it_energy_kwh"))["total"] or 0.0


def ranks(count: int, job: Job, *, epoch_of=lambda n: n + 1, watts=lambda n: 2000.0) -> list[Device]:
    """Sensors of one node that each see it draw 2 kW from 08:00 to 09:00, a second apart, held by the job."""
    devices = [a_device(f"rank-{n}", kind="node") for n in range(count)]
    for n, device in enumerate(devices):
        post(device, range(n, 3601 + n, 60), watts(n), epoch=epoch_of(n))
        hold(job, device, EIGHT, EIGHT + 2 * HOUR)
    return devices


class TestRanksOfOneJob:
    def test_that_each_report_the_node_count_once(self) -> None:
        # codecarbon PR 1390: four ranks x 2 kWh would be 8 kWh; 2 kWh were drawn
        devices = ranks(4, Job.objects.create(key="train"))
        rebuilt()
        assert kwh(hour=EIGHT) == pytest.approx(2.0, rel=1e-3)
        assert EnergyHour.objects.filter(device=devices[3], hour=EIGHT).aggregate(m=Sum("missing_s"))["m"] == 0.0

    def test_of_one_agent_are_two_supplies_and_both_count(self) -> None:
        ranks(2, Job.objects.create(key="train"), epoch_of=lambda n: 1)
        rebuilt()
        assert kwh(hour=EIGHT) == pytest.approx(4.0, rel=1e-3)

    def test_that_draw_otherwise_both_count(self) -> None:
        ranks(2, Job.objects.create(key="train"), watts=lambda n: 2000.0 - 200 * n)
        rebuilt()
        assert kwh(hour=EIGHT) == pytest.approx(3.8, rel=1e-3)

    def test_of_two_jobs_both_count(self) -> None:
        for n, key in enumerate(("a", "b")):
            device = a_device(f"rank-{n}", kind="node")
            post(device, range(n, 3601 + n, 60), 2000.0, epoch=n)
            hold(Job.objects.create(key=key), device, EIGHT, EIGHT + 2 * HOUR)
        rebuilt()
        assert kwh(hour=EIGHT) == pytest.approx(4.0, rel=1e-3)

    def test_come_out_the_same_when_everything_is_rebuilt(self) -> None:
        ranks(3, Job.objects.create(key="train"))
        mark_in_service(now=NOON)
        rebuilt()
        before = ledger()
        rebuild_everything(now=NOON)
        assert ledger() == before
