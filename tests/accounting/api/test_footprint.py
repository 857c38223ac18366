"""GET /api/v1/footprint: the ledger's sums, for the team whose token asks."""

import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client

from accounting.access import issue_token
from accounting.ledger.restate import Cause, restate
from accounting.models import Job, LedgerHour, Project, Site, Team, TeamHour, User
from tests.accounting.reports.rows import a_device, ledger_hour

MORNING = datetime(2026, 11, 20, 8, tzinfo=UTC)
PERIOD = {"from": "2026-11-20T08:00:00Z", "to": "2026-11-20T10:00:00Z"}


def hour_of(team: Team | None, kwh: float, *, hour: int = 8, project: Project | None = None) -> None:
    ends = {"it_energy_kwh_low": kwh * 0.9, "it_energy_kwh": kwh, "it_energy_kwh_high": kwh * 1.1}
    TeamHour.objects.create(
        hour=MORNING.replace(hour=hour), team=team, project=project, status="MEASURED", covered_s=3600.0,
        measured_kwh=kwh / 2, **ends,
    )  # fmt: skip


def get(secret: str, **query: str) -> HttpResponse:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return Client().get(f"/api/v1/footprint?{urlencode(PERIOD | query)}", headers=headers)


def problem(response: HttpResponse) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    document = json.loads(response.content)
    assert document["status"] == response.status_code
    return response.status_code, document["code"]


@pytest.fixture
def secret(team: Team) -> str:
    return issue_token(name="reader", scopes=["read"], team=team)[1]


class TestFootprint:
    def test_adds_up_the_teams_hours_and_no_others(self, secret: str, team: Team) -> None:
        other = Team.objects.create(name="Speech", slug="speech")
        for owner, kwh, hour in ((team, 2.0, 8), (team, 1.0, 9), (team, 50.0, 10), (other, 100.0, 8), (None, 100.0, 8)):
            hour_of(owner, kwh, hour=hour)
        reply = get(secret).json()
        # 08 and 09 h of the team: 2 + 1 = 3 kWh; low 0.9 x 3 = 2.7; half of it seen by a meter
        energy = reply["totals"]["it_energy_kwh"]
        assert (energy["low"], energy["mid"], energy["high"]) == pytest.approx((2.7, 3.0, 3.3))
        assert (reply["totals"]["measured_share"], reply["totals"]["coverage"]) == (0.5, 1.0)
        assert (reply["totals"]["status"], reply["parts"]) == ("MEASURED", [])
        assert (reply["start"], reply["end"], reply["currency"]) == (
            "2026-11-20T08:00:00Z", "2026-11-20T10:00:00Z", "EUR",
        )  # fmt: skip

    def test_splits_by_project_and_filters_by_one(self, secret: str, team: Team) -> None:
        resnet = Project.objects.create(team=team, name="ResNet", slug="resnet")
        hour_of(team, 2.0, project=resnet)
        hour_of(team, 1.0)
        parts = get(secret, group_by="project").json()["parts"]
        assert {part["name"]: part["figures"]["it_energy_kwh"]["mid"] for part in parts} == {
            "ResNet": 2.0, "No project": 1.0,
        }  # fmt: skip
        assert get(secret, project="resnet").json()["totals"]["it_energy_kwh"]["mid"] == 2.0

    def test_says_nothing_rather_than_zero_where_the_ledger_has_no_row(self, secret: str) -> None:
        assert get(secret).json()["totals"]["status"] is None

    def test_hides_other_teams_and_projects_as_if_they_were_not(self, secret: str) -> None:
        other = Team.objects.create(name="Speech", slug="speech")
        Project.objects.create(team=other, name="Secret", slug="secret")
        assert problem(get(secret, team="speech")) == problem(get(secret, team="nobody")) == (404, "unknown_team")
        assert problem(get(secret, project="secret")) == (404, "unknown_project")

    def test_is_for_reading_tokens_of_a_team(self, site: Site, team: Team) -> None:
        _, posts = issue_token(name="i", scopes=["ingest"], team=team)
        _, of_site = issue_token(name="s", scopes=["read"], site=site)
        assert problem(get("")) == (401, "unauthorized")
        assert problem(get(posts)) == (403, "not_permitted")
        assert problem(get(of_site)) == (403, "not_permitted")

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"from": "2026-11-20T12:00:00Z"}, "bad_period"),
            ({"from": "2026-11-20T08:00:00"}, "bad_period"),
            ({"from": "1800-01-01T00:00:00Z"}, "bad_period"),
            ({"from": "yesterday"}, "bad_parameters"),
            ({"group_by": "mood"}, "bad_parameters"),
        ],
    )
    def test_refuses_what_it_cannot_read(self, secret: str, query: dict[str, str], code: str) -> None:
        assert problem(get(secret, **query)) == (422, code)


class TestQuantities:
    """The same names and units as POST /api/v1/estimates."""

    @pytest.fixture
    def totals(self, secret: str, team: Team) -> dict:
        # 2 kWh in 08 h: 3 kWh at the wall, 600 g from running, 10 g from making, 1 + 4 litres, 0.50
        ledger_hour(a_device(team=team), MORNING, kwh=2.0, team=team)
        return get(secret, functional_unit="token", units="1000").json()["totals"]

    def test_come_in_kilograms_litres_and_money(self, totals: dict) -> None:
        got = {name: (one["mid"], one["unit"]) for name, one in totals.items() if isinstance(one, dict)}
        assert got == {
            "it_energy_kwh": (2.0, "kWh"), "facility_energy_kwh": (3.0, "kWh"),
            "co2e_location_kg": (pytest.approx(0.6), "kg"), "embodied_kg": (0.01, "kg"),
            "co2e_total_kg": (pytest.approx(0.61), "kg"), "water_onsite_l": (1.0, "L"), "water_offsite_l": (4.0, "L"),
            "water_l": (5.0, "L"), "cost": (0.5, "EUR"), "sci_g_per_unit": (pytest.approx(0.61), "g/token"),
        }  # fmt: skip

    def test_name_the_factors_that_moved_them_and_no_others(self, totals: dict) -> None:
        assert totals["co2e_location_kg"]["factors"] == ["intensity:FR:2023"]
        assert totals["it_energy_kwh"]["factors"] == totals["embodied_kg"]["factors"] == []

    def test_an_unknown_market_figure_is_null(self, totals: dict) -> None:
        assert totals["co2e_market_kg"] is None and totals["market_coverage"] == 0.0

    def test_of_the_market_basis_put_contracts_in_the_total(self, secret: str, team: Team) -> None:
        row = {"facility_energy_kwh": 3.0, "market_kwh": 3.0, "co2e_market_g": 90.0, "co2e_market_g_high": 90.0}
        TeamHour.objects.create(
            hour=MORNING, team=team, status="MODELLED", embodied_g=10.0, embodied_g_high=10.0, **row
        )
        assert get(secret, basis="market").json()["totals"]["co2e_total_kg"]["mid"] == pytest.approx(0.1)

    def test_is_nought_by_the_market_where_nothing_was_drawn(self, secret: str, team: Team) -> None:
        TeamHour.objects.create(hour=MORNING, team=team, status="DEFAULT", embodied_g=10.0, embodied_g_high=10.0)
        totals = get(secret, basis="market").json()["totals"]
        assert (totals["co2e_market_kg"]["mid"], totals["co2e_total_kg"]["mid"]) == (0.0, 0.01)

    def test_that_meters_saw_are_measured_whatever_their_tolerance(self, secret: str, team: Team) -> None:
        ids = ["tolerance:gpu/measured", "idle_share:gpu:acme", "tdp:nvidia-l4:2025", "pue:default:uptime2024"]
        TeamHour.objects.create(
            hour=MORNING, team=team, status="DEFAULT", it_energy_kwh=1.0, it_energy_kwh_high=1.0,
            facility_energy_kwh=1.5, facility_energy_kwh_high=1.5, measured_kwh=1.0, factor_ids=ids,
        )  # fmt: skip
        totals = get(secret).json()["totals"]
        assert totals["it_energy_kwh"]["status"] == "MEASURED" and set(ids[:3]) == set(
            totals["it_energy_kwh"]["factors"]
        )
        assert totals["facility_energy_kwh"]["status"] == "DEFAULT"

    def test_say_what_was_restated_and_why(self, secret: str, team: Team) -> None:
        ledger_hour(a_device(team=team), MORNING, kwh=2.0, team=team)
        hours = LedgerHour.objects.all()
        restate(hours, reason="the meter was wrong", actor="ada", cause=Cause("device"), now=MORNING)
        (one,) = get(secret).json()["restated"]
        assert (one["reason"], one["done"]) == ("the meter was wrong", False)
        assert get(secret, to="2026-11-19T10:00:00Z", **{"from": "2026-11-19T08:00:00Z"}).json()["restated"] == []


class TestParts:
    def test_by_hour_follow_each_other_and_add_up_to_the_totals(self, secret: str, team: Team) -> None:
        for hour, kwh in ((8, 2.0), (9, 1.0)):
            hour_of(team, kwh, hour=hour)
        reply = get(secret, granularity="hour").json()
        got = [(part["start"], part["end"], part["figures"]["it_energy_kwh"]["mid"]) for part in reply["parts"]]
        assert got == [
            ("2026-11-20T08:00:00Z", "2026-11-20T09:00:00Z", 2.0),
            ("2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z", 1.0),
        ]

    @pytest.mark.parametrize(("granularity", "starts"), [("day", [19, 20]), ("month", [19]), ("hour", [19, 20])])
    def test_of_a_long_period_come_at_the_asked_granularity(
        self, secret: str, team: Team, granularity: str, starts: list[int]
    ) -> None:
        device = a_device(team=team)
        for day in (19, 20):
            ledger_hour(device, MORNING.replace(day=day), kwh=1.0, team=team)
        query = {"from": "2026-11-19T00:00:00Z", "to": "2026-11-24T00:00:00Z", "granularity": granularity}
        reply = get(secret, **query).json()
        assert [datetime.fromisoformat(part["start"]).day for part in reply["parts"]] == starts
        energies = [part["figures"]["it_energy_kwh"]["mid"] for part in reply["parts"]]
        assert sum(energies) == reply["totals"]["it_energy_kwh"]["mid"] == 2.0

    @pytest.mark.parametrize("by", ["team", "project", "site", "device", "device_model", "job"])
    def test_of_every_split_add_up_to_the_totals(self, secret: str, team: Team, by: str) -> None:
        job = Job.objects.create(team=team, key="train-1")
        ledger_hour(a_device("gpu-0", team=team, model="H100"), MORNING, kwh=1.0, job=job)
        ledger_hour(a_device("gpu-1", team=team, model="A100"), MORNING, kwh=2.0, team=team)
        reply = get(secret, group_by=by).json()
        assert sum(part["figures"]["it_energy_kwh"]["mid"] for part in reply["parts"]) == 3.0

    def test_are_narrowed_by_job_model_and_site(self, secret: str, team: Team, site: Site) -> None:
        job = Job.objects.create(team=team, key="train-1")
        ledger_hour(a_device("gpu-0", team=team, site=site, model="H100"), MORNING, kwh=1.0, job=job)
        ledger_hour(a_device("gpu-1", host="other", team=team, model="A100"), MORNING, kwh=2.0, team=team)
        asked = ({"job": "train-1"}, {"device_model": "H100"}, {"site": site.slug}, {"device_model": "A100"})
        got = [get(secret, **query).json()["totals"]["it_energy_kwh"]["mid"] for query in asked]
        assert got == [1.0, 1.0, 1.0, 2.0]

    @pytest.mark.parametrize(
        ("query", "status", "code"),
        [
            ({"job": "nobody's"}, 404, "unknown_job"), ({"site": "atlantis"}, 404, "unknown_site"),
            ({"functional_unit": "token"}, 422, "bad_parameters"),
            ({"functional_unit": "token", "units": "0"}, 422, "bad_parameters"),
            ({"functional_unit": "token", "units": "1e-320"}, 422, "bad_parameters"),
            ({"functional_unit": "token", "units": "nan"}, 422, "bad_parameters"),
            ({"basis": "moral"}, 422, "bad_parameters"),
            ({"job": "\x00"}, 422, "bad_parameters"), ({"device_model": "a\x00"}, 422, "bad_parameters"),
            ({"to": "2027-11-20T10:00:00Z", "granularity": "hour"}, 422, "bad_period"),
        ],
    )  # fmt: skip
    def test_are_refused_by_name(self, secret: str, query: dict[str, str], status: int, code: str) -> None:
        assert problem(get(secret, **query)) == (status, code)

    def test_are_refused_where_there_are_too_many_for_one_answer(self, secret: str, team: Team, monkeypatch) -> None:
        for hour in (8, 9):
            hour_of(team, 1.0, hour=hour)
        monkeypatch.setattr("accounting.api.footprint.MOST_PARTS", 1)
        assert problem(get(secret, granularity="hour")) == (413, "too_many_rows")


class TestCsv:
    def test_has_the_same_columns_where_nothing_is_known(self, secret: str, team: Team) -> None:
        headers = {"Authorization": f"Bearer {secret}", "Accept": "text/csv"}
        empty = Client().get(f"/api/v1/footprint?{urlencode(PERIOD)}", headers=headers).content
        ledger_hour(a_device(team=team), MORNING, kwh=2.0, team=team)
        full = Client().get(f"/api/v1/footprint?{urlencode(PERIOD)}", headers=headers).content
        assert empty.splitlines() == full.splitlines()[:1]

    def test_holds_the_same_figures_a_line_a_part(self, secret: str, team: Team) -> None:
        ledger_hour(a_device(team=team), MORNING, kwh=2.0, team=team)
        query = urlencode(PERIOD | {"granularity": "hour", "group_by": "team"})
        headers = {"Authorization": f"Bearer {secret}", "Accept": "text/csv"}
        response = Client().get(f"/api/v1/footprint?{query}", headers=headers)
        header, line = response.content.decode().splitlines()
        row = dict(zip(header.split(","), line.split(","), strict=True))
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        assert (row["part"], row["start"], float(row["co2e_location_kg"])) == (team.name, "2026-11-20T08:00:00Z", 0.6)
        assert (row["co2e_market_kg"], row["cost_eur"], row["factors"]) == ("", "0.5", "intensity:FR:2023")


class TestReaders:
    def test_someone_who_is_signed_in_reads_what_they_may_see(self, team: Team) -> None:
        hour_of(team, 2.0)
        hour_of(None, 5.0)
        client = Client()
        for role, kwh in (("auditor", 7.0), ("", None)):
            client.force_login(User.objects.create(username=f"of-{role}", organisation_role=role))
            found = client.get(f"/api/v1/footprint?{urlencode(PERIOD)}").json()["totals"]["it_energy_kwh"]
            assert (found and found["mid"]) == kwh


class TestCost:
    def test_is_null_where_no_price_is_known_and_says_how_much_it_leaves_out(self, team: Team, secret: str) -> None:
        hour_of(team, 2.0)
        TeamHour.objects.update(facility_energy_kwh=4.0, unpriced_kwh=4.0)
        totals = get(secret).json()["totals"]
        assert (totals["cost"], totals["unpriced_share"]) == (None, 1.0)
        TeamHour.objects.update(unpriced_kwh=1.0, cost_low=0.5, cost=0.5, cost_high=0.5)
        totals = get(secret).json()["totals"]
        assert (totals["cost"]["mid"], totals["unpriced_share"]) == (0.5, 0.25)

    def test_a_token_of_the_organisation_reads_every_team_and_narrows_to_one(self, team: Team) -> None:
        other = Team.objects.create(name="Speech", slug="speech")
        for owner, kwh in ((team, 2.0), (other, 3.0), (None, 5.0)):
            hour_of(owner, kwh)
        _, whole = issue_token(name="analyst", scopes=["read"])
        assert get(whole).json()["totals"]["it_energy_kwh"]["mid"] == 10.0
        assert get(whole, team="speech").json()["totals"]["it_energy_kwh"]["mid"] == 3.0
        parts = get(whole, group_by="team").json()["parts"]
        assert sorted(part["figures"]["it_energy_kwh"]["mid"] for part in parts) == [2.0, 3.0, 5.0]
