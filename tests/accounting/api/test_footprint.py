"""GET /api/v1/footprint: the ledger's sums, for the team whose token asks."""

import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client

from accounting.access import issue_token
from accounting.models import Project, Site, Team, TeamHour

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
        assert reply["totals"]["it_energy_kwh"] == pytest.approx({"low": 2.7, "mid": 3.0, "high": 3.3})
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


class TestCost:
    def test_is_null_where_no_price_is_known_and_says_how_much_it_leaves_out(self, team: Team, secret: str) -> None:
        hour_of(team, 2.0)
        TeamHour.objects.update(facility_energy_kwh=4.0, unpriced_kwh=4.0)
        totals = get(secret).json()["totals"]
        assert (totals["cost"], totals["unpriced_share"]) == (None, 1.0)
        TeamHour.objects.update(unpriced_kwh=1.0, cost_low=0.5, cost=0.5, cost_high=0.5)
        totals = get(secret).json()["totals"]
        assert (totals["cost"]["mid"], totals["unpriced_share"]) == (0.5, 0.25)
