"""The landing page: the ledger's totals, what is happening now, and what could be done."""

import csv

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounting.models import Host, Job, JobMark, Site, SiteTerms, Team, TeamHour
from accounting.reports.display import significant
from accounting.reports.periods import preset
from accounting.reports.queries import carbon_rate, split, totals
from optimizer.models import Recommendation
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR, everything
from tests.optimizer.rows import an_experiment

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


def this_hour():
    return timezone.now().replace(minute=0, second=0, microsecond=0)


def advice(team: Team, title: str = "Serve it in int8", grams: float = 2100.0, **fields: object) -> Recommendation:
    ends = {f"{name}{end}": grams * by for name in ("energy_saving_kwh", "co2e_saving_g")
            for end, by in (("_low", 0.5), ("", 1.0), ("_high", 2.0))}  # fmt: skip
    return Recommendation.objects.create(
        team=team, title=title, reason="Because.\nMore.", per="month", **ends, **fields
    )


class TestHome:
    def test_tells_a_fresh_installation_what_to_do_next(self, admin: Client) -> None:
        page = admin.get("/")
        assert b"Nothing measured yet" in page.content and reverse("token-new").encode() in page.content

    def test_shows_something_with_the_first_seconds_of_the_running_hour(self, admin: Client) -> None:
        device = rows.a_device(site=Site.objects.create(name="Main site", slug="main"))
        rows.ledger_hour(device, this_hour(), kwh=0.000_4, covered_s=20.0)
        page = admin.get("/")
        text = page.content.decode()
        assert "Nothing measured yet" not in text
        # 0.4 Wh x 1.5; 0.4 Wh x 300 g/kWh + 10 g
        assert "0.600 <small>Wh" in text and "10.1 <small>g" in text

    def test_says_that_a_cost_is_not_known_instead_of_nought(self, admin: Client) -> None:
        rows.ledger_hour(rows.a_device(), this_hour(), kwh=1.0)
        words = "not known: state the site’s price"
        assert words not in admin.get("/").content.decode()
        TeamHour.objects.update(cost_low=0.0, cost=0.0, cost_high=0.0)
        assert words not in admin.get("/").content.decode()  # stated as nought
        TeamHour.objects.update(unpriced_kwh=1.0)
        assert words in admin.get("/").content.decode()

    def test_says_how_much_of_the_energy_has_no_price(self, admin: Client) -> None:
        rows.ledger_hour(rows.a_device(), this_hour(), kwh=2.0)  # x 1.5 = 3 kWh at the wall
        TeamHour.objects.update(unpriced_kwh=0.75)
        assert "25.0 % of the energy has no known price" in admin.get("/").content.decode()

    @pytest.mark.parametrize("key", ["1h", "24h", "7d", "30d"])
    def test_shows_what_the_queries_say(self, admin: Client, key: str) -> None:
        device, team = rows.a_device(), rows.a_team()
        for back in (0, 3, 30, 200, 700):
            rows.ledger_hour(device, this_hour() - back * HOUR, kwh=1.0 + back, team=team)
        page = admin.get(f"/?period={key}")
        period = preset(key, now=timezone.now())
        assert page.context["overview"].totals == totals(everything(), period.start, period.end)
        assert page.context["parts"] == split(everything(), period.start, period.end, by="team")
        drawn = admin.get(page.context["chart_url"]).json()["data"]
        assert any(y for y in drawn[0]["y"])

    @pytest.mark.parametrize("by", ["team", "project", "site", "device"])
    def test_exports_exactly_what_it_shows(self, admin: Client, by: str) -> None:
        rows.ledger_hour(rows.a_device(), this_hour(), kwh=1.0, team=rows.a_team())
        rows.ledger_hour(rows.a_device("gpu-1"), this_hour(), kwh=2.0)
        page = admin.get(f"/?by={by}")
        exported = list(csv.DictReader(admin.get(page.context["csv_url"]).content.decode().splitlines()))
        assert [row[by] for row in exported] == [part.name for part in page.context["parts"]]
        assert sum(float(row["co2e_g_high"]) for row in exported) == pytest.approx(
            page.context["overview"].totals.co2e_g.high
        )

    def test_hides_other_teams_from_a_member(self) -> None:
        ours, theirs = rows.a_team("Ours"), rows.a_team("Theirs")
        device = rows.a_device()
        rows.ledger_hour(device, this_hour(), kwh=1.0, team=ours)
        rows.ledger_hour(device, this_hour(), kwh=7.0, team=theirs)
        advice(theirs, "Their advice")
        hidden = Job.objects.create(team=theirs, key="their-job")
        JobMark.objects.create(job=hidden, device=device, started_at_us=1)
        rows.sample(device, timezone.now())
        client = Client()
        client.force_login(rows.a_user(team=ours))
        page = client.get("/?by=team")
        text = page.content.decode() + client.get(reverse("home-live")).content.decode()
        assert page.context["overview"].totals.it_energy_kwh.mid == 1.0
        for word in ("Theirs", "Their advice", "their-job", "node-1"):
            assert word not in text
        assert "Theirs" not in client.get(reverse("home-trend") + "?by=team").content.decode()

    def test_asks_where_a_site_stands_until_it_is_said(self, admin: Client) -> None:
        site = Site.objects.create(name="Main site", slug="main")
        rows.ledger_hour(rows.a_device(site=site), this_hour())
        assert "Tell us where Main site stands" in admin.get("/").content.decode()
        SiteTerms.objects.create(site=site, valid_from=this_hour() - HOUR, grid_zone="FR")
        assert "Tell us" not in admin.get("/").content.decode()
        Host.objects.create(name="lost", team=rows.a_team())
        assert "1 host at no site" in admin.get("/").content.decode()

    def test_lists_open_advice_by_what_it_saves_and_draws_accepted_advice_on_the_chart(self, admin: Client) -> None:
        team = rows.a_team()
        rows.ledger_hour(rows.a_device(), this_hour())
        advice(team, "Small", 100.0)
        advice(team, "Large", 2100.0)
        advice(team, "Taken", 500.0, state="accepted", decided_at=timezone.now())
        page = admin.get("/")
        assert [one.title for one in page.context["advice"]] == ["Large", "Small"]
        text = page.content.decode()
        assert "−2.10 kg / month" in text and "1.05 – 4.20 kg" in text and "Because." in text
        events = admin.get(page.context["chart_url"]).json()["events"]
        assert [event["label"] for event in events] == ["accepted: Taken"]

    def test_promises_no_saving_where_the_interval_reaches_zero(self, admin: Client) -> None:
        rows.ledger_hour(rows.a_device(), this_hour())
        row = advice(rows.a_team())
        Recommendation.objects.filter(pk=row.pk).update(co2e_saving_g_low=-1.0)
        assert [one.saving for one in admin.get("/").context["advice"]] == [""]

    def test_costs_the_same_however_much_there_is(self, admin: Client, django_assert_max_num_queries) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        for number in range(8):
            device = rows.a_device(f"gpu-{number}", site=site)
            team = rows.a_team(f"T{number}")
            rows.ledger_hour(device, this_hour(), job=Job.objects.create(team=team, key="a"))
            rows.sample(device, timezone.now())
            advice(team, f"A{number}")
        with django_assert_max_num_queries(26):
            assert admin.get("/").status_code == 200
        with django_assert_max_num_queries(14):
            assert admin.get(reverse("home-live")).status_code == 200

    def test_says_so_when_a_period_cannot_be_shown(self, admin: Client) -> None:
        rows.ledger_hour(rows.a_device(), this_hour())
        page = admin.get("/?from=2026-02-02&to=2026-02-01")
        assert page.status_code == 200 and b"before it begins" in page.content
        assert page.context["period"].key == "24h"


class TestLiveFragment:
    def test_says_what_it_draws_at_the_wall_and_from_what_grid(self, admin: Client) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        SiteTerms.objects.create(site=site, valid_from=timezone.now() - 9 * HOUR, grid_zone="FR", pue=1.25)
        rows.sample(rows.a_device(site=site), timezone.now(), 200.0)
        text = admin.get(reverse("home-live")).content.decode()
        grid = carbon_rate(site, now=timezone.now()).intensity_g_per_kwh
        # 200 W x 1.25
        assert "<strong>250 W</strong> at the wall, times PUE 1.25" in text
        assert f"grid <strong>{significant(grid.mid)} g/kWh</strong>" in text

    def test_names_an_experiment_once_among_what_runs(self, admin: Client) -> None:
        experiment = an_experiment(state="running")
        JobMark.objects.create(job=experiment.job, device=rows.a_device(), started_at_us=1, ended_at_us=None)
        page = admin.get("/")
        assert page.context["experiments"] == [experiment]
        assert list(page.context["running"]) == []

    def test_carries_the_devices_along_when_it_is_polled(self, admin: Client) -> None:
        rows.sample(rows.a_device(), timezone.now(), 321.0)
        polled = admin.get(reverse("home-live"), headers={"HX-Request": "true"}).content.decode()
        assert "321 W" in polled and 'id="live-devices" hx-swap-oob="true"' in polled
        assert polled.count('id="live"') == 1

    def test_says_when_nothing_reports(self, admin: Client) -> None:
        rows.a_device()
        assert b"No readings" in admin.get(reverse("home-live")).content


class TestHeaviestFragment:
    def test_lists_the_jobs_of_the_period(self, admin: Client) -> None:
        job = Job.objects.create(team=rows.a_team(), key="a", name="Nightly")
        rows.ledger_hour(rows.a_device(), this_hour(), kwh=2.0, job=job)
        text = admin.get(reverse("jobs-heaviest")).content.decode()
        assert "Nightly" in text and "610 g" in text


class TestErrors:
    def test_have_pages_of_their_own(self, client: Client) -> None:
        missing = client.get("/no/such/page")
        assert missing.status_code == 404 and b"Nothing here" in missing.content

    def test_of_our_own_say_that_measurements_are_safe(self, admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("greenai.home.overview", lambda *_, **__: 1 / 0)
        admin.raise_request_exception = False
        broken = admin.get("/")
        assert broken.status_code == 500 and b"What was measured is safe" in broken.content
