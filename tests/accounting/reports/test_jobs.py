"""Jobs by what they came to."""

import pytest

from accounting.models import Job, JobMark
from accounting.reports import jobs
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR, NINE, NOW, everything, ledger_hour, sample, sees

pytestmark = pytest.mark.django_db


class TestHeaviestJobs:
    def test_come_by_co2e_within_the_period_and_what_one_may_see(self) -> None:
        device, ours, theirs = rows.a_device(), rows.a_team("Ours"), rows.a_team("Theirs")
        small, large = (Job.objects.create(team=ours, key=key) for key in ("small", "large"))
        hidden = Job.objects.create(team=theirs, key="hidden")
        for job, kwh in ((small, 1.0), (large, 5.0), (hidden, 9.0)):
            ledger_hour(device, kwh=kwh, job=job)
        ledger_hour(device, NINE - 5 * HOUR, kwh=100.0, job=small)

        found = jobs.heaviest_jobs(sees({ours.pk}), NINE, NINE + HOUR, limit=10)

        assert [(one.key, one.co2e_g) for one in found] == [("large", 1510.0), ("small", 310.0)]
        assert (found[0].facility_energy_kwh, found[0].water_l, found[0].measured_share) == (7.5, 12.5, 1.0)
        assert [one.key for one in jobs.heaviest_jobs(everything(), NINE, NINE + HOUR, limit=1)] == ["hidden"]

    def test_are_found_by_a_part_of_name_key_or_model(self) -> None:
        device = rows.a_device()
        for key, name, model in (("a", "Nightly", ""), ("b", "", "night-owl"), ("c", "Day", "")):
            ledger_hour(device, job=Job.objects.create(key=key, name=name, model=model))
        found = jobs.heaviest_jobs(everything(), NINE, NINE + HOUR, limit=10, text="NIGHT")
        assert {one.key for one in found} == {"a", "b"}


class TestJobHours:
    def test_add_the_devices_of_an_hour(self) -> None:
        job = Job.objects.create(key="a")
        ledger_hour(rows.a_device(), NINE - HOUR, kwh=1.0, job=job)
        ledger_hour(rows.a_device("gpu-1"), NINE - HOUR, kwh=2.0, job=job)
        ledger_hour(rows.a_device("gpu-2"), NINE, kwh=4.0, job=job)
        found = jobs.job_hours(job)
        assert [(one.hour, one.it_energy_kwh, one.it_energy_kwh_low) for one in found] == [
            (NINE - HOUR, 3.0, 1.5), (NINE, 4.0, 2.0),
        ]  # fmt: skip
        assert (found[0].facility_energy_kwh, found[0].embodied_g, found[0].covered_s) == (4.5, 20.0, 7200.0)
        assert jobs.factor_ids(job) == ["intensity:FR:2023"]


class TestJobPower:
    def test_shows_its_devices_only_while_it_held_them(self) -> None:
        device, job = rows.a_device(), Job.objects.create(key="a")
        begin, end = NINE, NINE + HOUR / 6
        JobMark.objects.create(
            job=job, device=device, started_at_us=begin.timestamp() * 1e6, ended_at_us=end.timestamp() * 1e6
        )
        for minutes, watts in ((-5, 1.0), (1, 100.0), (5, 300.0), (12, 2.0)):
            sample(device, NINE + minutes * HOUR / 60, watts)
        (line,) = jobs.job_power(job, now=NOW)
        assert [watts for _, watts in line.points] == [100.0, 300.0]

    def test_averages_into_a_bounded_number_of_steps(self) -> None:
        device = rows.a_device()
        start_us = int(NINE.timestamp() * 1e6)
        for step in range(900):
            sample(device, NINE + step * HOUR / 3600 * 4, float(step % 2))
        points = jobs.power_points(device.pk, start_us, start_us + 3_600_000_000)
        assert len(points) <= jobs.POWER_POINTS + 1
        assert points[0][0] <= NINE and sum(w for _, w in points) / len(points) == pytest.approx(0.5, abs=0.05)
