"""POST /api/v1/estimates over HTTP, for programs with a reading token of a team."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accounting.access import issue_token
from accounting.estimates.run import KEYS, QUANTITIES
from accounting.factorbook.own_rules import Stated
from accounting.ledger import own_changes
from accounting.models import Site, Team, User
from tests.golden.test_estimates import ESTIMATED, SEED

ROOT = Path(__file__).resolve().parents[3]
DOC = (ROOT / "docs/api.md").read_text().split("## POST /api/v1/estimates\n", 1)[1].split("\n## ", 1)[0]


def named(pattern: str) -> set[str]:
    sources = [path.read_text() for path in (ROOT / "accounting" / "estimates").glob("*.py")]
    return {name for source in sources for name in re.findall(pattern, source)}


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

    def test_answers_somebody_who_is_signed_in(self, db: None) -> None:
        client = Client()
        client.force_login(User.objects.create_user("ada"))
        reply = client.post("/api/v1/estimates", b'{"runs": [{"it_energy_kwh": 1}]}', content_type="application/json")
        assert reply.status_code == 200 and reply.json()["runs"][0]["it_energy_kwh"]["mid"] == 1

    def test_is_described_for_programs(self, db: None) -> None:
        description = json.loads(Client().get("/api/v1/openapi.json").content)
        operation = description["paths"]["/api/v1/estimates"]["post"]
        run = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]["runs"]["items"]
        assert set(run["properties"]) == set(KEYS)
        answered = description["components"]["schemas"]["RunAnswer"]["properties"]
        assert set(answered) >= {*QUANTITIES, "id", "error", "warnings", "mismatches", "drivers"}


class TestDoc:
    def test_its_example_is_answered(self, secret: str) -> None:
        sent = re.search(r"<<'JSON'\n(.*?)\nJSON", DOC, re.DOTALL)
        assert sent
        seed, planned, slip = json.loads(post(secret, sent[1].encode()).content)["runs"]
        assert [m["likely_cause"] for m in seed["mismatches"]] == ["pue_twice"]
        assert planned["it_energy_kwh"]["mid"] == pytest.approx(702.8)  # 700 W x 1.255 x 8 x 100 h
        assert slip["error"]["field"] == "intensity_g_per_kwh"

    def test_names_every_field_and_quantity(self) -> None:
        assert {key for key in (*KEYS, *QUANTITIES) if f"`{key}`" not in DOC} == set()

    def test_names_every_code_of_a_refused_run(self) -> None:
        table = DOC.split("### Codes of refused runs", 1)[1]
        told = {
            code
            for line in table.splitlines()
            if line.startswith("| `")
            for code in re.findall(r"`([a-z_]+)`", line.split("|")[1])
        }
        assert told == named(r'Refusal\(\s*"([a-z_]+)"')

    def test_names_every_likely_cause(self) -> None:
        causes = named(r'_Slip\(\s*"([a-z_]+)"') | named(r'return "([a-z_]+_intensity|unknown)"')
        causes |= named(r'\("[a-z0-9_]+", "([a-z_]+_(?:included|excluded|market|location))"\)')
        told = set(re.findall(r"`([a-z_]+)`", DOC.split("`likely_cause` is one of", 1)[1].split(".\n", 1)[0]))
        assert told == causes


class TestOwnFactors:
    def test_of_the_organisation_and_of_the_team_that_asks_go_before_packaged_ones(self, team: Team) -> None:
        # 10 kWh at a PUE of 1: France by the organisation's 40 g/kWh, by the team's own 20 g/kWh where its token asks
        for grams, team_id in ((40.0, None), (20.0, team.pk)):
            stated = Stated(
                "grid_intensity", "FR", grams, grams, grams, "g/kWh", "MODELLED", "supplier", "its mix", team_id=team_id
            )
            own_changes.save([stated], reason="its mix", actor="ada", now=timezone.now())
        other = Team.objects.create(name="Audio", slug="audio")
        got = []
        for asking in (team, other):
            _, secret = issue_token(name="r", scopes=["read"], team=asking)
            run = {"it_energy_kwh": 10, "pue": 1, "country": "FR"}
            headers = {"Authorization": f"Bearer {secret}"}
            reply = (
                Client()
                .post("/api/v1/estimates", {"runs": [run]}, content_type="application/json", headers=headers)
                .json()["runs"][0]["co2e_location_kg"]
            )
            got.append((reply["mid"], reply["factors"][0].split(":")[0]))
        assert got == [(pytest.approx(0.2), "own"), (pytest.approx(0.4), "own")]
