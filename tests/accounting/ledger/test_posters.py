"""Two agents that read one device with different counters: both count, nothing counts twice, in any order."""

import random

import pytest
from django.db.models import Sum

from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.models import DirtyHour, EnergyHour, Job, LedgerHour
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, ledger, post, wipe

pytestmark = pytest.mark.django_db


def kwh(**where: object) -> float:
    return LedgerHour.objects.filter(**where).aggregate(total=Sum("it_energy_kwh"))["total"] or 0.0


class TestTwoAgentsOnOneDevice:
    def test_count_by_their_counters_and_once(self) -> None:
        # 360 W from 08:00:00 to 09:00:00 by one agent, from 08:00:05 to 09:00:05 by another, without any power:
        # 360 W x 1 h = 0.36 kWh in the first hour, 360 W x 5 s = 1800 J = 0.0005 kWh in the second.
        device = a_device()
        post(device, range(0, 3601, 10), counter=lambda s: 5000 + 360 * s, epoch=11)
        post(device, range(5, 3606, 10), counter=lambda s: 360 * s, epoch=-22)
        rebuild_dirty(now=NOON)
        assert kwh(hour=EIGHT) == pytest.approx(0.36) and kwh(hour=EIGHT + HOUR) == pytest.approx(0.0005)
        assert EnergyHour.objects.aggregate(m=Sum("missing_s"))["m"] == 0.0

    def test_come_out_the_same_hour_by_hour_and_all_at_once(self) -> None:
        device, dice = a_device(), random.Random(5)
        first, second, third = ([s + k / 4 for s in sorted(dice.sample(range(14_000), 150))] for k in range(3))
        post(device, first, lambda s: 200 + s % 90, counter=lambda s: 210 * s, epoch=3)
        post(device, second, lambda s: 190 + s % 90, counter=lambda s: 7 + 200 * s, epoch=1)
        post(device, third[70:], lambda s: 150 + s % 70, epoch=2)
        DirtyHour.objects.all().delete()
        wipe()
        hours = [EIGHT + HOUR * k for k in range(4)]
        dice.shuffle(hours)
        for hour in hours:
            DirtyHour.objects.mark([(device.pk, hour)], now=NOON)
            rebuild_dirty(now=NOON)
        alone = ledger()
        rebuild_everything(now=NOON)
        assert ledger() == alone


class TestALabelOfEachPoster:
    def test_says_whose_energy_it_was(self) -> None:
        # One agent labels its readings with a job, the other with none: the job held the device all the same.
        device, job = a_device(), Job.objects.create(key="train")
        post(device, range(0, 601, 10), counter=lambda s: 100 * s, epoch=1, job=job)
        post(device, range(5, 596, 10), counter=lambda s: 100 * s, epoch=2)
        rebuild_dirty(now=NOON)
        assert kwh(job=job) * 3.6e6 == pytest.approx(60_000) and kwh(job=None) == 0.0
