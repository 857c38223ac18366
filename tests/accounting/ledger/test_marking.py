"""Hours that need rebuilding though no sample came: time in service, and a site that changed."""

from datetime import timedelta

import pytest
from django.db.models import Sum

from accounting import tasks
from accounting.ledger.rebuild import mark_in_service, mark_site, rebuild_dirty
from accounting.models import Device, DirtyHour, EnergyHour, Job, LedgerHour, SiteTerms
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, hold, post

pytestmark = pytest.mark.django_db


def held_s() -> list[float]:
    return [s for _, s in EnergyHour.objects.values_list("hour").annotate(s=Sum("held_s")).order_by("hour")]


def in_service(now) -> None:
    mark_in_service(now=now)
    rebuild_dirty(now=now)


class TestMarkInService:
    def test_embodied_accrues_for_every_hour_in_service_without_a_sample(self) -> None:
        # Acquired 08:30, now 11:15: half an hour, two hours, a quarter: 2.75 h x 1000 kg x 1000 / 35040 h
        device = a_device(acquired_at=EIGHT + HOUR / 2, embodied_kg=1000.0, lifetime_h=35040.0)
        in_service(EIGHT + HOUR * 3.25)
        assert held_s() == [1800.0, 3600.0, 3600.0, 900.0]
        grams = LedgerHour.objects.filter(device=device).aggregate(g=Sum("embodied_g"))["g"]
        assert grams == pytest.approx(2.75 * 1e6 / 35040)
        row = LedgerHour.objects.first()
        assert row.it_energy_kwh == 0.0 and f"device:{device.pk}:embodied_kg" in row.factor_ids
        assert not [i for i in row.factor_ids if i.startswith(("intensity", "pue"))]  # nothing of energy moved it

    def test_the_open_hour_grows_until_it_ends_whole(self) -> None:
        a_device()
        in_service(EIGHT + HOUR / 4)
        assert held_s() == [900.0]
        in_service(EIGHT + HOUR / 2)
        assert held_s() == [1800.0]
        in_service(EIGHT + HOUR * 1.5)
        assert held_s() == [3600.0, 1800.0]

    def test_leaves_finished_hours_alone(self) -> None:
        a_device()
        in_service(NOON)
        assert mark_in_service(now=NOON + HOUR / 2) == 1  # the open hour only

    def test_a_retired_device_accrues_no_more(self) -> None:
        a_device(retired_at=EIGHT + HOUR * 1.5)
        in_service(NOON)
        assert held_s() == [3600.0, 1800.0]

    def test_mends_hours_after_the_day_of_purchase_was_corrected(self) -> None:
        device = a_device()
        in_service(NOON)
        Device.objects.update(acquired_at=EIGHT - 2 * HOUR)
        in_service(NOON)
        assert held_s() == [3600.0] * 6
        Device.objects.update(acquired_at=EIGHT + 3 * HOUR)
        in_service(NOON)
        assert held_s() == [3600.0] and device.ledger_hours.count() == 1

    def test_marks_a_long_past_in_portions(self) -> None:
        a_device(acquired_at=NOON - timedelta(days=30))
        assert mark_in_service(now=NOON, limit=100) == 101  # and the open hour
        rebuild_dirty(now=NOON)
        assert mark_in_service(now=NOON, limit=1000) == 720 - 100 + 1

    def test_looks_no_further_back_than_told(self) -> None:
        a_device(acquired_at=NOON - timedelta(days=30))
        assert mark_in_service(now=NOON, since=NOON - timedelta(hours=10)) == 11

    def test_a_job_carries_the_embodied_share_of_its_time_also_without_readings(self) -> None:
        device, job = a_device(), Job.objects.create(key="1")
        hold(job, device, EIGHT, EIGHT + HOUR / 4)
        in_service(EIGHT + HOUR)
        of_job, of_nobody = LedgerHour.objects.get(job=job), LedgerHour.objects.get(job=None)
        assert of_nobody.embodied_g == pytest.approx(3 * of_job.embodied_g)


class TestMarkSite:
    def test_restates_the_site_from_the_hour_on_and_no_other_site(self) -> None:
        here, there = a_site("here", pue=1.2), a_site("there", pue=1.2)
        for site in (here, there):
            post(a_device(site=site), range(0, 10_801, 60), 1000.0)
        rebuild_dirty(now=NOON)
        SiteTerms.objects.create(site=here, valid_from=EIGHT + HOUR, pue=2.0)
        # From 09:00: the hours 09, 10, and 11 of the one device; the reading at 11:00:00 belongs to hour 11.
        assert mark_site(here, since=EIGHT + HOUR, now=NOON) == 3
        rebuild_dirty(now=NOON)
        of_here = LedgerHour.objects.filter(site=here, it_energy_kwh__gt=0).order_by("hour")
        assert [round(r.facility_energy_kwh / r.it_energy_kwh, 9) for r in of_here] == [1.2, 2.0, 2.0]
        of_there = LedgerHour.objects.filter(site=there, it_energy_kwh__gt=0)
        assert {round(r.facility_energy_kwh / r.it_energy_kwh, 9) for r in of_there} == {1.2}


class TestTasks:
    def test_mark_then_rebuild_until_nothing_is_dirty(self) -> None:
        a_device()
        tasks.mark_in_service_hours(whole_past=True)
        assert DirtyHour.objects.exists()
        DirtyHour.objects.exclude(hour__lt=EIGHT + 150 * HOUR).delete()  # a few hundred will do here
        tasks.rebuild_dirty_hours()
        assert not DirtyHour.objects.exists() and LedgerHour.objects.count() == 150

    def test_have_the_names_that_beat_calls_them_by(self) -> None:
        assert tasks.rebuild_dirty_hours.name == "accounting.rebuild_dirty_hours"
        assert tasks.mark_in_service_hours.name == "accounting.mark_in_service_hours"
