"""The list of jobs and the page of one."""

import csv
import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounting.models import Job, JobMark, Project
from accounting.reports.queries import job_totals
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


def this_hour():
    return timezone.now().replace(minute=0, second=0, microsecond=0)


def a_job(key: str = "slurm-1", kwh: float = 2.0) -> Job:
    team, _ = rows.Team.objects.get_or_create(name="Vision", slug="vision")
    project, _ = Project.objects.get_or_create(team=team, slug="ranker", defaults={"name": "Ranker"})
    job = Job.objects.create(team=team, project=project, key=key, name=f"train {key}", started_at=timezone.now())
    device = rows.Device.objects.first() or rows.a_device()
    rows.ledger_hour(device, this_hour(), kwh=kwh, job=job)
    return job


class TestJobList:
    def test_lists_the_heaviest_first_and_exports_just_what_it_shows(self, admin: Client) -> None:
        for key, kwh in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
            a_job(key, kwh)
        page = admin.get(reverse("jobs") + "?q=train")
        assert [line.key for line in page.context["lines"]] == ["b", "c", "a"]
        exported = admin.get(reverse("jobs") + page.context["csv_url"].replace("q=train", "q=train+b"))
        (row,) = csv.DictReader(exported.content.decode().splitlines())
        assert (row["key"], float(row["co2e_g"])) == ("b", 910.0)

    def test_keeps_the_search_in_the_period_links(self, admin: Client) -> None:
        choices = admin.get(reverse("jobs") + "?q=x&period=7d").context["period_choices"]
        assert ("Last 30 days", "?q=x&period=30d", False) in choices

    def test_says_why_it_is_empty(self, admin: Client) -> None:
        assert b"GREENAI_JOB_ID" in admin.get(reverse("jobs")).content
        assert b"No job matches" in admin.get(reverse("jobs") + "?q=nope").content


class TestJobPage:
    def test_shows_the_ledgers_totals_with_ranges_and_the_factors_behind(self, admin: Client) -> None:
        job = a_job()
        page = admin.get(reverse("job", args=[job.pk]))
        text = page.content.decode()
        assert page.context["totals"] == job_totals(job)
        assert "610 <small>g" in text and "305 – 1,220 g" in text  # 2 kWh x 300 g + 10 g, half to double
        assert "intensity:FR:2023" in text and "2026.1" in text

    def test_gives_the_job_away_as_files_for_auditors_and_a_model_card(self, admin: Client) -> None:
        job = a_job()
        text = admin.get(reverse("job", args=[job.pk])).content.decode()
        links = [html.unescape(link) for link in re.findall(r'href="(/api/v1/[^"]+)"', text)]
        assert [urlsplit(link).path.rpartition("/")[2] for link in links] == ["audit", "manifest", "model-card"]
        assert all(parse_qs(urlsplit(link).query)["job"] == [job.key] for link in links)
        assert b"co2_eq_emissions:" in admin.get(links[-1]).content

    def test_marks_a_job_that_holds_a_device_as_running(self, admin: Client) -> None:
        job = a_job()
        JobMark.objects.create(job=job, device=rows.Device.objects.get(), started_at_us=1)
        assert b"still running" in admin.get(reverse("job", args=[job.pk])).content

    def test_names_the_devices_of_its_energy_where_nothing_marked_them(self, admin: Client) -> None:
        job = a_job()
        rows.ledger_hour(rows.a_device("codecarbon-cpu"), this_hour(), kwh=1.0, job=job)
        JobMark.objects.create(job=job, device=rows.a_device("gpu-held"), started_at_us=1, ended_at_us=2)
        keys = {device.key for device in admin.get(reverse("job", args=[job.pk])).context["devices"]}
        assert {"codecarbon-cpu", "gpu-held"} < keys and len(keys) == 3

    def test_draws_its_hours_and_exports_them(self, admin: Client) -> None:
        job = a_job()
        rows.ledger_hour(rows.a_device("gpu-7"), this_hour() - HOUR, kwh=1.0, job=job)
        (trace, *_) = admin.get(reverse("job-energy", args=[job.pk])).json()["data"]
        assert trace["y"] == pytest.approx([1.0, 2.0])
        exported = list(
            csv.DictReader(admin.get(reverse("job", args=[job.pk]) + "?csv=1").content.decode().splitlines())
        )
        assert [float(row["it_energy_kwh"]) for row in exported] == [1.0, 2.0]
        assert admin.get(reverse("job-power", args=[job.pk])).json()["data"] == []

    def test_stands_before_anything_is_in_the_ledger(self, admin: Client) -> None:
        job = Job.objects.create(key="new")
        assert b"not in the ledger yet" in admin.get(reverse("job", args=[job.pk])).content

    def test_escapes_what_a_poster_named_it(self, admin: Client) -> None:
        job = Job.objects.create(key="x", name="<script>alert(1)</script>")
        assert b"<script>alert" not in admin.get(reverse("job", args=[job.pk])).content


class TestTeams:
    def test_show_what_each_came_to_and_what_nobody_answers_for(self, admin: Client) -> None:
        a_job()
        rows.ledger_hour(rows.a_device("idle"), this_hour(), kwh=1.0)
        page = admin.get(reverse("teams"))
        ((team, part),) = page.context["lines"]
        assert (team.name, part.totals.it_energy_kwh.mid) == ("Vision", 2.0)
        assert page.context["nobody"].totals.it_energy_kwh.mid == 1.0

    def test_page_counts_the_team_alone_and_splits_to_the_same_sum(self, admin: Client) -> None:
        job = a_job()
        rows.ledger_hour(rows.a_device("idle"), this_hour(), kwh=1.0)
        for by in ("project", "site", "device"):
            page = admin.get(reverse("team", args=[job.team_id]) + f"?by={by}")
            assert page.context["totals"].it_energy_kwh.mid == 2.0
            assert sum(part.totals.it_energy_kwh.mid for part in page.context["parts"]) == 2.0
            exported = admin.get(page.context["csv_url"]).content.decode()
            assert sum(float(row["it_energy_kwh"]) for row in csv.DictReader(exported.splitlines())) == 2.0
            assert admin.get(page.context["chart_url"]).json()["data"]

    def test_are_made_by_administrators_and_get_projects_from_their_members(self, admin: Client) -> None:
        assert admin.post(reverse("team-new"), {"name": "Speech & Audio"}).status_code == 302
        team = rows.Team.objects.get(slug="speech-audio")
        member = Client()
        member.force_login(rows.a_user(team=team))
        for _ in range(2):
            member.post(reverse("project-new", args=[team.pk]), {"name": "ASR"})
        assert set(team.projects.values_list("slug", flat=True)) == {"asr", "asr-2"}
