"""What a client inside a job asks: who meters this machine, is the job complete, what goes on its model card."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
import yaml
from django.http import HttpResponse
from django.test import Client

from accounting.access import issue_token
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import Agent, Device, DeviceSample, EnergySpan, Host, Job, JobMark, Site, SiteTerms, Team
from tests.accounting.ledger.rows import EIGHT, NOON, a_device, a_site, post

BOOT = "11111111-2222-3333-4444-555555555555"
OTHER_BOOT = "99999999-2222-3333-4444-555555555555"


@pytest.fixture
def reader(team: Team) -> str:
    return issue_token(name="reader", scopes=["read"], team=team)[1]


def get(secret: str, what: str, **query: str) -> HttpResponse:
    return Client().get(f"/api/v1/{what}?{urlencode(query)}", headers={"Authorization": f"Bearer {secret}"})


def problem(response: HttpResponse) -> tuple[int, str]:
    return response.status_code, json.loads(response.content)["code"]


def an_agent(
    host: str, *, boot: str = BOOT, seen_s_ago: float = 5.0, key: str = "greenai-agent", **owner: object
) -> Host:
    made = Host.objects.create(name=host, **owner)
    seen = datetime.now(UTC) - timedelta(seconds=seen_s_ago)
    Agent.objects.create(key=key, host=made, boot_id=f"{boot}-ab12-0", first_seen_at=seen, last_seen_at=seen)
    return made


class TestMetering:
    def test_nobody_does_where_no_agent_was_heard_of(self, team_secret: str) -> None:
        told = get(team_secret, "metering", host="node-1", boot=BOOT).json()
        assert told == {"metered": "no", "host": "node-1", "lasting": False, "devices": []}

    def test_an_agent_of_this_owner_does_and_its_devices_are_named(self, team: Team, team_secret: str) -> None:
        host = an_agent("node-1", team=team)
        Device.objects.create(host=host, key="gpu-0", kind="gpu", model="H100", acquired_at=NOON)
        told = get(team_secret, "metering", host="node-1", boot=BOOT).json()
        assert (told["metered"], told["devices"]) == ("here", [{"device": "gpu-0", "kind": "gpu", "model": "H100"}])

    def test_a_container_of_another_name_is_known_by_the_kernels_boot(self, site: Site, site_secret: str) -> None:
        an_agent("node-1", site=site)
        told = get(site_secret, "metering", host="pod-7f9c", boot=BOOT).json()
        assert (told["metered"], told["host"]) == ("here", "node-1")

    def test_one_of_another_owner_counts_so_that_nothing_is_there_twice(self, site: Site, team_secret: str) -> None:
        an_agent("node-1", site=site)
        told = get(team_secret, "metering", host="node-1", boot=BOOT).json()
        assert (told["metered"], told["lasting"], told["devices"]) == ("elsewhere", True, [])

    def test_a_namesake_on_another_machine_does_not(self, site: Site, team_secret: str) -> None:
        an_agent("node-1", boot=OTHER_BOOT, site=site)
        assert get(team_secret, "metering", host="node-1", boot=BOOT).json()["metered"] == "no"
        assert get(team_secret, "metering", host="node-1").json()["metered"] == "elsewhere"

    def test_an_agent_that_posts_every_five_minutes_does_and_a_silent_one_does_not(
        self, team: Team, team_secret: str
    ) -> None:
        an_agent("node-1", seen_s_ago=310, team=team)
        assert get(team_secret, "metering", host="node-1", boot=BOOT).json()["metered"] == "here"
        an_agent("node-2", seen_s_ago=361, team=team)
        assert get(team_secret, "metering", host="node-2").json()["metered"] == "no"

    @pytest.mark.parametrize("key", Agent.PASSING_KEYS)
    def test_who_meters_for_a_while_is_over_after_a_minute(self, team: Team, site_secret: str, key: str) -> None:
        an_agent("node-1", key=key, seen_s_ago=61, team=team)
        assert get(site_secret, "metering", host="node-1", boot=BOOT).json()["metered"] == "no"

    @pytest.mark.parametrize("key", Agent.PASSING_KEYS)
    def test_who_meters_for_a_while_only_counts_under_another_owner(
        self, team: Team, team_secret: str, site_secret: str, key: str
    ) -> None:
        an_agent("node-1", key=key, team=team)
        assert get(team_secret, "metering", host="node-1", boot=BOOT).json()["metered"] == "no"
        told = get(site_secret, "metering", host="node-1", boot=BOOT).json()
        assert (told["metered"], told["lasting"]) == ("elsewhere", False)

    def test_refuses_a_token_that_may_not_post_and_a_name_that_is_none(self, reader: str, team_secret: str) -> None:
        assert problem(get(reader, "metering", host="node-1")) == (403, "not_permitted")
        for query in ({"host": ""}, {"host": "a\x00"}, {"host": "n" * 256}, {"host": "n", "boot": "b" * 81}, {}):
            assert problem(get(team_secret, "metering", **query)) == (422, "bad_parameters")


@pytest.fixture
def job(team: Team) -> Job:
    """1 kW for two hours on a GPU in France, PUE 1.5."""
    site = a_site("paris-1", grid_zone="FR", pue=1.5)
    device = a_device("gpu-0", site=site, model="NVIDIA H100")
    job = Job.objects.create(team=team, key="train-1", kind="fine-tuning")
    start_us = int(EIGHT.timestamp() * 1e6)
    JobMark.objects.create(job=job, device=device, started_at_us=start_us, ended_at_us=start_us + 7_200_000_000)
    post(device, range(0, 7201, 60), 1000.0)
    return job


def count() -> None:
    while rebuild_dirty(now=NOON):
        pass


class TestJobState:
    def test_is_complete_once_the_ledger_has_counted_it(self, reader: str, job: Job) -> None:
        before = get(reader, "job", job=job.key).json()
        assert (before["complete"], before["pending"]) == (False, ["2 of its device-hours wait for the ledger"])
        count()
        after = get(reader, "job", job=job.key).json()
        assert (after["complete"], after["pending"]) == (True, [])
        assert (after["start"], after["end"]) == ("2026-03-02T08:00:00Z", "2026-03-02T10:00:00Z")

    def test_names_the_devices_whose_readings_have_not_come_yet(self, reader: str, job: Job) -> None:
        count()
        late = a_device("gpu-1", site=Site.objects.get(slug="paris-1"))
        start_us = int(EIGHT.timestamp() * 1e6)
        JobMark.objects.create(job=job, device=late, started_at_us=start_us, ended_at_us=start_us + 60_000_000)
        JobMark.objects.create(job=job, device=late, started_at_us=start_us + 90_000_000)
        assert get(reader, "job", job=job.key).json()["pending"] == [
            "it still holds 1 devices: no end was posted",
            "no reading after its end from node-1/gpu-1",
        ]

    def test_a_device_that_a_tool_told_of_as_a_whole_is_read(self, reader: str, team: Team) -> None:
        device, job = a_device("gpu-0", team=team), Job.objects.create(team=team, key="told")
        start_us = int(EIGHT.timestamp() * 1e6)
        end_us = start_us + 3_600_000_000
        JobMark.objects.create(job=job, device=device, started_at_us=start_us, ended_at_us=end_us)
        EnergySpan.objects.create(
            device=device, source=DeviceSample.Source.CODECARBON, poster=1, started_at_us=start_us,
            ended_at_us=end_us, is_long=False, energy_j=3.6e6, job=job, measured=True, received_at_us=end_us,
        )  # fmt: skip
        assert get(reader, "job", job="told").json()["pending"] == []

    def test_says_that_nothing_has_come(self, reader: str, team: Team) -> None:
        Job.objects.create(team=team, key="fresh")
        told = get(reader, "job", job="fresh").json()
        assert (told["complete"], told["start"]) == (False, None)
        assert told["pending"] == ["no mark and no reading of it has arrived"]

    def test_of_another_team_is_not_there(self, job: Job) -> None:
        other = Team.objects.create(name="Speech", slug="speech-2")
        _, theirs = issue_token(name="reader", scopes=["read"], team=other)
        assert problem(get(theirs, "job", job=job.key)) == (404, "unknown_job")
        assert problem(get(theirs, "job")) == (422, "bad_parameters")


class TestModelCard:
    def test_gives_grams_with_source_place_and_hardware(self, reader: str, job: Job) -> None:
        count()
        response = get(reader, "model-card", job=job.key)
        block = yaml.safe_load(response.content)["co2_eq_emissions"]
        day = {"from": "2026-03-02T00:00:00Z", "to": "2026-03-03T00:00:00Z"}
        ledger = get(reader, "footprint", job=job.key, **day).json()["totals"]
        # 2 kWh x 1.5 = 3 kWh at the wall, in grams: a thousand times the API's kilograms
        assert block["emissions"] == pytest.approx(ledger["co2e_location_kg"]["mid"] * 1000, rel=1e-3)
        assert 50 < block["emissions"] < 300  # France: a card in kilograms would say 0.1
        assert (block["training_type"], block["hardware_used"]) == ("fine-tuning", "1 x NVIDIA H100")
        assert block["geographical_location"] == "paris-1, FR"
        assert "location-based" in block["source"] and "making of the hardware not included" in block["source"]
        assert "attachment" in response["Content-Disposition"]

    def test_a_cloud_regions_place_is_written_out(self, reader: str, job: Job) -> None:
        SiteTerms.objects.update(grid_zone="", cloud_provider="aws", cloud_region="eu-west-3")
        count()
        block = yaml.safe_load(get(reader, "model-card", job=job.key).content)["co2_eq_emissions"]
        assert block["geographical_location"] == "Paris, FR"

    def test_takes_what_the_author_knows_better_and_leaves_out_what_nobody_knows(self, reader: str, job: Job) -> None:
        count()
        Job.objects.update(kind="training")
        block = yaml.safe_load(get(reader, "model-card", job=job.key).content)["co2_eq_emissions"]
        assert "training_type" not in block
        said = {"training_type": "pre-training", "geographical_location": "Québec, Canada"}
        block = yaml.safe_load(get(reader, "model-card", job=job.key, **said).content)["co2_eq_emissions"]
        assert {name: block[name] for name in said} == said

    def test_is_refused_without_a_job_or_before_there_is_anything(self, reader: str, job: Job) -> None:
        assert problem(get(reader, "model-card", job=job.key)) == (404, "unknown_job")
        assert problem(get(reader, "model-card")) == (422, "bad_parameters")
        assert problem(get(reader, "model-card", job=job.key, training_type="magic")) == (422, "bad_parameters")
