"""The grid page: what is known of hours, who may change it, and files."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounting.models import AuditEntry, DirtyHour, GridFeed, GridHour, SiteTerms
from tests.accounting.ledger.rows import a_site
from tests.accounting.reports import rows
from tests.accounting.reports.rows import DAY, HOUR, NINE

pytestmark = pytest.mark.django_db
HEAD = "# unit: g/kWh\n# basis: lifecycle\ndatetime,zone,value\n"


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


@pytest.fixture
def member() -> Client:
    client = Client()
    client.force_login(rows.a_user("eve"))
    return client


def this_hour():
    return timezone.now().replace(minute=0, second=0, microsecond=0)


def a_feed(**fields: Any) -> GridFeed:
    usual = {"provider": "uk-carbon-intensity", "zone": "GB", "area": "GB", "emission_basis": "direct"}
    return GridFeed.objects.create(**(usual | fields))


def an_hour(hour=None, g: float = 40.0, **fields: Any) -> GridHour:
    usual = {"zone": "FR", "signal": "average", "emission_basis": "lifecycle", "flow": "consumption", "provider": "csv"}
    at = hour or this_hour() - HOUR
    return GridHour.objects.create(**(usual | fields), hour=at, value_g_per_kwh=g, fetched_at=at + HOUR)


def csv_rows(client: Client, **query: str) -> list[dict[str, str]]:
    answer = client.get(reverse("grid"), query)
    assert answer["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def states(client: Client) -> dict[str, str]:
    return {line.feed.provider: line.state for line in client.get(reverse("grid")).context["lines"]}


def upload(client: Client, text: str) -> Any:
    return client.post(reverse("grid-import"), {"file": SimpleUploadedFile("hours.csv", text.encode())})


class TestGridPage:
    def test_says_that_everything_works_without_a_feed_and_what_each_provider_needs(self, admin: Client) -> None:
        text = admin.get(reverse("grid")).content.decode()
        assert "No feed yet" in text and "a key in ELECTRICITY_MAPS_TOKEN" in text and "it wants no key" in text

    def test_is_for_everybody_who_is_signed_in_and_offers_changes_to_administrators_only(self, member: Client) -> None:
        a_feed()
        text = member.get(reverse("grid")).content.decode()
        assert "Switch off" not in text and reverse("grid-feed-new") not in text
        assert Client().get(reverse("grid")).status_code == 302

    def test_tells_working_stale_failing_and_keyless_feeds_apart(self, admin: Client, monkeypatch: Any) -> None:
        monkeypatch.delenv("ELECTRICITY_MAPS_TOKEN", raising=False)
        monkeypatch.setenv("EIA_API_KEY", "k")
        monkeypatch.setenv("ENTSOE_TOKEN", "k")
        now = timezone.now()
        a_feed(last_success_at=now)
        an_hour(zone="GB", provider="uk-carbon-intensity", emission_basis="direct")
        a_feed(provider="eia", zone="US-CA", area="CISO", key_variable="EIA_API_KEY", last_error="eia answered 400")
        a_feed(provider="electricity-maps", zone="FR", area="FR", key_variable="ELECTRICITY_MAPS_TOKEN")
        a_feed(provider="entsoe", zone="FR", area="X", key_variable="ENTSOE_TOKEN", last_success_at=now)
        an_hour(now - timedelta(hours=9), provider="entsoe")
        a_feed(provider="watttime", zone="US-CA", area="CAISO_NORTH", enabled=False)
        assert states(admin) == {
            "uk-carbon-intensity": "ok", "eia": "failing", "electricity-maps": "no key", "entsoe": "stale",
            "watttime": "off",
        }  # fmt: skip
        text = admin.get(reverse("grid")).content.decode()
        assert "Set ELECTRICITY_MAPS_TOKEN in the environment" in text and "eia answered 400" in text

    def test_never_shows_a_key(self, admin: Client, monkeypatch: Any) -> None:
        monkeypatch.setenv("EIA_API_KEY", "very-secret-value")
        a_feed(provider="eia", zone="US-CA", area="CISO", key_variable="EIA_API_KEY")
        assert b"very-secret-value" not in admin.get(reverse("grid")).content

    def test_exports_feeds_and_series_as_they_stand(self, admin: Client) -> None:
        a_feed()
        an_hour(NINE)
        an_hour(NINE + HOUR, is_estimated=True)
        (feed,), (series,) = csv_rows(admin, csv="feeds"), csv_rows(admin, csv="series")
        assert (feed["provider"], feed["state"]) == ("uk-carbon-intensity", "waiting")
        assert (series["zone"], series["hours"], series["estimated"]) == ("FR", "2", "1")

    def test_costs_the_same_for_many_feeds(self, admin: Client, django_assert_max_num_queries: Any) -> None:
        for number in range(12):
            a_feed(zone=f"Z{number}")
            an_hour(NINE + number * HOUR, zone=f"Z{number}")
        with django_assert_max_num_queries(16):
            admin.get(reverse("grid"))


class TestSteps:
    def test_add_up_to_the_weeks_energy_that_this_person_may_see(self, admin: Client, member: Client) -> None:
        device = rows.a_device(site=a_site("paris"))
        for back, step, kwh in (
            (1, "hourly zone", 3.0),
            (2, "hourly zone", 3.0),
            (3, "yearly zone", 2.0),
            (200, "world", 9.0),
        ):
            row = rows.ledger_hour(device, this_hour() - back * HOUR, kwh=kwh)
            type(row).objects.filter(pk=row.pk).update(intensity_step=step)
        table = csv_rows(admin, csv="steps")
        got = [(r["step"], float(r["facility_energy_kwh"]), float(r["share_percent"])) for r in table]
        assert got == [("hourly zone", 9.0, 75.0), ("yearly zone", 3.0, 25.0)]  # 1.5 kWh at the wall for one of IT
        assert float(table[0]["mean_g_per_kwh"]) == pytest.approx(200.0)  # 300 g for 1.5 kWh
        assert csv_rows(member, csv="steps") == []


class TestWeek:
    def test_is_the_mean_of_each_weekdays_hour_in_the_readers_zone(self, admin: Client) -> None:
        midnight = this_hour().replace(hour=0) - 7 * DAY
        for back, g in ((0, 40.0), (7, 60.0)):
            an_hour(midnight - back * DAY, g)
        an_hour(midnight - 7 * DAY, 900.0, provider="eia")  # what was imported goes first
        week = csv_rows(admin, csv="week", series="FR:average:lifecycle")
        day = f"{midnight:%a}".lower() + "_g_per_kwh"
        assert week[0][day] == "50.0" and week[1][day] == ""
        figure = admin.get(reverse("grid-heatmap"), {"series": "FR:average:lifecycle"}).json()
        assert figure["data"][0]["z"][midnight.weekday()][0] == 50.0
        assert figure["data"][0]["z"][midnight.weekday()][1] is None

    def test_of_nonsense_is_empty_and_says_so(self, admin: Client) -> None:
        answer = admin.get(reverse("grid-heatmap"), {"series": "x"}).json()
        assert answer == {"data": [], "empty": "No hour of this zone in the last eight weeks"}

    def test_keeps_marginal_hours_apart(self, admin: Client) -> None:
        an_hour()
        an_hour(signal="marginal", emission_basis="direct", provider="watttime", g=400.0)
        keys = [key for key, _ in admin.get(reverse("grid")).context["choices"]]
        assert keys == ["FR:average:lifecycle", "FR:marginal:direct"]


class TestFeeds:
    def said(self, **fields: str) -> dict[str, str]:
        usual = {"provider": "electricity-maps", "zone": "FR", "area": "FR", "emission_basis": "lifecycle"}
        return usual | fields

    def test_are_made_with_the_providers_usual_variable_and_leave_a_trail(self, admin: Client) -> None:
        assert admin.post(reverse("grid-feed-new"), self.said()).status_code == 302
        assert GridFeed.objects.get().key_variable == "ELECTRICITY_MAPS_TOKEN"
        assert AuditEntry.objects.get().action == "grid.feed.created"

    @pytest.mark.parametrize("variable", ["SECRET_KEY", "DATABASE_URL", "ELECTRICITY_MAPS_TOKEN2", "PATH"])
    def test_cannot_name_another_variable_of_the_environment(self, admin: Client, variable: str) -> None:
        page = admin.post(reverse("grid-feed-new"), self.said(key_variable=variable))
        assert "is given ELECTRICITY_MAPS_TOKEN or a name such as" in page.content.decode()
        assert not GridFeed.objects.exists()

    def test_take_the_usual_name_of_the_zone_and_the_only_basis_of_a_provider(self, admin: Client) -> None:
        admin.post(reverse("grid-feed-new"), self.said(provider="entsoe", area=""))
        admin.post(reverse("grid-feed-new"), self.said(provider="uk-carbon-intensity", zone="GB", area=""))
        feeds = GridFeed.objects.order_by("zone").values_list("zone", "area", "emission_basis", "key_variable")
        assert list(feeds) == [("FR", "10YFR-RTE------C", "lifecycle", "ENTSOE_TOKEN"), ("GB", "GB", "direct", "")]

    @pytest.mark.parametrize(
        ("provider", "area", "words"), [("eia", "", "CISO, ERCO, PJM"), ("entsoe", "FR", "FR is no EIC code")]
    )
    def test_name_places_as_the_provider_does(self, admin: Client, provider: str, area: str, words: str) -> None:
        page = admin.post(reverse("grid-feed-new"), self.said(provider=provider, area=area))
        assert words in page.context["form"].errors["area"][0] and not GridFeed.objects.exists()

    def test_say_when_no_site_counts_what_they_bring(self, admin: Client) -> None:
        a_feed(last_success_at=timezone.now())
        an_hour(zone="GB", provider="uk-carbon-intensity", emission_basis="direct")
        site = a_site("leeds", grid_zone="GB")
        (line,) = admin.get(reverse("grid")).context["lines"]
        assert (line.state, line.needs[:37]) == ("ok", "No site in GB counts direct hours: st")
        site.terms.update(emission_basis="direct")
        (line,) = admin.get(reverse("grid")).context["lines"]
        assert line.needs == ""

    def test_stand_once_for_a_zone(self, admin: Client) -> None:
        for _ in range(2):
            admin.post(reverse("grid-feed-new"), self.said(key_variable="ELECTRICITY_MAPS_TOKEN_LYON"))
        assert GridFeed.objects.count() == 1

    def test_are_switched_and_removed_and_their_hours_stay(self, admin: Client) -> None:
        feed = a_feed(last_error="x", failures=3, next_try_at=timezone.now() + HOUR)
        an_hour(provider=feed.provider)
        admin.post(reverse("grid-feed-switch", args=[feed.pk]))
        feed.refresh_from_db()
        assert (feed.enabled, feed.last_error, feed.next_try_at) == (False, "", None)
        admin.post(reverse("grid-feed-remove", args=[feed.pk]))
        assert not GridFeed.objects.exists() and GridHour.objects.count() == 1
        actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
        assert actions == ["grid.feed.switched", "grid.feed.removed"]

    def test_are_changed_by_administrators_only(self, member: Client) -> None:
        feed = a_feed()
        for name, arguments in (
            ("grid-feed-new", []), ("grid-feed-switch", [feed.pk]), ("grid-feed-remove", [feed.pk]),
            ("grid-import", []), ("grid-import-confirm", []),
        ):  # fmt: skip
            assert member.post(reverse(name, args=arguments)).status_code == 403
        assert GridFeed.objects.get().enabled


class TestImport:
    def test_shows_what_is_in_the_file_and_stores_it_when_confirmed(self, admin: Client) -> None:
        site = a_site("paris", grid_zone="FR")
        rows.ledger_hour(rows.a_device(site=site), NINE)
        page = upload(admin, HEAD + "2026-03-10T09:00Z,FR,40\n2026-03-10T10:00Z,FR,60\n")
        assert page.context["spans"] == [("FR", 2, 40.0, 50.0, 60.0)] and not GridHour.objects.exists()
        done = admin.post(reverse("grid-import-confirm"), {"checked": page.context["checked"]}, follow=True)
        assert "2 hours new" in done.content.decode() and GridHour.objects.count() == 2
        assert list(DirtyHour.objects.values_list("hour", flat=True)) == [NINE]
        assert AuditEntry.objects.get().action == "grid.imported"

    def test_names_wrong_lines_and_offers_no_import(self, admin: Client) -> None:
        page = upload(admin, HEAD + "2026-03-10T09:00,FR,40\n")
        text = page.content.decode()
        assert "line 4: datetime" in text and "has no offset" in text and "Import and restate" not in text

    def test_says_what_a_file_without_a_header_must_begin_with(self, admin: Client) -> None:
        assert "begin the file with a line such as" in upload(admin, "datetime,zone,value\n").content.decode()

    def test_warns_of_a_zone_that_no_site_can_state(self, admin: Client) -> None:
        assert "No site can state FRANCE" in upload(admin, HEAD + "2026-03-10T09:00Z,FRANCE,40\n").content.decode()

    def test_stores_nothing_that_was_not_shown(self, admin: Client) -> None:
        shown = upload(admin, HEAD + "2026-03-10T09:00Z,FR,40\n").context["checked"]
        for forged in ("", "x", shown[:-2] + "xx"):
            answer = admin.post(reverse("grid-import-confirm"), {"checked": forged}, follow=True)
            assert "choose the file again" in answer.content.decode()
        assert not GridHour.objects.exists()


class TestSitePage:
    def save(self, admin: Client, **said: str) -> Any:
        site = a_site("lyon")
        terms = {"terms-valid_from": "2026-01-01T00:00", **{f"terms-{name}": value for name, value in said.items()}}
        return admin.post(reverse("site", args=[site.pk]), terms)

    def test_takes_a_cloud_region_of_the_table_and_needs_no_zone_then(self, admin: Client) -> None:
        assert self.save(admin, cloud="aws:eu-west-3", emission_basis="direct").status_code == 302
        terms = SiteTerms.objects.get()
        assert (terms.cloud_provider, terms.cloud_region, terms.emission_basis) == ("aws", "eu-west-3", "direct")
        text = admin.get(reverse("site", args=[terms.site_id])).content.decode()
        assert "Nobody has said where" not in text and "aws eu-west-3" in text
        assert '<option value="aws:eu-west-3" selected>' in text

    def test_refuses_a_region_that_the_table_does_not_have(self, admin: Client) -> None:
        assert b"Select a valid choice" in self.save(admin, cloud="aws:atlantis-1").content
        assert not SiteTerms.objects.exists()

    def test_refuses_a_region_in_another_country_than_the_zone(self, admin: Client) -> None:
        page = self.save(admin, grid_zone="FR", cloud="aws:us-east-1")
        assert "us-east-1 draws from US-VA, and the zone is stated as FR" in page.content.decode()
        assert not SiteTerms.objects.exists()

    def test_says_which_step_the_intensity_came_from_and_when_it_is_stale(self, admin: Client) -> None:
        site = a_site("paris", grid_zone="FR")
        assert "yearly zone" in admin.get(reverse("site", args=[site.pk])).content.decode()
        an_hour(this_hour() - 2 * HOUR)
        assert "stale: of" in admin.get(reverse("site", args=[site.pk])).content.decode()
        an_hour(this_hour())
        assert "hourly zone" in admin.get(reverse("site", args=[site.pk])).content.decode()
