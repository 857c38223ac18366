"""Stating, correcting, withdrawing and importing own factors on the pages, and what the reports then say."""

import csv
import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounting.factorbook import catalog
from accounting.ledger.marking import mark_site
from accounting.ledger.rebuild import rebuild_dirty
from accounting.ledger.restate import settle
from accounting.models import AuditEntry, DirtyHour, Job, LedgerHour, OwnFactor, Restatement, Site, Team
from tests.accounting.ledger.rows import HOUR, a_device, a_site, hold, post
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db

FRANCE = {
    "quantity": "grid_intensity", "key": "fr", "value": "40", "low": "30", "high": "50", "unit": "g/kWh",
    "status": "MODELLED", "scope": "organisation", "source": "RTE", "reason": "the auditor asked",
}  # fmt: skip
COLUMNS = "quantity,key,value,low,high,unit,source,reason,site"


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


@pytest.fixture
def job() -> Job:
    """An hour of 1 kW in France, two hours ago, held by a team's job."""
    start = timezone.now().replace(minute=0, second=0, microsecond=0) - 2 * HOUR
    team = Team.objects.create(name="Vision", slug="vision")
    device = a_device(site=a_site(grid_zone="FR"), acquired_at=start, retired_at=start + HOUR, retirement="passed_on")
    job = Job.objects.create(key="train", team=team)
    hold(job, device, start, start + HOUR)
    post(device, range(0, 3600, 60), 1000.0, start=start)
    remade()
    return job


def remade() -> None:
    while rebuild_dirty(now=timezone.now()):
        pass
    settle(now=timezone.now())


def text(*lines: str) -> str:
    return "\n".join((COLUMNS, *lines))


def said(client: Client, address: str) -> str:
    return client.get(address).content.decode()


class TestStating:
    def test_writes_restates_and_shows_on_every_report_what_stood_before(self, admin: Client, job: Job) -> None:
        answer = admin.post(reverse("own-factor-new"), FRANCE, follow=True)
        own = OwnFactor.objects.get()
        assert (own.key, own.created_by) == (
            "FR",
            "root",
        ) and "1 device-hour is being restated" in answer.content.decode()
        for address in (reverse("home"), reverse("team", args=[job.team_id]), reverse("job", args=[job.pk])):
            assert "Being restated" in said(admin, address)
        remade()
        row = LedgerHour.objects.get()
        assert row.co2e_location_g == pytest.approx(row.facility_energy_kwh * 40.0)
        device = reverse("device", args=[row.device_id])
        for address in (reverse("home"), reverse("team", args=[job.team_id]), reverse("job", args=[job.pk]), device):
            page = said(admin, address)
            assert "<strong>Restated on" in page and "the auditor asked" in page, address
        assert "→" in said(admin, device)
        assert own.factor_id in said(admin, reverse("job", args=[job.pk]))
        assert AuditEntry.objects.get(action="own_factor.stated").subject == own.factor_id

    def test_that_breaks_a_rule_says_so_at_the_field(self, admin: Client) -> None:
        page = admin.post(reverse("own-factor-new"), FRANCE | {"value": "4000", "high": "5000"})
        assert "value" in page.context["form"].errors and "between 0 and 2000 g/kWh" in page.content.decode()
        assert not OwnFactor.objects.exists()

    def test_an_override_starts_out_as_the_packaged_factor_stands(self, admin: Client) -> None:
        page = admin.get(reverse("own-factor-new"), {"of": "grid_intensity", "key": "FR"})
        packaged = catalog().get("grid_intensity", "FR")
        assert page.context["form"].initial["value"] == packaged.value.mid
        listed = said(admin, reverse("factors") + "?q=intensity:FR:2023")
        assert "?of=grid_intensity&amp;key=FR" in listed

    def test_correcting_keeps_the_first_version_and_withdrawing_asks_why(self, admin: Client, job: Job) -> None:
        stood = LedgerHour.objects.get().co2e_location_g
        admin.post(reverse("own-factor-new"), FRANCE)
        first = OwnFactor.objects.get()
        admin.post(reverse("own-factor-correct", args=[first.pk]), FRANCE | {"value": "45", "reason": "a misprint"})
        second = OwnFactor.objects.get(version=2)
        page = said(admin, reverse("own-factor", args=[second.pk]))
        assert "a misprint" in page and "superseded" in page and "the auditor asked" in page
        withdraw = reverse("own-factor-withdraw", args=[second.pk])
        assert "reason: is empty" in admin.post(withdraw, {"reason": " "}, follow=True).content.decode()
        admin.post(withdraw, {"reason": "contract ended"})
        remade()
        assert LedgerHour.objects.get().co2e_location_g == stood
        assert not OwnFactor.objects.in_force().exists()
        assert "contract ended" in said(admin, reverse("own-factor", args=[second.pk]))

    def test_is_for_administrators_and_reading_for_everybody(self, client: Client) -> None:
        client.force_login(rows.a_user())
        assert client.get(reverse("own-factors")).status_code == 200
        for name in ("own-factor-new", "own-factors-import"):
            assert client.post(reverse(name), FRANCE).status_code == 403
        assert not OwnFactor.objects.exists()
        assert reverse("own-factor-new") not in said(client, reverse("factors"))


class TestRestatementPages:
    def test_show_before_and_after_with_a_file(self, admin: Client, job: Job) -> None:
        before = LedgerHour.objects.get().co2e_location_g
        admin.post(reverse("own-factor-new"), FRANCE)
        remade()
        one, after = Restatement.objects.get(), LedgerHour.objects.get().co2e_location_g
        assert "the auditor asked" in said(admin, reverse("restatements"))
        page = admin.get(reverse("restatement", args=[one.pk]))
        lines = {line.words: line for line in page.context["lines"]}
        assert lines["Operational CO₂e"].before.mid == before and lines["Operational CO₂e"].after.mid == after
        (row,) = csv.DictReader(io.StringIO(said(admin, reverse("restatement", args=[one.pk]) + "?csv=1")))
        assert (float(row["co2e_location_g_before"]), float(row["co2e_location_g_after"])) == (before, after)
        assert row["it_energy_kwh_before"] == row["it_energy_kwh_after"] and row["team"] == "Vision"

    def test_say_not_known_and_not_nought_where_no_contract_or_mix_was_known(self, admin: Client, job: Job) -> None:
        site = Site.objects.get()
        site.terms.update(grid_zone="BR")  # nobody publishes a residual mix there
        mark_site(site, since=timezone.now() - timedelta(days=1), now=timezone.now())
        remade()
        terms = {"terms-valid_from": "2026-01-01T00:00", "terms-grid_zone": "DE"}
        admin.post(reverse("site", args=[site.pk]), terms)
        remade()
        address = reverse("restatement", args=[Restatement.objects.get().pk])
        page = admin.get(address)
        market = next(line for line in page.context["lines"] if "market" in line.words)
        assert market.before is None and market.after.mid > 0 and "not known" in page.content.decode()
        (row,) = csv.DictReader(io.StringIO(said(admin, address + "?csv=1")))
        assert row["co2e_market_g_before"] == "" and float(row["co2e_market_g_after"]) == market.after.mid

    def test_hide_what_touched_other_teams_only(self, admin: Client, job: Job) -> None:
        admin.post(reverse("own-factor-new"), FRANCE)
        stranger = Client()
        stranger.force_login(rows.a_user("eve", team=Team.objects.create(name="Speech", slug="speech")))
        assert "the auditor asked" not in said(stranger, reverse("restatements"))
        assert stranger.get(reverse("restatement", args=[Restatement.objects.get().pk])).status_code == 404

    def test_an_edit_of_the_terms_restates_once_and_the_same_again_not(self, admin: Client, job: Job) -> None:
        site = Site.objects.get()
        terms = {"terms-valid_from": "2026-01-01T00:00", "terms-grid_zone": "DE"}
        for _ in range(2):
            admin.post(reverse("site", args=[site.pk]), terms)
        one = Restatement.objects.get()
        assert (one.cause, one.site, one.hours) == ("site_terms", site, 1)


class TestDrivers:
    def test_name_the_inputs_of_a_job_a_team_and_a_device(self, admin: Client, job: Job) -> None:
        device = LedgerHour.objects.get().device_id
        for query in (f"job={job.pk}", f"period=24h&team={job.team_id}", f"period=24h&device={device}", "period=24h"):
            page = admin.get(f"{reverse('drivers')}?{query}")
            found = page.context["drivers"]
            assert sum(one.share for one in found) == pytest.approx(1.0, abs=0.02), query
            assert any("Grid intensity of France 2025" in one.words for one in found)
            assert any("power sensor" in one.words for one in found)

    def test_follow_an_own_factor(self, admin: Client, job: Job) -> None:
        exact = FRANCE | {"low": "40", "high": "40", "reason": "a meter"}
        admin.post(reverse("own-factor-new"), exact)
        remade()
        found = admin.get(f"{reverse('drivers')}?job={job.pk}").context["drivers"]
        assert not any("Grid intensity" in one.words for one in found)

    def test_of_another_teams_job_are_not_there(self, client: Client, job: Job) -> None:
        client.force_login(rows.a_user())
        assert client.get(f"{reverse('drivers')}?job={job.pk}").status_code == 404


class TestImport:
    GOOD = "grid_intensity,FR,40,30,50,g/kWh,RTE,the auditor asked,"

    def test_previews_without_a_trace_then_writes(self, admin: Client, job: Job) -> None:
        lines = text(self.GOOD)
        page = admin.post(reverse("own-factors-import"), {"text": lines, "scope": "organisation"})
        assert "Preview: 1 new" in page.content.decode() and "1 device-hour would be restated" in page.content.decode()
        assert not OwnFactor.objects.exists() and not DirtyHour.objects.exists() and not Restatement.objects.exists()
        admin.post(reverse("own-factors-import"), {"text": lines, "scope": "organisation", "confirm": "1"})
        assert OwnFactor.objects.get().value == 40.0 and Restatement.objects.get().hours == 1
        page = admin.post(reverse("own-factors-import"), {"text": lines, "scope": "organisation"})
        assert "Everything stands so already" in page.content.decode()

    def test_takes_its_own_export_back_as_the_same(self, admin: Client) -> None:
        site = a_site()
        admin.post(reverse("own-factor-new"), FRANCE | {"reason": "=1+1", "valid_from": "2026-01-01T00:00"})
        admin.post(reverse("own-factor-new"), FRANCE | {"scope": f"site:{site.pk}", "value": "42.123456789012345"})
        exported = said(admin, reverse("own-factors") + "?csv=1&all=1")
        page = admin.post(reverse("own-factors-import"), {"text": exported})
        assert not page.context["report"].errors
        assert page.context["counts"] == {"new": 0, "corrected": 0, "same": 2}

    def test_names_line_column_value_and_remedy_and_writes_nothing(self, admin: Client) -> None:
        lines = text(
            self.GOOD,
            "grid_intensity,DE,4x0,,,g/kWh,UBA,asked,",
            "pue,default,1.2,1.3,1.4,1,us,measured,",
            "pue,default,1.2,1.1,1.4,1,us,measured,atlantis",
        )
        page = admin.post(reverse("own-factors-import"), {"text": lines, "confirm": "1"})
        found = {(one.line, one.column, one.value) for one in page.context["report"].errors}
        assert found == {(3, "value", "4x0"), (4, "value", "1.2"), (5, "site", "atlantis")}
        assert not OwnFactor.objects.exists()

    @pytest.mark.parametrize("wrong", ["", "quantity,key\nwue,default", "a,b,c\n1,2,3"])
    def test_refuses_what_is_no_such_file(self, admin: Client, wrong: str) -> None:
        assert admin.post(reverse("own-factors-import"), {"text": wrong, "confirm": "1"}).status_code == 200
        assert not OwnFactor.objects.exists()


class TestCommand:
    def test_dry_run_then_import_then_the_same_again(self, tmp_path, job: Job, capsys) -> None:
        file = tmp_path / "own.csv"
        file.write_text(text(TestImport.GOOD))
        call_command("import_factors", str(file), "--dry-run")
        assert "1 device-hours would be restated (dry run" in capsys.readouterr().out
        assert not OwnFactor.objects.exists()
        call_command("import_factors", str(file), "--team", "vision")
        assert OwnFactor.objects.get().team == job.team
        call_command("import_factors", str(file), "--team", "vision")
        assert "0 new, 0 corrected, 1 the same; 0 device-hours" in capsys.readouterr().out
        assert OwnFactor.objects.count() == 1

    def test_says_every_fault_and_fails(self, tmp_path, capsys) -> None:
        file = tmp_path / "own.csv"
        file.write_text(text("grid_intensity,FR,4000,30,5000,kg/kWh,RTE,asked,"))
        with pytest.raises(CommandError, match="nothing was imported"):
            call_command("import_factors", str(file))
        assert "line 2, unit 'kg/kWh': grid_intensity FR is in g/kWh: convert it" in capsys.readouterr().err
        with pytest.raises(CommandError, match="no site has the slug"):
            call_command("import_factors", str(file), "--site", "atlantis")
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("import_factors", str(tmp_path / "none.csv"))


class TestAllowances:
    def test_far_hours_are_left_alone(self, admin: Client, job: Job) -> None:
        later = (timezone.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:00")
        admin.post(reverse("own-factor-new"), FRANCE | {"valid_from": later})
        assert OwnFactor.objects.exists() and not Restatement.objects.exists()
