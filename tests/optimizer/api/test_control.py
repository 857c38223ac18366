"""The optimizer's part of /api/v1/: a team's token sees its team's rows, and decides with the scope admin only."""

import json

import pytest
from django.test import Client

from accounting.access import issue_token
from accounting.models import AuditEntry, Site
from optimizer.recommend import recommend_for_experiment
from tests.optimizer.rows import NOW, UNKNOWN_ID, a_team, a_workload
from tests.optimizer.test_recommend import a_finished_experiment

pytestmark = pytest.mark.django_db


def secret_of(team, *scopes):
    return issue_token(name=f"program of {team}", scopes=scopes or ["read", "admin"], team=team)[1]


def get(secret, path, **query):
    return Client().get(f"/api/v1/{path}", query, headers={"Authorization": f"Bearer {secret}"})


def post(secret, path, body=None):
    headers = {"Authorization": f"Bearer {secret}"}
    data = "" if body is None else json.dumps(body)
    return Client(enforce_csrf_checks=True).post(
        f"/api/v1/{path}", data, content_type="application/json", headers=headers
    )


def problem(response):
    assert response["Content-Type"] == "application/problem+json"
    return response.status_code, json.loads(response.content)["code"]


@pytest.fixture
def team():
    return a_team("Vision")


@pytest.fixture
def stranger():
    return secret_of(a_team("Speech"))


@pytest.fixture
def experiment(team):
    return a_finished_experiment(workload=a_workload(team))


@pytest.fixture
def row(experiment):
    return recommend_for_experiment(experiment.pk, now=NOW)


class TestExperiments:
    def test_lists_the_teams_own_by_state_and_counts_them(self, team, experiment, stranger):
        secret = secret_of(team, "read")
        listed = get(secret, "experiments").json()
        assert (listed["count"], [line["id"] for line in listed["experiments"]]) == (1, [str(experiment.pk)])
        assert (listed["experiments"][0]["workload"], listed["experiments"][0]["device_energy_j"]) == ("Digits", 3600.0)
        assert get(secret, "experiments", state="queued").json() == {"count": 0, "experiments": []}
        assert get(secret, "experiments", offset=1).json() == {"count": 1, "experiments": []}
        assert get(stranger, "experiments").json() == {"count": 0, "experiments": []}

    def test_shows_one_with_what_was_measured_and_its_recommendation(self, team, experiment, row):
        shown = get(secret_of(team, "read"), f"experiments/{experiment.pk}").json()
        assert (shown["outcome"], shown["recommendation_id"]) == ("recommended", row.pk)
        baseline, int8, _ = shown["variants"]
        assert baseline["is_baseline"] and {m["quantity"]: m["mid"] for m in baseline["measurements"]} == {
            "size_bytes": 1000.0, "energy_j_per_unit": 1.0,
        }  # fmt: skip
        sizes = [c for c in int8["comparisons"] if c["quantity"] == "size_bytes"]
        assert [(c["ratio"], c["difference"], c["verdict"]) for c in sizes] == [(0.5, -500.0, "lower")]

    def test_another_teams_is_not_there(self, experiment, stranger):
        foreign = problem(get(stranger, f"experiments/{experiment.pk}"))
        assert foreign == problem(get(stranger, f"experiments/{UNKNOWN_ID}")) == (404, "unknown_experiment")

    def test_are_for_reading_tokens_of_a_team(self, team):
        of_site = issue_token(name="s", scopes=["read"], site=Site.objects.create(name="P", slug="p"))[1]
        assert problem(get(of_site, "experiments")) == (403, "not_permitted")
        assert problem(get(secret_of(team, "ingest"), "experiments")) == (403, "not_permitted")
        assert problem(get("", "experiments")) == (401, "unauthorized")

    @pytest.mark.parametrize("query", [{"state": "odd"}, {"limit": 0}, {"limit": 1000}, {"offset": -1}])
    def test_refuses_a_query_it_cannot_answer(self, team, query):
        assert problem(get(secret_of(team), "experiments", **query)) == (422, "bad_parameters")


class TestRecommendations:
    def test_lists_the_teams_own_with_what_they_save(self, team, row, stranger):
        listed = get(secret_of(team, "read"), "recommendations", state="open").json()
        (only,) = listed["recommendations"]
        # 0.36 J x 1e6 / 3.6e6 = 0.1 kWh; x PUE 1.5 = 0.15 kWh
        assert (listed["count"], only["id"], only["energy_saving_kwh"]) == (1, row.pk, pytest.approx(0.15))
        assert get(stranger, "recommendations").json() == {"count": 0, "recommendations": []}

    def test_accepts_without_a_word_and_leaves_the_tokens_name_in_the_trail(self, team, row):
        shown = post(secret_of(team), f"recommendations/{row.pk}/accept").json()
        assert (shown["state"], shown["decision_note"]) == ("accepted", "")
        row.refresh_from_db()
        assert (row.state, row.decided_by) == ("accepted", None)
        assert AuditEntry.objects.get(action="recommendation.accepted").actor.startswith("program of Vision (gai_")

    def test_a_dismissal_needs_a_reason(self, team, row):
        secret, path = secret_of(team), f"recommendations/{row.pk}/dismiss"
        assert problem(post(secret, path, {"note": "  "})) == (422, "bad_parameters")
        assert problem(post(secret, path)) == (422, "bad_parameters")
        assert post(secret, path, {"note": " too slow here "}).json()["decision_note"] == "too slow here"

    def test_is_decided_once(self, team, row):
        secret = secret_of(team)
        post(secret, f"recommendations/{row.pk}/accept", {"note": "done"})
        again = post(secret, f"recommendations/{row.pk}/dismiss", {"note": "no"})
        assert problem(again) == (409, "decided_already")
        assert AuditEntry.objects.filter(action__startswith="recommendation.").count() == 1

    def test_a_reading_token_decides_nothing_and_another_team_finds_nothing(self, team, row, stranger):
        path = f"recommendations/{row.pk}/accept"
        assert problem(post(secret_of(team, "read"), path)) == (403, "not_permitted")
        assert problem(post(stranger, path)) == (404, "unknown_recommendation")
        row.refresh_from_db()
        assert row.state == "open"
