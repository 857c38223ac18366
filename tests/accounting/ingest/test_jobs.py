"""Whose job a name means, and which device it held."""

from datetime import UTC, datetime, timedelta

from accounting.agent.wire import (
    AgentInfo,
    DeviceInfo,
    DeviceSample,
    ItemError,
    JobInfo,
    JobMark,
    TelemetryBatch,
    TelemetryReply,
)
from accounting.ingest.store import store
from accounting.models import ApiToken, Job, Project, Team
from accounting.models import DeviceSample as StoredSample
from accounting.models import JobMark as StoredMark

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
AGENT = AgentInfo(id="agent", host="node-1", boot_id="boot-1")


def at(seconds: int) -> str:
    return (NOON - timedelta(hours=1) + timedelta(seconds=seconds)).isoformat()


def us(seconds: int) -> int:
    return round((NOON - timedelta(hours=1) + timedelta(seconds=seconds)).timestamp() * 1_000_000)


def post(token: ApiToken, **lists: object) -> TelemetryReply:
    return store(TelemetryBatch(agent=AGENT, **lists), token=token, now=NOON)


def labelled(second: int, job: str) -> DeviceSample:
    return DeviceSample("gpu-0", at(second), power_w=1.0, job=job)


def codes(errors: list[ItemError]) -> list[tuple[str, int, str, str]]:
    return [(e.list, e.index, e.field, e.code) for e in errors]


class TestWhoseJob:
    def test_is_the_teams_under_its_token(self, team_token: ApiToken, team: Team) -> None:
        post(team_token, device_samples=[labelled(0, "train-1")])
        assert StoredSample.objects.get().job == Job.objects.get(team=team, key="train-1")

    def test_is_the_teams_that_the_batch_lists_under_a_sites_token(self, site_token: ApiToken, team: Team) -> None:
        post(site_token, jobs=[JobInfo("train-1", team="vision")], device_samples=[labelled(0, "train-1")])
        assert StoredSample.objects.get().job.team == team

    def test_is_remembered_from_a_mark_in_later_batches(self, site_token: ApiToken, team: Team) -> None:
        post(site_token, job_marks=[JobMark("train-1", at(0), device="gpu-0", team="vision")])
        post(site_token, device_samples=[labelled(10, "train-1")])
        assert StoredSample.objects.get().job.team == team

    def test_is_nobodys_where_nothing_says(self, site_token: ApiToken, team_token: ApiToken) -> None:
        post(team_token, job_marks=[JobMark("train-1", at(0), device="gpu-0")])  # on a host of the team's own
        post(site_token, device_samples=[labelled(0, "train-1")])
        assert StoredSample.objects.get().job.team is None

    def test_refuses_teams_that_are_unknown_or_not_the_tokens(self, site_token: ApiToken, team_token: ApiToken) -> None:
        Team.objects.create(name="Speech", slug="speech")
        items = {
            "jobs": [JobInfo("a", team="speech"), JobInfo("b", team="nobody"), JobInfo("c", project="p")],
            "job_marks": [JobMark("d", at(0), device="gpu-0", team="speech")],
        }
        assert codes(post(team_token, **items).errors) == [
            ("jobs", 0, "team", "not_permitted"),
            ("jobs", 1, "team", "not_permitted"),
            ("job_marks", 0, "team", "not_permitted"),
        ]
        assert codes(post(site_token, **items).errors) == [
            ("jobs", 1, "team", "unknown_team"),
            ("jobs", 2, "team", "missing"),
        ]


class TestJobs:
    def test_are_described_bit_by_bit_in_any_order(self, team_token: ApiToken) -> None:
        post(team_token, jobs=[JobInfo("j", ended_at=at(60))])
        post(team_token, jobs=[JobInfo("j", name="ResNet", kind="training", project="resnet", started_at=at(0))])
        post(team_token, jobs=[JobInfo("j", model="resnet-50")])
        job = Job.objects.get()
        assert (job.name, job.kind, job.model, job.project.slug) == ("ResNet", "training", "resnet-50", "resnet")
        assert (job.started_at, job.ended_at) == (NOON - timedelta(hours=1), NOON - timedelta(minutes=59))

    def test_make_a_project_once(self, team_token: ApiToken, team: Team) -> None:
        post(team_token, jobs=[JobInfo("a", project="resnet"), JobInfo("b", project="resnet")])
        assert list(Project.objects.values_list("team", "slug")) == [(team.pk, "resnet")]


class TestMarks:
    def test_open_and_close_once(self, team_token: ApiToken) -> None:
        for mark in (JobMark("j", at(0)), JobMark("j", at(0), at(60)), JobMark("j", at(0))):
            post(team_token, devices=[DeviceInfo("gpu-0", "gpu")], job_marks=[mark])
        assert list(StoredMark.objects.values_list("started_at_us", "ended_at_us")) == [(us(0), us(60))]

    def test_hold_every_device_of_the_host_when_none_is_named(self, team_token: ApiToken) -> None:
        post(team_token, devices=[DeviceInfo("elsewhere", "gpu", host="node-2")])
        devices = [DeviceInfo("gpu-0", "gpu"), DeviceInfo("gpu-1", "gpu")]
        post(team_token, devices=devices, job_marks=[JobMark("j", at(0))])
        assert sorted(StoredMark.objects.values_list("device__key", flat=True)) == ["gpu-0", "gpu-1"]

    def test_say_so_when_there_is_nothing_to_hold(self, team_token: ApiToken) -> None:
        reply = post(team_token, job_marks=[JobMark("j", at(0))])
        assert codes(reply.errors) == [("job_marks", 0, "device", "no_devices")]
        assert reply.rejected == 1

    def test_settle_within_one_batch(self, team_token: ApiToken) -> None:
        post(team_token, job_marks=[JobMark("j", at(0), at(60), "gpu-0"), JobMark("j", at(0), device="gpu-0")])
        assert StoredMark.objects.get().ended_at_us == us(60)
