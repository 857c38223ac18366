"""Which source counted a device's energy, and the devices of a job that no mark tells of."""

from datetime import datetime, timedelta

import pytest

from accounting.models import Device, DeviceSample, EnergyHour, Job, LedgerHour
from accounting.reports.device_sources import counted_sources
from accounting.reports.jobs import job_devices
from tests.accounting.ledger.rows import NOON, a_device

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def an_hour(device: Device, at: datetime, source: int | None, joules: float, job: Job | None = None) -> None:
    EnergyHour.objects.create(
        device=device, hour=at, job=job, device_energy_j=joules, device_energy_low_j=joules,
        device_energy_high_j=joules, covered_s=3600, missing_s=0, held_s=3600, status="MEASURED", source=source,
    )  # fmt: skip


class TestCountedSources:
    def test_sums_each_and_says_which_counts_now_and_since_when(self) -> None:
        # Two hours by CodeCarbon of 3.6 MJ each are 2 kWh; then one by the agent of 1.8 MJ, 0.5 kWh
        device = a_device()
        for n, source in enumerate((DeviceSample.Source.CODECARBON, DeviceSample.Source.CODECARBON)):
            an_hour(device, NOON + n * HOUR, source, 3.6e6)
        an_hour(device, NOON + 2 * HOUR, DeviceSample.Source.AGENT, 1.8e6)
        agent, tracker = counted_sources(device, NOON, NOON + 3 * HOUR)
        assert (agent.title, agent.it_energy_kwh, agent.counts_now, agent.first) == (
            "GreenAI agent", 0.5, True, NOON + 2 * HOUR,
        )  # fmt: skip
        assert (tracker.title, tracker.it_energy_kwh, tracker.covered_s, tracker.counts_now) == (
            "CodeCarbon", 2.0, 7200, False,
        )  # fmt: skip

    def test_are_none_outside_the_period_and_where_nothing_was_read(self) -> None:
        device = a_device()
        an_hour(device, NOON, DeviceSample.Source.AGENT, 1.0)
        an_hour(device, NOON + HOUR, None, 0.0)
        assert counted_sources(device, NOON + HOUR, NOON + 2 * HOUR) == []


class TestDevicesOfAJob:
    def test_are_those_the_ledger_booked_it_on_once_each(self) -> None:
        device, job = a_device(), Job.objects.create(key="told")
        for n in range(2):
            LedgerHour.objects.create(device=device, job=job, hour=NOON + n * HOUR, rebuilt_at=NOON, status="measured")
        assert job_devices(job) == [device]
        assert job_devices(Job.objects.create(key="other")) == []
