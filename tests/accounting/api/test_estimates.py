"""POST /api/v1/estimates over HTTP, for programs with a reading token of a team."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounting.access import issue_token
from accounting.estimates.run import KEYS, QUANTITIES
from accounting.models import Site, Team
from tests.golden.test_estimates import ESTIMATED, SEED


def post(secret: str, body: bytes) -> HttpResponse:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    client = Client(raise_request_exception=False)
    return client.post("/api/v1/estimates", body, content_type="application/json", headers=headers)


def problem(response: HttpResponse) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    return response.status_code, json.loads(response.content)["code"]


@pytest.fixture
def secret(team: Team) -> str:
    return issue_token(name="reader", scopes=["read"], team=team)[1]


class TestEstimates:
    def test_answers_each_run_in_its_place(self, secret: str) -> None:
        runs: list[Any] = [{"id": "seed", **SEED}, {"id": "bad", "intensity_g_per_kwh": 2500}, {"it_energy_kwh": 1}]
        reply = post(secret, json.dumps({"runs": runs}).encode())
        assert reply.status_code == 200 and reply["Content-Type"] == "application/json"
        seed, bad, last = json.loads(reply.content)["runs"]
        assert {name: seed[name]["mid"] for name in QUANTITIES} == pytest.approx(ESTIMATED)
        assert (bad["id"], bad["error"]["code"], bad["error"]["field"]) == (
            "bad",
            "out_of_range",
            "intensity_g_per_kwh",
        )
        assert last["id"] is None and last["co2e_market_kg"] is None and last["it_energy_kwh"]["mid"] == 1

    @pytest.mark.parametrize(
        ("body", "refusal"),
        [
            (b"{", (422, "bad_document")),
            (b'{"run": []}', (422, "bad_document")),
            (json.dumps({"runs": [{}] * 1001}).encode(), (413, "too_many")),
            (b" " * ((1 << 20) + 1), (413, "too_large")),
        ],
    )
    def test_refuses_what_cannot_be_read_whole(self, secret: str, body: bytes, refusal: tuple[int, str]) -> None:
        assert problem(post(secret, body)) == refusal

    def test_is_for_reading_tokens_of_a_team(self, site: Site, team: Team) -> None:
        _, posts = issue_token(name="i", scopes=["ingest"], team=team)
        _, of_site = issue_token(name="s", scopes=["read"], site=site)
        assert problem(post("", b'{"runs": []}')) == (401, "unauthorized")
        assert problem(post(posts, b'{"runs": []}')) == (403, "not_permitted")
        assert problem(post(of_site, b'{"runs": []}')) == (403, "not_permitted")

    def test_is_described_for_programs(self, db: None) -> None:
        description = json.loads(Client().get("/api/v1/openapi.json").content)
        operation = description["paths"]["/api/v1/estimates"]["post"]
        run = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]["runs"]["items"]
        assert set(run["properties"]) == set(KEYS)
        answered = description["components"]["schemas"]["RunAnswer"]["properties"]
        assert set(answered) >= {*QUANTITIES, "id", "error", "warnings", "mismatches", "drivers"}
