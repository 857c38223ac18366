"""Contracts: entered, corrected, removed, imported; the ledger hears of each, and only administrators do it."""

import csv
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import AuditEntry, ContractHour, EnergyContract, LedgerHour, Site, StaleMatch
from tests.accounting.ledger.rows import EIGHT, NOON
from tests.accounting.reports import rows
from tests.golden.test_market_based import a_contract, four_hours

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=1)
SAID = {"name": "Nordsee", "kind": "ppa", "zone": "IE", "mwh": "0.04", "vintage": "2026", "g_per_kwh": "0"}
HEADER = "name,kind,zone,site,mwh,vintage,start,end,g_per_kwh,registry,reference,retired,note"


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


def market_g() -> list[float]:
    return [row.co2e_market_g for row in LedgerHour.objects.filter(hour__lt=NOON).order_by("hour")]


def upload(client: Client, name: str, text: str, **arguments: int):
    file = SimpleUploadedFile("x.csv", text.encode())
    return client.post(reverse(name, kwargs=arguments or None), {"file": file}, follow=True)


class TestEntering:
    def test_restates_the_market_based_figure(self, admin: Client) -> None:
        four_hours("annual")
        rebuild_dirty(now=LATER)
        assert market_g() == pytest.approx([15_000.0] * 4)
        answer = admin.post(reverse("contract-new"), SAID)
        contract = EnergyContract.objects.get()
        assert answer.url == reverse("contract", args=[contract.pk])
        assert (contract.start, contract.end) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
        rebuild_dirty(now=LATER)
        assert market_g() == pytest.approx([10_000.0] * 4)  # 40 of 120 kWh at nought
        assert AuditEntry.objects.get(action="contract.created").detail["mwh"] == 0.04

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"start": "2025-06-01T00:00"}, "one contract a year"),
            ({"start": "2026-06-01T00:00", "end": "2026-05-01T00:00"}, "before it starts"),
            ({"start": "2026-06-01T00:30"}, "Whole hours only"),
            ({"mwh": "-3"}, "greater than or equal"),
            ({"zone": "Atlantis"}, "Select a valid choice"),
        ],
    )
    def test_refuses_what_cannot_be(self, admin: Client, wrong: dict[str, str], words: str) -> None:
        page = admin.post(reverse("contract-new"), SAID | wrong)
        assert page.status_code == 200 and words in page.content.decode() and not EnergyContract.objects.exists()

    def test_refuses_the_same_certificate_twice(self, admin: Client) -> None:
        for _ in range(2):
            page = admin.post(reverse("contract-new"), SAID | {"registry": "AIB", "reference": "123"})
        assert "entered already" in page.content.decode() and EnergyContract.objects.count() == 1


class TestChanging:
    def test_what_it_emits_restates_the_hours_that_it_covers(self, admin: Client) -> None:
        contract = a_contract(20.0)
        four_hours("annual")
        rebuild_dirty(now=LATER)
        page = admin.get(reverse("contract", args=[contract.pk])).content.decode()
        assert "dublin" in page and "within the year" in page
        said = SAID | {"g_per_kwh": "100", "start": "2026-03-02T08:00", "end": "2026-03-02T10:00"}
        admin.post(reverse("contract", args=[contract.pk]), said)
        rebuild_dirty(now=LATER)
        assert market_g() == pytest.approx([11_000.0] * 4)  # 10 kWh at 100 and 20 at 500

    def test_removing_it_restates_them_without_it(self, admin: Client) -> None:
        contract = a_contract(20.0)
        four_hours("hourly")
        rebuild_dirty(now=LATER)
        admin.post(reverse("contract-delete", args=[contract.pk]))
        rebuild_dirty(now=LATER)
        assert market_g() == pytest.approx([15_000.0] * 4) and not EnergyContract.objects.exists()
        assert AuditEntry.objects.get(action="contract.deleted").detail["name"] == "Wind"

    def test_its_hours_of_generation_count_from_then_on(self, admin: Client) -> None:
        contract = a_contract(20.0)
        four_hours("hourly")
        rebuild_dirty(now=LATER)
        text = "hour,kwh\n2026-03-02T08:00Z,30\n"
        upload(admin, "contract-profile", text, contract_id=contract.pk)
        rebuild_dirty(now=LATER)
        assert market_g() == pytest.approx([0.0, 15_000.0, 15_000.0, 15_000.0], abs=1e-6)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("hour,kwh\n2026-03-02T08:00Z,50\n", "more than the contract"),
            ("hour,kwh\n2026-03-02T12:00Z,5\n", "outside the period"),
            ("hour,kwh\n2026-03-02T08:30Z,5\n", "not the start of an hour"),
            ("hour,kwh\n2026-03-02T08:00Z,5\n2026-03-02T08:00Z,5\n", "stands twice"),
            ("hour,kwh\n2026-03-02T08:00Z,many\n", "is no number"),
            ("when,kwh\n2026-03-02T08:00Z,5\n", "no column hour"),
        ],
    )
    def test_hours_that_cannot_be_are_refused_by_line(self, admin: Client, text: str, words: str) -> None:
        contract = a_contract(20.0)
        assert words in upload(admin, "contract-profile", text, contract_id=contract.pk).content.decode()
        assert not ContractHour.objects.exists()


class TestImporting:
    def test_shows_every_row_before_it_stores_any(self, admin: Client) -> None:
        Site.objects.create(name="Dublin", slug="dublin")
        text = f"{HEADER}\nA,ppa,IE,dublin,5,2026,,,,,,,\nB,certificate,FR,,7,2025,,,12,AIB,9,yes,=note\n"
        page = upload(admin, "contract-import", text)
        assert page.content.decode().count(">fine<") == 2 and not EnergyContract.objects.exists()
        admin.post(reverse("contract-import"), {"text": page.context["text"], "confirmed": "1"})
        first, second = EnergyContract.objects.order_by("name")
        assert (first.site.slug, first.mwh, first.g_per_kwh) == ("dublin", 5.0, 0.0)
        assert (second.retired, second.reference, second.g_per_kwh) == (True, "9", 12.0)

    def test_says_what_is_wrong_with_which_row_and_stores_none(self, admin: Client) -> None:
        text = f"{HEADER}\nA,ppa,IE,,5,2026,,,,,,,\nB,barter,FR,,x,2025,,,,,,maybe,\nC,ppa,FR,lund,1,2026,,,,,,,\n"
        page = upload(admin, "contract-import", text)
        good, bad, nowhere = page.context["rows"]
        assert not good.errors and (bad.line, nowhere.line) == (3, 4)
        assert [words.partition(":")[0] for words in bad.errors] == ["kind", "mwh", "retired"]
        assert nowhere.errors[0].startswith("site:")
        admin.post(reverse("contract-import"), {"text": text, "confirmed": "1"})
        assert not EnergyContract.objects.exists()

    def test_refuses_the_same_number_twice_in_a_file(self, admin: Client) -> None:
        line = "A,certificate,IE,,5,2026,,,,AIB,77,yes,"
        page = upload(admin, "contract-import", f"{HEADER}\n{line}\n{line}\n")
        assert "stands in line 2 too" in page.content.decode()

    @pytest.mark.parametrize("text", ["", "name,kind\nA,ppa\n", HEADER])
    def test_refuses_a_file_without_what_it_needs(self, admin: Client, text: str) -> None:
        assert "This cannot be read" in upload(admin, "contract-import", text or " ").content.decode()

    def test_reads_what_the_export_wrote(self, admin: Client) -> None:
        a_contract(20.0, registry="AIB", reference="1", note="-5 % if late", retired=True, kind="certificate")
        before = EnergyContract.objects.values("name", "zone", "mwh", "start", "end", "note", "retired", "kind").get()
        answer = admin.get(reverse("contracts") + "?csv=1")
        text = b"".join(answer.streaming_content if answer.streaming else [answer.content]).decode()
        assert next(csv.DictReader(text.splitlines()))["claimed_annual_mwh"] == "0.0"
        EnergyContract.objects.all().delete()
        admin.post(reverse("contract-import"), {"text": text, "confirmed": "1"})
        assert EnergyContract.objects.values(*before).get() == before


class TestReaders:
    def test_see_what_was_bought_and_change_nothing(self, client: Client) -> None:
        contract = a_contract(20.0)
        client.force_login(rows.a_user(team=rows.a_team()))
        assert b"Wind" in client.get(reverse("contracts")).content
        assert client.get(reverse("contract", args=[contract.pk])).status_code == 200
        assert client.post(reverse("contract", args=[contract.pk]), SAID).status_code == 404
        assert client.post(reverse("contract-delete", args=[contract.pk])).status_code == 403
        assert client.post(reverse("contract-profile", args=[contract.pk])).status_code == 403
        assert EnergyContract.objects.get().name == "Wind" and not StaleMatch.objects.exists()

    def test_of_nothing_are_told_what_would_stand_here(self, admin: Client) -> None:
        assert b"Nothing was bought yet" in admin.get(reverse("contracts")).content


class TestOverview:
    def test_shows_both_bases_side_by_side(self, admin: Client) -> None:
        a_contract(20.0)
        four_hours("annual", residual_g_per_kwh=None, grid_zone="IE")
        rebuild_dirty(now=LATER)
        day = f"{EIGHT:%Y-%m-%d}T00:00", f"{LATER:%Y-%m-%d}T00:00"
        text = admin.get(reverse("home") + f"?from={day[0]}&to={day[1]}&show=co2e_market").content.decode()
        assert "market-based:" in text and "CO₂e market-based" in text
