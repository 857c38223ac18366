"""GET /api/v1/manifest and /api/v1/audit: files that others can compute again and check."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
import yaml
from django.http import HttpResponse
from django.test import Client

from accounting.access import issue_token
from accounting.ledger.rebuild import rebuild_dirty
from accounting.ledger.restate import Cause, restate
from accounting.models import Job, JobMark, LedgerHour, Team, User
from accounting.reports import evidence
from tests.accounting.ledger.rows import EIGHT, NOON, a_device, a_site, post

DAY = {"from": f"{EIGHT:%Y-%m-%d}T00:00:00Z", "to": f"{EIGHT + timedelta(days=1):%Y-%m-%d}T00:00:00Z"}


@pytest.fixture
def job(team: Team) -> Job:
    """1 kW for two hours at a site in France, all of it this job's."""
    device = a_device("gpu-0", site=a_site("paris", grid_zone="FR", pue=1.5))
    job = Job.objects.create(team=team, key="train-1")
    start_us = int(EIGHT.timestamp() * 1e6)
    JobMark.objects.create(job=job, device=device, started_at_us=start_us, ended_at_us=start_us + 7_200_000_000)
    post(device, range(0, 7201, 60), 1000.0)
    while rebuild_dirty(now=NOON):
        pass
    return job


@pytest.fixture
def secret(team: Team) -> str:
    return issue_token(name="reader", scopes=["read"], team=team)[1]


def get(secret: str, what: str, **query: str) -> HttpResponse:
    return Client().get(f"/api/v1/{what}?{urlencode(query)}", headers={"Authorization": f"Bearer {secret}"})


def problem(response: HttpResponse) -> tuple[int, str]:
    return response.status_code, json.loads(response.content)["code"]


class TestManifest:
    def test_computes_the_carbon_of_the_ledger_from_its_inputs(self, secret: str, job: Job) -> None:
        document = yaml.safe_load(get(secret, "manifest", job=job.key).content)
        (child,) = document["tree"]["children"].values()
        rows = list(LedgerHour.objects.filter(job=job).order_by("hour"))
        assert [one["timestamp"] for one in child["inputs"]] == [f"{row.hour:%Y-%m-%dT%H:%M:%SZ}" for row in rows]
        # what the pipeline does: Multiply energy by intensity, Sum with the embodied carbon
        carbon = [one["energy"] * one["grid/carbon-intensity"] + one["carbon-embodied"] for one in child["inputs"]]
        assert carbon == pytest.approx([row.co2e_location_g + row.embodied_g for row in rows])
        assert [one["carbon"] for one in child["outputs"]] == carbon
        assert child["pipeline"]["compute"] == list(document["initialize"]["plugins"])

    def test_names_status_and_factors_of_every_input(self, secret: str, job: Job) -> None:
        (child,) = yaml.safe_load(get(secret, "manifest", job=job.key).content)["tree"]["children"].values()
        assert all(one["greenai/status"] and "intensity:FR" in one["greenai/factors"] for one in child["inputs"])

    def test_of_a_period_holds_the_teams_rows_alone(self, secret: str, job: Job) -> None:
        document = yaml.safe_load(get(secret, "manifest", **DAY).content)
        (child,) = document["tree"]["children"].values()
        assert sum(one["greenai/it-energy"] for one in child["inputs"]) == pytest.approx(2.0)

    def test_tells_machines_of_the_same_name_apart(self, job: Job) -> None:
        other = Team.objects.create(name="Speech", slug="speech-3")
        post(a_device("gpu-0", team=other), range(0, 3601, 60), 500.0)
        while rebuild_dirty(now=NOON):
            pass
        auditor = Client()
        auditor.force_login(User.objects.create(username="aud", organisation_role=User.OrganisationRole.AUDITOR))
        children = yaml.safe_load(auditor.get(f"/api/v1/manifest?{urlencode(DAY)}").content)["tree"]["children"]
        hours = [[one["timestamp"] for one in child["inputs"]] for child in children.values()]
        assert len(children) == 2 and all(len(of) == len(set(of)) for of in hours)


class TestAudit:
    @pytest.fixture
    def trail(self, secret: str, job: Job) -> dict:
        response = get(secret, "audit", job=job.key)
        assert response["Content-Disposition"].startswith("attachment; filename=")
        return response.json()

    def test_adds_up_to_the_totals_of_the_footprint(self, trail: dict, secret: str, job: Job) -> None:
        whole = get(secret, "footprint", job=job.key, **DAY).json()["totals"]
        grams = sum(row["co2e_location_g"][1] + row["embodied_g"][1] for row in trail["rows"])
        assert trail["totals"]["co2e_total_kg"]["mid"] == whole["co2e_total_kg"]["mid"] == pytest.approx(grams / 1000)

    def test_says_every_factor_with_value_source_and_licence(self, trail: dict) -> None:
        told = {factor["id"]: factor for factor in trail["factors"]}
        assert set(told) == {factor_id for row in trail["rows"] for factor_id in row["factors"]}
        grid = next(factor for factor_id, factor in told.items() if factor_id.startswith("intensity:FR"))
        assert grid["low"] < grid["value"] < grid["high"] and grid["unit"] == "g/kWh"
        assert grid["url"].startswith("https://") and grid["licence"]

    def test_fingerprints_the_readings_so_that_a_changed_one_shows(self, trail: dict, secret: str, job: Job) -> None:
        first = trail["readings"][0]
        assert first["count"] == 60 and len(first["sha256"]) == 64
        from accounting.models import DeviceSample

        DeviceSample.objects.filter(measured_at_us=int(EIGHT.timestamp() * 1e6)).update(power_w=1001.0)
        assert get(secret, "audit", job=job.key).json()["readings"][0]["sha256"] != first["sha256"]

    def test_says_what_was_restated_and_why(self, secret: str, job: Job) -> None:
        assert get(secret, "audit", job=job.key).json()["restatements"] == []
        rows = LedgerHour.objects.filter(job=job)
        restate(rows, reason="the meter was wrong", actor="ada", cause=Cause("device"), now=NOON)
        (one,) = get(secret, "audit", job=job.key).json()["restatements"]
        assert (one["reason"], one["state"]) == ("the meter was wrong", "pending")

    def test_names_the_methods_and_the_settings(self, trail: dict) -> None:
        assert trail["methods"] == sorted({row["method"] for row in trail["rows"]}) and trail["settings"]["max_gap_s"]
        assert {"emission_basis", "market_matching", "currency"} <= set(trail["settings"])


class TestRefusals:
    @pytest.mark.parametrize("what", ["manifest", "audit"])
    def test_say_what_is_missing(self, secret: str, what: str, job: Job) -> None:
        assert problem(get(secret, what)) == (422, "bad_period")
        assert problem(get(secret, what, job="nobody's")) == (404, "unknown_job")

    def test_of_another_teams_job_do_not_say_that_it_exists(self, job: Job) -> None:
        other = Team.objects.create(name="Speech", slug="speech-2")
        _, theirs = issue_token(name="reader", scopes=["read"], team=other)
        assert problem(get(theirs, "audit", job=job.key)) == (404, "unknown_job")

    def test_of_more_rows_than_a_file_should_hold(self, secret: str, job: Job, monkeypatch) -> None:
        monkeypatch.setattr(evidence, "MOST_ROWS", 1)
        assert problem(get(secret, "audit", job=job.key)) == (413, "too_many_rows")

    def test_of_a_job_that_came_to_nothing_yet(self, secret: str, team: Team) -> None:
        Job.objects.create(team=team, key="fresh", started_at=datetime(2026, 11, 1, tzinfo=UTC))
        assert problem(get(secret, "manifest", job="fresh")) == (404, "unknown_job")
