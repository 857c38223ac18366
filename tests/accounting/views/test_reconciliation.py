"""The reconciliation page: what it shows, how files come in, and who may see it."""

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounting.models import AuditEntry, Site, User, VendorFootprint, VendorReport
from tests.accounting.ingest.formats.test_vendor_carbon import AWS, EAST, aws_line, azure
from tests.accounting.ledger.rows import a_site
from tests.accounting.reports import rows

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin() -> Client:
    return signed_in(rows.an_administrator())


@pytest.fixture
def auditor() -> Client:
    return signed_in(rows.a_user("aud", organisation_role=User.OrganisationRole.AUDITOR))


def upload(client: Client, text: str, **said: str) -> Any:
    return client.post(reverse("reconciliation-import"), {"file": SimpleUploadedFile("aws.csv", text.encode()), **said})


def bring(client: Client, text: str, **said: str) -> Any:
    checked = upload(client, text, **said).context["checked"]
    return client.post(reverse("reconciliation-confirm"), {"checked": checked}, follow=True)


def text_of(answer: Any) -> str:
    return answer.content.decode()


class TestWhoSees:
    def test_is_for_those_who_see_everything(self, admin: Client, auditor: Client) -> None:
        member = signed_in(rows.a_user("eve", team=rows.a_team()))
        for client, seen in ((admin, True), (auditor, True), (member, False)):
            assert client.get(reverse("reconciliation")).status_code == (200 if seen else 403)
            assert client.get(reverse("reconciliation"), {"csv": "comparisons"}).status_code == (200 if seen else 403)
            in_navigation = f'href="{reverse("reconciliation")}"' in text_of(client.get(reverse("home")))
            assert in_navigation is seen
        assert Client().get(reverse("reconciliation")).status_code == 302

    def test_only_administrators_change_anything(self, admin: Client, auditor: Client) -> None:
        bring(admin, AWS + aws_line())
        report = VendorReport.objects.get()
        member = signed_in(rows.a_user("eve", team=rows.a_team()))
        for client in (auditor, member):
            assert upload(client, AWS + aws_line()).status_code == 403
            assert client.post(reverse("reconciliation-confirm"), {"checked": "x"}).status_code == 403
            assert client.post(reverse("reconciliation-remove", args=[report.pk])).status_code == 403
        page = text_of(auditor.get(reverse("reconciliation")))
        assert reverse("reconciliation-import") not in page and "Remove" not in page
        assert VendorReport.objects.count() == 1


class TestEmptyPage:
    def test_stands_beside_a_site_that_has_stated_nothing(self, admin: Client) -> None:
        Site.objects.create(name="Main site", slug="main")
        assert admin.get(reverse("reconciliation")).status_code == 200

    def test_says_where_each_export_is_found(self, admin: Client) -> None:
        page = text_of(admin.get(reverse("reconciliation")))
        assert "No report yet" in page and "Data Exports" in page and "BigQuery" in page
        assert "Microsoft.Carbon/carbonEmissionReports" in page


class TestImport:
    def test_shows_a_file_and_stores_it_when_confirmed(self, admin: Client) -> None:
        shown = upload(admin, AWS + aws_line() + aws_line(region=""))
        assert shown.context["provider"] == "AWS" and shown.context["unknown"] == ["global"]
        assert [(one["rows"], one["location_kg"]) for one in shown.context["months"]] == [(2, 1200.0)]
        assert not VendorReport.objects.exists()
        done = admin.post(reverse("reconciliation-confirm"), {"checked": shown.context["checked"]}, follow=True)
        assert "2 rows, 2 of them count" in text_of(done)
        report = VendorReport.objects.get()
        assert (report.file_name, report.imported_by, VendorFootprint.objects.count()) == ("aws.csv", "root", 2)
        assert AuditEntry.objects.get().action == "vendor.imported"

    def test_says_when_the_content_is_there_already(self, admin: Client) -> None:
        bring(admin, AWS + aws_line())
        assert "nothing changed" in text_of(bring(admin, AWS + aws_line()))
        assert AuditEntry.objects.count() == 1

    def test_files_azures_figure_under_what_was_stated(self, admin: Client) -> None:
        bring(admin, azure(EAST), month="2026-01", scopes="2-market")
        assert VendorFootprint.objects.get().scope2_market_kg == 120.5

    def test_names_what_is_wrong_and_offers_no_import(self, admin: Client) -> None:
        page = text_of(upload(admin, AWS + aws_line(unit="kgCO2e")))
        assert "line 2: total_lbm_emissions_unit" in page and "Import and compare" not in page
        assert "no provider&#x27;s columns" in text_of(upload(admin, "a,b\n1,2\n"))
        assert "state it at import" in text_of(upload(admin, azure(EAST)))
        assert "is no month" in text_of(upload(admin, azure(EAST), month="Jan 26"))

    def test_stores_nothing_that_was_not_shown(self, admin: Client) -> None:
        shown = upload(admin, AWS + aws_line()).context["checked"]
        for forged in ("", "x", shown[:-2] + "xx"):
            answer = admin.post(reverse("reconciliation-confirm"), {"checked": forged}, follow=True)
            assert "choose the file again" in text_of(answer)
        assert not VendorReport.objects.exists()


class TestPage:
    def test_shows_both_figures_the_difference_and_its_causes(self, admin: Client) -> None:
        a_site("virginia", cloud_provider="aws", cloud_region="us-east-1")
        bring(admin, AWS + aws_line())
        page = text_of(admin.get(reverse("reconciliation")))
        for words in ("Jan 2026 · us-east-1", "600", "Scope 3 against our embodied", "+150", "Cannot be compared",
                      "Our ledger has no hour of these sites"):  # fmt: skip
            assert words in page, words

    def test_csv_holds_both_bases_and_the_reports(self, admin: Client) -> None:
        bring(admin, AWS + aws_line())
        answer = admin.get(reverse("reconciliation"), {"csv": "comparisons"})
        location, market = csv.DictReader(io.StringIO(text_of(answer)))
        assert (location["theirs_kg"], market["theirs_kg"], location["verdict"]) == ("600.0", "270.0", "not comparable")
        (report,) = csv.DictReader(io.StringIO(text_of(admin.get(reverse("reconciliation"), {"csv": "reports"}))))
        assert (report["file"], report["state"], report["first_month"]) == ("aws.csv", "counts", "2026-01")

    def test_a_year_that_is_none_shows_the_latest(self, admin: Client) -> None:
        bring(admin, AWS + aws_line())
        assert admin.get(reverse("reconciliation"), {"year": "nineteen"}).context["year"] == 2026

    def test_a_report_is_removed_with_a_trail(self, admin: Client) -> None:
        bring(admin, AWS + aws_line())
        gone = admin.post(reverse("reconciliation-remove", args=[VendorReport.objects.get().pk]), follow=True)
        assert "is removed" in text_of(gone) and not VendorFootprint.objects.exists()
        assert AuditEntry.objects.first().action == "vendor.removed"
