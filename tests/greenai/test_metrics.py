"""GET /metrics: who may read it, what stands in it, that Prometheus' own tools find nothing to mend, what it costs."""

import shutil
import subprocess
from datetime import datetime, timedelta

import pytest
from django.conf import settings as configured
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from accounting.access import issue_token
from accounting.models import Agent, DeviceDay, DirtyHour, IntakeHour, Project, Site, Team, UnreadMetric
from accounting.reports import metric_accounts
from accounting.reports.metric_families import FAMILIES, Kind
from tests.accounting.reports import rows
from tests.optimizer import rows as optimizer_rows

pytestmark = pytest.mark.django_db
PROMTOOL = shutil.which("promtool")
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def site() -> Site:
    return Site.objects.create(name="Lyon", slug="lyon")


@pytest.fixture
def team() -> Team:
    return rows.a_team("Vision")


def scrape(secret: str = "", **headers: str) -> HttpResponse:
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    return Client(raise_request_exception=False).get("/metrics", headers=headers)


def read(response: HttpResponse) -> Values:
    assert response.status_code == 200, response.content
    found = text_string_to_metric_families(response.content.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in found for s in family.samples}


def value(found: Values, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def organisation() -> str:
    return issue_token(name="prometheus", scopes=["read"])[1]


def last_hour(now: datetime | None = None) -> datetime:
    return metric_accounts.settled_hour(now or timezone.now())


def full_of_everything(site: Site, team: Team) -> None:
    """Something in every family."""
    now = timezone.now()
    project = Project.objects.create(team=team, name="Sweep", slug="sweep")
    device = rows.a_device(site=site)
    for hour in {last_hour(), now.replace(minute=0, second=0, microsecond=0)}:
        row = rows.ledger_hour(device, hour, team=team, project=project, kwh=2.0, missing_s=900.0)
        type(row).objects.filter(pk=row.pk).update(market_kwh=3.0, co2e_market_g=120.0)
        rows.roll_up({(device.pk, hour)})
    Agent.objects.create(host=device.host, key="agent-1", first_seen_at=now, last_seen_at=now, dropped_total=7)
    token, _ = issue_token(name="agents", scopes=["ingest"], site=site)
    IntakeHour.objects.create(token=token, protocol="telemetry", hour=last_hour(), accepted=5, rejected=1, last_at=now)
    UnreadMetric.objects.create(
        token=token, protocol="prometheus", name="up", count=3, first_seen_at=now, last_seen_at=now
    )
    DirtyHour.objects.mark([(device.pk, last_hour())], now=now - timedelta(seconds=40))


class TestWhoMay:
    def test_is_nobody_without_a_token(self) -> None:
        answer = scrape()
        assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")

    def test_is_no_token_that_only_posts_and_none_of_a_site(self, site: Site, team: Team) -> None:
        posts = issue_token(name="agents", scopes=["ingest"], team=team)[1]
        of_site = issue_token(name="site", scopes=["read"], site=site)[1]
        assert [scrape(posts).status_code, scrape(of_site).status_code] == [403, 403]

    def test_is_the_organisations_token_someone_signed_in_and_a_teams(self, team: Team, client: Client) -> None:
        client.force_login(rows.an_administrator())
        of_team = issue_token(name="team", scopes=["read"], team=team)[1]
        assert {scrape(organisation()).status_code, scrape(of_team).status_code} == {200}
        assert client.get("/metrics").status_code == 200

    def test_is_anyone_where_the_setting_says_so_but_no_wrong_token(self, monkeypatch) -> None:
        monkeypatch.setitem(configured.GREENAI, "metrics_open", True)
        assert scrape().status_code == 200
        assert scrape("gai_aaaaaaaa_" + "x" * 43).status_code == 401

    def test_may_only_get(self) -> None:
        answer = Client().post("/metrics")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


class TestWhatATeamsTokenSees:
    def test_is_its_own_lines_agents_and_intake_only(self, site: Site, team: Team) -> None:
        full_of_everything(site, team)
        other = rows.a_team("Speech")
        secret = issue_token(name="team", scopes=["read"], team=other)[1]
        device = rows.a_device("gpu-9", host="node-9", team=other)
        rows.ledger_hour(device, last_hour(), team=other, kwh=1.0)
        text = scrape(secret).content.decode()
        assert 'team="speech"' in text
        assert not any(word in text for word in ("vision", "node-1", "lyon", 'protocol="telemetry"', "raw_samples"))


class TestTheAccounts:
    def test_show_the_last_settled_hour_as_rates(self, site: Site, team: Team) -> None:
        # 2 kWh of IT energy in one hour are a mean of 2 000 W; 3 kWh at the wall 3 000 W; 600 g are 600/3600 g/s
        full_of_everything(site, team)
        found = read(scrape(organisation()))
        line = {"team": "vision", "project": "sweep", "site": "lyon"}
        assert value(found, "greenai_it_power_watts", **line) == pytest.approx(2000.0)
        assert value(found, "greenai_facility_power_watts", **line) == pytest.approx(3000.0)
        assert value(found, "greenai_co2e_location_grams_per_second", **line) == pytest.approx(600 / 3600)
        assert value(found, "greenai_coverage_ratio", **line) == pytest.approx(3600 / 4500)
        assert value(found, "greenai_cost_per_second", **line, currency="EUR") == pytest.approx(0.5 / 3600)

    def test_add_up_the_running_month_in_base_units(self, site: Site, team: Team) -> None:
        first = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        device = rows.a_device(site=site)
        rows.ledger_hour(device, first, team=team, kwh=1.0)
        rows.ledger_hour(device, first - timedelta(hours=1), team=team, kwh=100.0)  # of the month before
        found = read(scrape(organisation()))
        line = {"team": "vision", "project": "(none)", "site": "lyon"}
        assert value(found, "greenai_month_it_energy_joules", **line) == pytest.approx(3.6e6)
        assert value(found, "greenai_month_co2e_location_grams", **line) == pytest.approx(300.0)
        assert value(found, "greenai_month_water_offsite_liters", **line) == pytest.approx(2.0)

    def test_name_what_no_team_answers_for(self) -> None:
        rows.ledger_hour(rows.a_device(), last_hour(), kwh=1.0)
        found = read(scrape(organisation()))
        nobody = dict.fromkeys(("team", "project", "site"), "(none)")
        assert value(found, "greenai_it_power_watts", **nobody) == pytest.approx(1000.0)

    def test_are_gauges_because_a_restatement_may_lower_them(self) -> None:
        accounts = [f for f in FAMILIES if f.labels[:3] == ("team", "project", "site")]
        assert len(accounts) == 21 and {f.kind for f in accounts} == {Kind.GAUGE}

    def test_leave_out_a_cost_of_which_no_price_is_known(self, team: Team) -> None:
        row = rows.ledger_hour(rows.a_device(), last_hour(), team=team)
        type(row).objects.filter(pk=row.pk).update(cost=0.0, unpriced_kwh=1.5)
        rows.roll_up({(row.device_id, row.hour)})
        text = scrape(organisation()).content.decode()
        assert "greenai_cost_per_second" not in text and "greenai_it_power_watts" in text

    def test_add_up_the_smaller_lines_beyond_the_most_and_lose_nothing(self, monkeypatch) -> None:
        monkeypatch.setattr(metric_accounts, "MOST_LINES", 2)
        for number in range(5):
            team = rows.a_team(f"Team {number}")
            device = rows.a_device(f"gpu-{number}")
            now = timezone.now().replace(minute=0, second=0, microsecond=0)
            rows.ledger_hour(device, now, team=team, kwh=number + 1.0)
        found = read(scrape(organisation()))
        lines = {labels: v for (name, labels), v in found.items() if name == "greenai_month_it_energy_joules"}
        assert len(lines) == 3 and sum(lines.values()) == pytest.approx(15 * 3.6e6)
        assert value(found, "greenai_account_lines", shown="added up") == 3


class TestHealth:
    def test_tells_the_ledgers_lag_and_what_waits(self, site: Site, team: Team) -> None:
        full_of_everything(site, team)
        found = read(scrape(organisation()))
        assert value(found, "greenai_ledger_lag_seconds") == pytest.approx(40, abs=5)
        assert value(found, "greenai_ledger_waiting") == 1

    def test_counts_agents_that_are_silent(self, site: Site) -> None:
        host, now = rows.a_device(site=site).host, timezone.now()
        for key, ago in (("a", 10), ("b", 3600), ("stopped long ago", 40 * 86400)):
            seen_at = now - timedelta(seconds=ago)
            Agent.objects.create(host=host, key=key, first_seen_at=seen_at, last_seen_at=seen_at, dropped_total=ago)
        found = read(scrape(organisation()))
        assert (value(found, "greenai_agents", state="silent"), value(found, "greenai_agents", state="reporting")) == (
            1,
            1,
        )
        labels = {"agent": "b", "host": "node-1", "team": "(none)", "site": "lyon"}
        assert value(found, "greenai_agent_dropped_samples_total", **labels) == 3600
        seen = value(found, "greenai_agent_last_seen_timestamp_seconds", **labels)
        assert seen == pytest.approx(now.timestamp() - 3600, abs=0.01)

    def test_counts_what_came_in_by_protocol(self, site: Site, team: Team) -> None:
        full_of_everything(site, team)
        found = read(scrape(organisation()))
        said = {r: value(found, "greenai_intake_samples_total", protocol="telemetry", result=r) for r in
                ("accepted", "duplicate", "conflict", "rejected")}  # fmt: skip
        assert said == {"accepted": 5, "duplicate": 0, "conflict": 0, "rejected": 1}
        assert value(found, "greenai_intake_unread_values_total", protocol="prometheus") == 3

    def test_counts_experiments_by_state(self) -> None:
        found = read(scrape(organisation()))
        assert value(found, "greenai_experiments", state="queued") == 0
        optimizer_rows.an_experiment()
        assert value(read(scrape(organisation())), "greenai_experiments", state="queued") == 1

    def test_tells_intensity_and_pue_of_each_site(self, site: Site) -> None:
        rows.a_device(site=site)
        found = read(scrape(organisation()))
        grams_per_joule = value(found, "greenai_site_grid_intensity_grams_per_joule", site="lyon")
        assert grams_per_joule is not None and 1e-6 < grams_per_joule < 1e-3
        assert value(found, "greenai_site_pue_ratio", site="lyon") >= 1.0


class TestTheForm:
    def test_has_every_family_where_there_is_everything_to_show(self, site: Site, team: Team) -> None:
        full_of_everything(site, team)
        names = {name for name, _ in read(scrape(organisation()))}
        assert names == {family.name for family in FAMILIES}

    @pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt-get install prometheus")
    def test_gives_promtool_nothing_to_complain_of(self, site: Site, team: Team) -> None:
        full_of_everything(site, team)
        text = scrape(organisation()).content
        done = subprocess.run([str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")

    def test_is_openmetrics_for_whoever_asks(self, site: Site, team: Team) -> None:
        full_of_everything(site, team)
        answer = scrape(organisation(), Accept="application/openmetrics-text; version=1.0.0")
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert answer.content.endswith(b"# EOF\n") and b"# TYPE greenai_build info" in answer.content

    def test_is_packed_for_whoever_asks(self, site: Site, team: Team) -> None:
        full_of_everything(site, team)
        answer = scrape(organisation(), Accept_Encoding="gzip")
        assert answer.headers["Content-Encoding"] == "gzip" and answer.content[:2] == b"\x1f\x8b"

    def test_survives_names_with_quotes_and_line_breaks(self, site: Site) -> None:
        host = rows.a_device(site=site, host='node "1"\\').host
        Agent.objects.create(host=host, key="a", first_seen_at=timezone.now(), last_seen_at=timezone.now())
        found = read(scrape(organisation()))
        labels = {"agent": "a", "host": 'node "1"\\', "team": "(none)", "site": "lyon"}
        assert value(found, "greenai_agent_dropped_samples_total", **labels) == 0


class TestWhatItCosts:
    def test_is_the_same_number_of_queries_whatever_was_measured(self, site: Site, team: Team) -> None:
        full_of_everything(site, team)
        secret = organisation()
        scrape(secret)  # notes the use of the token
        with CaptureQueriesContext(
            connection,
        ) as few:
            scrape(secret)
        device = rows.a_device("gpu-7", site=site)
        for number in range(300):
            rows.sample(device, timezone.now() - timedelta(seconds=number))
        rows.ledger_hour(device, last_hour(), team=rows.a_team("Speech"))
        with CaptureQueriesContext(connection) as many:
            scrape(secret)
        assert len(many) == len(few) <= 30
        assert not any(DeviceDay._meta.db_table in q["sql"] for q in many)
        assert [q["sql"] for q in many if "accounting_devicesample" in q["sql"] and "rowid" not in q["sql"]
                and "pg_class" not in q["sql"]] == []  # fmt: skip
