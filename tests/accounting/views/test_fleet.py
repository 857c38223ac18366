"""Sites, hosts and devices."""

import csv

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounting.models import AuditEntry, DirtyHour, Host, SampleConflict, Site, SiteTerms
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


def this_hour():
    return timezone.now().replace(minute=0, second=0, microsecond=0)


def terms(**said: object) -> dict[str, object]:
    return {"terms-valid_from": "2026-01-01T00:00", **{f"terms-{name}": value for name, value in said.items()}}


class TestFleetPage:
    def test_shows_each_device_with_its_power_and_energy(self, admin: Client) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        device, silent = rows.a_device(site=site), rows.a_device("gpu-1", site=site)
        rows.ledger_hour(device, this_hour(), kwh=2.5)
        rows.sample(device, timezone.now(), 321.0)
        SampleConflict.objects.create(
            device=silent, measured_at_us=1, stored={}, offered={}, received_at=timezone.now()
        )
        page = admin.get(reverse("fleet"))
        text = page.content.decode()
        assert "321 W" in text and "2.50 kWh" in text and '<span class="badge warn">1</span>' in text
        assert {line.device.key: line.state for line in page.context["lines"]} == {"gpu-0": "live", "gpu-1": "silent"}
        assert "not stated" in text

    def test_costs_the_same_for_many_devices(self, admin: Client, django_assert_max_num_queries) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        for number in range(12):
            rows.ledger_hour(rows.a_device(f"gpu-{number}", site=site), this_hour())
        with django_assert_max_num_queries(22):
            admin.get(reverse("fleet"))

    def test_exports_every_device(self, admin: Client) -> None:
        rows.ledger_hour(rows.a_device("=cmd"), this_hour(), kwh=2.5)
        answer = admin.get(reverse("fleet") + "?csv=1")
        (row,) = csv.DictReader(
            b"".join(answer.streaming_content if answer.streaming else [answer.content]).decode().splitlines()
        )
        assert (row["device"], row["it_energy_kwh"], row["co2e_g"]) == ("'=cmd", "2.5", "760.0")

    def test_says_what_to_do_with_no_machine(self, admin: Client) -> None:
        assert b"Make a token" in admin.get(reverse("fleet")).content


class TestSitePage:
    def test_asks_for_a_zone_and_calls_figures_default_until_it_has_one(self, admin: Client) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        before = admin.get(reverse("site", args=[site.pk])).content
        assert b"Nobody has said where Lyon stands" in before
        saved = admin.post(reverse("site", args=[site.pk]), terms(grid_zone="FR", pue="1.3"))
        assert saved.status_code == 302
        after = admin.get(reverse("site", args=[site.pk])).content
        assert b"Nobody has said" not in after and b"41.4" in after

    def test_saving_terms_marks_the_hours_since_for_restating_and_no_others(self, admin: Client) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        device, elsewhere = rows.a_device(site=site), rows.a_device(host="elsewhere")
        for back in (1, 5, 30):
            rows.ledger_hour(device, this_hour() - back * HOUR)
            rows.ledger_hour(elsewhere, this_hour() - back * HOUR)
        since = this_hour() - 6 * HOUR
        admin.post(
            reverse("site", args=[site.pk]),
            terms(grid_zone="FR", valid_from=since.strftime("%Y-%m-%dT%H:%M")),
        )
        assert SiteTerms.objects.get().valid_from == since
        marked = set(DirtyHour.objects.values_list("device_id", "hour"))
        assert marked == {(device.pk, this_hour() - back * HOUR) for back in (1, 5)}
        assert AuditEntry.objects.filter(action="site.terms", subject="Lyon").count() == 1

    def test_stating_terms_twice_for_one_moment_replaces_them(self, admin: Client) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        for pue in ("1.3", "1.4"):
            admin.post(reverse("site", args=[site.pk]), terms(pue=pue))
        assert SiteTerms.objects.get().pue == 1.4

    @pytest.mark.parametrize(
        ("said", "words"),
        [({"pue": "0.8"}, b"greater than or equal to 1"), ({"grid_zone": "ATLANTIS"}, b"Select a valid choice"),
         ({"valid_from": "2099-01-01T00:00"}, b"more than a year ahead"), ({"valid_from": ""}, b"required"),
         ({"electricity_price_per_kwh": "-1"}, b"greater than or equal to 0"), ({"pue": "nan"}, b"Enter a number")],
    )  # fmt: skip
    def test_refuses_nonsense_where_it_stands(self, admin: Client, said: dict[str, str], words: bytes) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        assert words in admin.post(reverse("site", args=[site.pk]), terms(**said)).content
        assert not SiteTerms.objects.exists()

    def test_reads_times_in_the_readers_zone(self, client: Client) -> None:
        user = rows.an_administrator()
        user.time_zone = "Europe/Paris"
        user.save()
        client.force_login(user)
        site = Site.objects.create(name="Lyon", slug="lyon")
        client.post(reverse("site", args=[site.pk]), terms(grid_zone="FR"))
        assert SiteTerms.objects.get().valid_from.isoformat() == "2025-12-31T23:00:00+00:00"


class TestPlacingAHost:
    def test_moves_it_and_restates_its_hours(self, admin: Client) -> None:
        site, device = Site.objects.create(name="Lyon", slug="lyon"), rows.a_device(team=rows.a_team())
        rows.ledger_hour(device, this_hour() - HOUR)
        assert b"At no site yet" in admin.get(reverse("fleet")).content
        admin.post(reverse("host", args=[device.host_id]), {"site": site.pk})
        assert Host.objects.get().site == site
        assert list(DirtyHour.objects.values_list("device_id", "hour")) == [(device.pk, this_hour() - HOUR)]

    def test_refuses_a_name_that_the_site_has_already(self, admin: Client) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        rows.a_device(site=site)
        lost = rows.a_device()
        answer = admin.post(reverse("host", args=[lost.host_id]), {"site": site.pk})
        assert b"already has a host named node-1" in answer.content


class TestDevicePage:
    def test_shows_the_same_totals_as_the_ledger_and_its_conflicts(self, admin: Client) -> None:
        device = rows.a_device(site=Site.objects.create(name="Lyon", slug="lyon"))
        rows.ledger_hour(device, this_hour(), kwh=2.0)
        rows.ledger_hour(rows.a_device("other"), this_hour(), kwh=50.0)
        SampleConflict.objects.create(
            device=device, measured_at_us=1, stored={"power_w": 1}, offered={"power_w": 9}, received_at=timezone.now()
        )
        page = admin.get(reverse("device", args=[device.pk]))
        assert page.context["totals"].it_energy_kwh.mid == 2.0
        assert "2.00 <small>kWh" in page.content.decode() and "offered" in page.content.decode()
        drawn = admin.get(reverse("device-trend", args=[device.pk])).json()
        assert sum(y or 0 for y in drawn["data"][0]["y"]) == pytest.approx(610.0)

    def test_draws_the_power_of_the_last_hour(self, admin: Client) -> None:
        device = rows.a_device()
        for minutes in (5, 30, 90):
            rows.sample(device, timezone.now() - minutes * HOUR / 60, 100.0 + minutes)
        (line,) = admin.get(reverse("device-power", args=[device.pk])).json()["data"]
        assert line["y"] == [130.0, 105.0]

    def test_takes_corrections_and_restates(self, admin: Client) -> None:
        device = rows.a_device()
        rows.ledger_hour(device, this_hour() - HOUR)
        said = {"model": "H100", "kind": "gpu", "tdp_w": "700", "acquired_at": "2026-01-01T00:00", "embodied_kg": "120"}
        refused = admin.post(reverse("device-edit", args=[device.pk]), {**said, "retired_at": "2025-01-01T00:00"})
        assert b"not before" in refused.content and not DirtyHour.objects.exists()
        assert admin.post(reverse("device-edit", args=[device.pk]), said).status_code == 302
        device.refresh_from_db()
        assert (device.tdp_w, device.embodied_kg, DirtyHour.objects.count()) == (700.0, 120.0, 1)


class TestNewSite:
    def test_gets_a_slug_of_its_own(self, admin: Client) -> None:
        for name in ("Lyon", "Lyon!"):
            assert admin.post(reverse("site-new"), {"name": name, "time_zone": "UTC"}).status_code == 302
        assert set(Site.objects.values_list("slug", flat=True)) == {"lyon", "lyon-2"}
        again = admin.post(reverse("site-new"), {"name": "LYON", "time_zone": "UTC"})
        assert b"There is one named LYON already" in again.content


class TestZones:
    def test_names_every_place_and_groups_the_parts_of_a_country(self, admin: Client) -> None:
        site = Site.objects.create(name="Oslo", slug="oslo")
        text = admin.get(reverse("site", args=[site.pk])).content.decode()
        assert '<optgroup label="Countries">' in text and '<option value="FR">France (FR)</option>' in text
        assert '<optgroup label="Norway, by part">' in text
        assert text.index('label="Countries"') < text.index('value="NO"') < text.index('value="NO-NO1"')
