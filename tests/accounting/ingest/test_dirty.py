"""Which hours a batch stales: all that may change, and little else."""

from datetime import UTC, datetime, timedelta

import pytest

from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, FacilitySample, JobInfo, JobMark, TelemetryBatch
from accounting.ingest.dirty import TooWide
from accounting.ingest.store import store
from accounting.models import ApiToken, Device, DirtyHour, Host, Job, LedgerHour
from accounting.models import JobMark as StoredMark

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
NOW = MIDNIGHT + timedelta(hours=20)
AGENT = AgentInfo(id="agent", host="node-1", boot_id="boot-1")


def at(hours: float) -> str:
    return (MIDNIGHT + timedelta(hours=hours)).isoformat()


def post(token: ApiToken, **lists: list[object]) -> set[tuple[str, int]]:
    """The (device, hour of the day) pairs this batch stales; what was stale before is taken as rebuilt."""
    DirtyHour.objects.all().delete()
    store(TelemetryBatch(agent=AGENT, **lists), token=token, now=NOW)
    return {
        (key, round((hour - MIDNIGHT) / timedelta(hours=1)))
        for key, hour in DirtyHour.objects.values_list("device__key", "hour")
    }


def samples(*hours: float, device: str = "gpu-0", source: str = "agent") -> list[DeviceSample]:
    return [DeviceSample(device, at(h), power_w=1.0, source=source) for h in hours]


def ledger_has(*hours: int, device: str = "gpu-0") -> None:
    for hour in hours:
        LedgerHour.objects.create(
            device=Device.objects.get(key=device),
            hour=MIDNIGHT + timedelta(hours=hour),
            energy_status="MEASURED",
            status="MEASURED",
            method="1",
            rebuilt_at=NOW,
        )


def gpu(*hours: int) -> set[tuple[str, int]]:
    return {("gpu-0", hour) for hour in hours}


@pytest.fixture
def begun(site_token: ApiToken) -> ApiToken:
    """A device in service since midnight."""
    post(site_token, device_samples=samples(0.0))
    return site_token


class TestHoursOfSamples:
    def test_reach_back_to_the_reading_before(self, begun: ApiToken) -> None:
        assert post(begun, device_samples=samples(0.5)) == gpu(0)
        assert post(begun, device_samples=samples(3.5)) == gpu(0, 1, 2, 3)

    def test_reach_on_to_the_reading_after(self, begun: ApiToken) -> None:
        post(begun, device_samples=samples(6.5))
        assert post(begun, device_samples=samples(2.5)) == gpu(0, 1, 2, 3, 4, 5, 6)
        assert post(begun, device_samples=samples(4.5)) == gpu(2, 3, 4, 5, 6)

    def test_count_a_gap_within_a_batch_from_what_lies_in_it(self, begun: ApiToken) -> None:
        post(begun, device_samples=samples(1.5, 2.5, 3.5, 4.5, 5.5, 6.5))
        assert post(begun, device_samples=samples(1.6, 6.4)) == gpu(1, 2, 5, 6)

    def test_reach_through_another_sources_long_interval(self, begun: ApiToken) -> None:
        """A meter read at 1 and 9 h covers both; an agent heard at 5 h takes the meter's word away for all of it."""
        post(begun, device_samples=samples(1.5, 9.5, source="meter"))
        assert post(begun, device_samples=samples(5.5)) == gpu(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)

    def test_reach_to_their_own_source_past_another(self, begun: ApiToken) -> None:
        post(begun, device_samples=samples(1.5, source="meter"))
        post(begun, device_samples=samples(2.5, 3.5, 4.5))
        assert post(begun, device_samples=samples(5.5, source="meter")) == gpu(1, 2, 3, 4, 5)

    def test_leave_other_devices_alone(self, begun: ApiToken) -> None:
        post(begun, device_samples=samples(0.0, device="gpu-1"))
        assert post(begun, device_samples=samples(0.5)) == gpu(0)

    def test_cover_the_service_that_an_early_reading_proves(self, site_token: ApiToken) -> None:
        assert post(site_token, device_samples=samples(18.5)) == gpu(18, 19, 20)  # until now, when it was heard of
        assert post(site_token, device_samples=samples(16.5)) == gpu(16, 17, 18)

    def test_of_a_long_hole_are_only_those_the_ledger_knows(self, begun: ApiToken) -> None:
        ledger_has(-90, -60, 0)
        days_ago = (MIDNIGHT - timedelta(hours=100.5)).isoformat()
        assert post(begun, device_samples=[DeviceSample("gpu-0", days_ago, power_w=1.0)]) == gpu(-101, -90, -60, 0)

    def test_are_refused_whole_past_a_limit(self, begun: ApiToken, monkeypatch: pytest.MonkeyPatch) -> None:
        ledger_has(0, 1, 2)
        monkeypatch.setattr("accounting.ingest.dirty.MOST_HOURS", 2)
        with pytest.raises(TooWide, match="3 device-hours, 2 at most"):
            post(begun, job_marks=[JobMark("train-1", at(0), device="gpu-0")])
        assert not StoredMark.objects.exists()


class TestHoursOfMarks:
    def test_are_those_the_ledger_has_made_while_the_mark_held(self, begun: ApiToken) -> None:
        ledger_has(0, 1, 2, 3, 18)
        mark = JobMark("train-1", at(1.5), device="gpu-0")
        assert post(begun, job_marks=[mark]) == gpu(1, 2, 3, 18)

    def test_are_those_given_back_when_a_mark_closes(self, begun: ApiToken) -> None:
        post(begun, job_marks=[JobMark("train-1", at(1.5), device="gpu-0")])
        ledger_has(0, 1, 2, 3, 18)
        assert post(begun, job_marks=[JobMark("train-1", at(1.5), at(2.5), device="gpu-0")]) == gpu(2, 3, 18)
        assert post(begun, job_marks=[JobMark("train-1", at(1.5), at(2.5), device="gpu-0")]) == set()

    def test_follow_a_job_to_another_project(self, team_token: ApiToken) -> None:
        post(team_token, device_samples=samples(0.0), jobs=[JobInfo("train-1", project="one")])
        ledger_has(0, 5)
        LedgerHour.objects.filter(hour=MIDNIGHT + timedelta(hours=5)).update(job=Job.objects.get())
        assert post(team_token, jobs=[JobInfo("train-1", project="two")]) == gpu(5)
        assert post(team_token, jobs=[JobInfo("train-1", project="two")]) == set()


class TestHoursOfOthers:
    def test_follow_a_devices_new_description(self, begun: ApiToken) -> None:
        ledger_has(0, 7)
        assert post(begun, devices=[DeviceInfo("gpu-0", "gpu", "H100")]) == gpu(0, 7)
        assert post(begun, devices=[DeviceInfo("gpu-0", "gpu", "H100")]) == set()

    def test_follow_a_facility_sample_as_long_as_it_holds(self, begun: ApiToken) -> None:
        """It holds for an hour: 5.2 to 6.2 h."""
        ledger_has(*range(12))
        assert post(begun, facility_samples=[FacilitySample("paris", at(5.2), pue=1.2)]) == gpu(5, 6)

    def test_follow_a_new_device_that_carries_a_stated_server_with_the_others(self, begun: ApiToken) -> None:
        ledger_has(0, 7)
        assert not post(begun, device_samples=samples(9.0, device="gpu-1")) & gpu(0, 7)
        Host.objects.update(server_embodied_kg=1000.0)
        assert post(begun, device_samples=samples(9.0, device="gpu-2")) >= gpu(0, 7)

    def test_follow_an_earlier_start_of_a_life_that_may_be_over(self, begun: ApiToken) -> None:
        ledger_has(0, 7)
        Device.objects.update(lifetime_h=6.0)
        assert post(begun, device_samples=samples(-2.0)) >= gpu(-2, -1, 0, 7)
