"""The panel that puts CodeCarbon's own figure beside the ledger's."""

import uuid
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounting.access import issue_token
from accounting.ingest.codecarbon import Told, begin_run, experiment_of, take_emission
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import ApiToken, CodeCarbonEmission, CodeCarbonRun, DirtyHour, Host, Job, Site, SiteTerms, Team
from accounting.reports.codecarbon import ToldByCodeCarbon, told_by_codecarbon
from accounting.reports.queries import job_totals
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db
NOW = datetime(2025, 11, 22, tzinfo=UTC)
NOON_US = 1_763_640_000_000_000  # 2025-11-20T12:00:00Z


@pytest.fixture
def token() -> ApiToken:
    team = Team.objects.create(name="Vision", slug="vision")
    return issue_token(name="t", scopes=["ingest"], team=team)[0]


def a_run(token: ApiToken, told: Told | None = None) -> CodeCarbonRun:
    said = {"timestamp": NOW, "experiment_id": "x", "cpu_model": "Xeon", "ram_total_size": 64.0}
    return begin_run(said, told or Told(), token=token, now=NOW)


def tell(run: CodeCarbonRun, token: ApiToken, at_s: int, kwh: float, kg: float, duration_s: int = 3600) -> None:
    row = CodeCarbonEmission(id=uuid.uuid4(), at_us=NOON_US + at_s * 1_000_000, duration_s=duration_s, energy_kwh=kwh,
                             cpu_kwh=kwh, gpu_kwh=0.0, ram_kwh=0.0, emissions_kg=kg)  # fmt: skip
    take_emission(run.pk, row, token=token, now=NOW)


def placed_in(zone: str) -> None:
    """Everything stands at a site of this grid."""
    site = Site.objects.create(name="Paris", slug="paris")
    SiteTerms.objects.create(site=site, grid_zone=zone, pue=1.4, valid_from=datetime(2020, 1, 1, tzinfo=UTC))
    Host.objects.update(site=site)


def panel(run: CodeCarbonRun) -> ToldByCodeCarbon:
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOW)
    job = Job.objects.get(key=run.job_key)
    found = told_by_codecarbon(job, job_totals(job))
    assert found is not None
    return found


class TestThePanel:
    def test_adds_up_what_was_posted_and_says_why_the_ledger_differs(self, token: ApiToken) -> None:
        # 1.2 + 1.2 kWh with a PUE of 1.2 in them: 2 kWh of IT energy; 0.24 kg, so 100 g/kWh
        run = a_run(token, Told(pue=1.2))
        tell(run, token, 0, 1.2, 0.12), tell(run, token, 3600, 1.2, 0.12)
        placed_in("FR")
        found = panel(run)
        assert (found.posted_kwh, found.posted_g, found.it_kwh) == (2.4, 240.0, pytest.approx(2.0))
        assert found.factor_g_per_kwh == pytest.approx(100.0)
        told = " ".join(found.reasons)
        assert "PUE: 1.2 is in CodeCarbon's energy, 1.4 in the ledger's" in told
        assert "CodeCarbon took 100 g/kWh" in told and "L of water" in told
        assert "energy:" not in told and not any("taken for 1" in note for note in found.notes)

    def test_makes_every_guess_visible(self, token: ApiToken) -> None:
        run = a_run(token)
        tell(run, token, 0, 1.0, 0.1), tell(run, token, 10_800, 1.0, 0.1)  # an hour of three got lost
        notes = " ".join(panel(run).notes)
        for words in ("taken for 1", "one host here", "1 time a post got lost", "never sent"):
            assert words in notes

    def test_says_that_another_run_told_of_the_same_machine(self, token: ApiToken) -> None:
        one, two, apart = a_run(token), a_run(token), a_run(token, Told(host="node-2"))
        for run in (one, two, apart):
            tell(run, token, 0, 1.0, 0.1)
        assert any("1 other run told of the same machine" in note for note in panel(one).notes)
        assert any("the ledger counts 0.5 kWh" in reason for reason in panel(one).reasons)
        assert not any("same machine" in note for note in panel(apart).notes)

    def test_notes_a_country_that_is_not_the_sites(self, token: ApiToken) -> None:
        experiment_of(token, "x", now=NOW, name="x", place={"country_iso_code": "DEU"})
        run = a_run(token)
        tell(run, token, 0, 1.0, 0.1)
        assert any("ran in DE;" in note and "no site" in note for note in panel(run).notes)
        placed_in("FR")
        assert any("draws from FR" in note for note in panel(run).notes)

    def test_stands_on_the_page_of_the_job_and_on_no_other(self, token: ApiToken, client: Client) -> None:
        run = a_run(token)
        tell(run, token, 0, 1.0, 0.1)
        panel(run)
        client.force_login(rows.an_administrator())
        page = client.get(reverse("job", args=[Job.objects.get().pk])).content.decode()
        assert "As CodeCarbon told it" in page and "Why they differ" in page
        other = Job.objects.create(team=token.team, key="slurm-1")
        assert "CodeCarbon told" not in client.get(reverse("job", args=[other.pk])).content.decode()
