"""The estimate for holes: from what was read beside them, and never part of a total."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import DirtyHour, Job, Team, User
from accounting.reports.holes import gap_estimate, job_gap_estimate
from accounting.reports.queries import totals
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, hold, post

pytestmark = pytest.mark.django_db
END = EIGHT + 4 * HOUR


class Everyone:
    team_ids, unattributed = None, True


class Nobody:
    team_ids, unattributed = frozenset((7,)), False


def rebuilt() -> None:
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOON)


class TestGapEstimate:
    def test_is_the_mean_power_beside_the_hole_with_a_range_from_idle_to_the_highest(self) -> None:
        # 300 W from 08:00 to 08:30, nothing until 09:30, 500 W until 10:00. The hole of half an hour in each hour lies
        # between 300 and 500 W. At 08: beside it 08 itself (300 W), both ways: 0.15 kWh. At 09: 09 itself, 0.25 kWh.
        # Idle at least 0.10 x 700 W = 70 W: 2 x 0.035 kWh. Highest: 300 and 500 W.
        device = a_device(tdp_w=700.0)
        post(device, range(0, 1801, 60), 300.0)
        post(device, range(5400, 7201, 60), 500.0)
        rebuilt()
        got = gap_estimate(Everyone(), EIGHT, END)
        assert got is not None and got.missing_s == 3600.0
        kwh = got.gap_estimate_kwh
        assert (kwh.low, kwh.mid, kwh.high) == pytest.approx((0.07, 0.4, 0.4))
        assert totals(Everyone(), EIGHT, END).it_energy_kwh.mid == pytest.approx(0.4)  # 0.15 + 0.25, and no more

    def test_a_whole_hour_without_a_reading_lies_between_the_hours_beside_it(self) -> None:
        # 300 W until 09:00, 500 W from 10:00: the hour between at (300 + 500)/2 = 400 W, at most 500 W
        device = a_device()
        post(device, range(0, 3601, 60), 300.0)
        post(device, range(7200, 10_801, 60), 500.0)
        rebuilt()
        got = gap_estimate(Everyone(), EIGHT, END)
        assert got is not None
        kwh = got.gap_estimate_kwh
        assert (kwh.low, kwh.mid, kwh.high) == pytest.approx((0.0, 0.4, 0.5))

    def test_says_nothing_without_a_hole_or_to_those_who_may_not_see(self) -> None:
        device = a_device()
        post(device, range(0, 601, 60), 300.0)
        rebuilt()
        assert gap_estimate(Everyone(), EIGHT, END) is None
        post(device, [1800, 1860], 300.0)
        rebuilt()
        assert gap_estimate(Everyone(), EIGHT, END) is not None and gap_estimate(Nobody(), EIGHT, END) is None


class TestJobGapEstimate:
    def test_counts_the_holes_in_the_jobs_own_time(self) -> None:
        # The job holds the GPU 08:00 to 08:40; readings stop 08:20 to 08:50: 20 minutes at 300 W = 0.1 kWh
        device, job = a_device(), Job.objects.create(key="a")
        post(device, [*range(0, 1201, 60), *range(3000, 3601, 60)], 300.0)
        hold(job, device, EIGHT, EIGHT + timedelta(minutes=40))
        rebuilt()
        got = job_gap_estimate(job)
        assert got is not None and got.missing_s == pytest.approx(1200.0)
        assert got.gap_estimate_kwh.mid == pytest.approx(0.1)

    def test_is_none_for_a_job_read_throughout(self) -> None:
        device, job = a_device(), Job.objects.create(key="a")
        post(device, range(0, 1201, 60), 300.0)
        hold(job, device, EIGHT, EIGHT + timedelta(minutes=20))
        rebuilt()
        assert job_gap_estimate(job) is None


class TestPages:
    def test_show_the_estimate_and_that_it_is_not_counted(self, client: Client) -> None:
        client.force_login(User.objects.create_superuser("a", password="p"))
        device, job = a_device(), Job.objects.create(key="a", team=Team.objects.create(name="T", slug="t"))
        post(device, [*range(0, 1201, 60), *range(3000, 3601, 60)], 300.0)
        hold(job, device, EIGHT, EIGHT + timedelta(minutes=40))
        rebuilt()
        page = client.get(reverse("job", args=[job.pk])).content.decode()
        assert "estimated in the holes: 100 Wh" in page and "not counted" in page
        span = f"from={EIGHT:%Y-%m-%dT%H:%M}&to={END:%Y-%m-%dT%H:%M}"
        assert "estimated in the holes" in client.get(f"{reverse('holes')}?{span}").content.decode()
