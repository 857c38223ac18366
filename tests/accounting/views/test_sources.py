"""The page Sources: who posts and what came of it, for those who may see it; and how to connect another program."""

import configparser
import csv
import json
import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounting.access import authenticate, issue_token, revoke_token
from accounting.agent.wire import AgentInfo, DeviceSample, TelemetryBatch
from accounting.ingest.store import store
from accounting.ingest.unread import note_unread
from accounting.models import ApiToken, FileImport, Team, User
from accounting.reports.sources import source_lines
from accounting.views.source_snippets import snippets
from tests.accounting.reports import rows
from tests.greenai.test_metrics_docs import needs_promtool, promtool

pytestmark = pytest.mark.django_db
SERVER = "https://green.example"
TOKEN = "gai_abcdefgh_" + "x" * 43


@pytest.fixture
def team() -> Team:
    return rows.a_team("Vision")


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def a_token(team: Team, name: str = "cluster") -> ApiToken:
    return issue_token(name=name, scopes=["ingest"], team=team)[0]


def post(token: ApiToken, *watts: float, at: datetime | None = None, protocol: str = "telemetry") -> None:
    now = at or timezone.now()
    moments = [(now - timedelta(seconds=n + 1)).isoformat() for n in range(len(watts))]
    samples = [DeviceSample("gpu-0", moment, power) for moment, power in zip(moments, watts, strict=True)]
    batch = TelemetryBatch(agent=AgentInfo(id="a", host="node-1", boot_id="b"), device_samples=samples)
    store(batch, token=token, now=now, protocol=protocol)


def lines(*, at: datetime | None = None) -> list[tuple[object, ...]]:
    found = source_lines(ApiToken.objects.all(), now=at or timezone.now(), silent_after_s=600.0)
    return [
        (one.token.name, one.protocol, one.state, one.this_hour.accepted, one.day.accepted, one.devices)
        for one in found
    ]


class TestSourceLines:
    def test_tell_protocols_apart_and_put_the_newest_first(self, team: Team) -> None:
        token, now = a_token(team), timezone.now()
        post(token, 1.0, 2.0, at=now - timedelta(hours=3))
        post(token, 3.0, at=now - timedelta(seconds=5), protocol="otlp")
        assert [line[:3] for line in lines(at=now)] == [
            ("cluster", "otlp", "live"),
            ("cluster", "telemetry", "silent"),
        ]

    def test_count_the_running_hour_and_the_last_24(self, team: Team) -> None:
        token, now = a_token(team), timezone.now().replace(minute=30)
        for hours, watts in ((30, 9.0), (5, 1.0), (0, 2.0)):
            post(token, watts, at=now - timedelta(hours=hours))
        (line,) = source_lines(ApiToken.objects.all(), now=now, silent_after_s=600.0)
        assert (line.this_hour.accepted, line.day.accepted, line.devices) == (1, 2, 1)
        assert line.by_hour == [0.0] * 18 + [1.0] + [0.0] * 4 + [1.0]

    def test_say_what_is_awaited_and_what_was_refused_whole(self, team: Team) -> None:
        a_token(team, "never used")
        _, secret = issue_token(name="misread", scopes=["ingest"], team=team)
        authenticate(f"Bearer {secret}", scope="ingest", now=timezone.now())
        assert {line[0]: line[2] for line in lines()} == {"never used": "waiting", "misread": "refused"}

    def test_leave_out_what_cannot_post(self, team: Team) -> None:
        now = timezone.now()
        issue_token(name="reads", scopes=["read"], team=team)
        issue_token(name="over", scopes=["ingest"], team=team, expires_at=now - timedelta(days=1))
        gone = a_token(team, "gone")
        post(gone, 1.0)
        revoke_token(gone, by="test", now=now)
        assert [line[0] for line in lines()] == ["gone"]  # it posted within 24 hours
        assert lines(at=now + timedelta(days=2)) == []

    def test_take_the_same_number_of_queries_for_any_number_of_sources(self, team: Team) -> None:
        post(a_token(team), 1.0)
        with CaptureQueriesContext(connection) as few:
            lines()
        for number in range(5):
            post(a_token(team, f"token {number}"), *range(1, 40), protocol="otlp")
        with CaptureQueriesContext(connection) as many:
            lines()
        assert len(many) == len(few) <= 6
        assert not any("accounting_devicesample" in query["sql"] for query in many)


class TestThePage:
    def test_leads_a_newcomer_to_the_first_sample(self, admin: Client) -> None:
        page = admin.get(reverse("sources")).content.decode()
        assert "Nothing posts yet" in page and reverse("token-new") in page
        assert 'hx-trigger="every 5s"' in page

    def test_waits_for_the_first_sample_and_then_shows_it(self, admin: Client, team: Team) -> None:
        token = a_token(team)
        assert b"Waiting for the first sample" in admin.get(reverse("source-lines")).content
        post(token, 1.0, 2.0, -1.0, protocol="prometheus")
        shown = admin.get(reverse("source-lines")).content.decode()
        assert "Prometheus remote-write" in shown and "1 rejected" in shown and "2 in 24 h" in shown

    def test_names_what_was_not_understood(self, admin: Client, team: Team) -> None:
        token, now = a_token(team), timezone.now()
        note_unread({("node_load1", "not of energy"): 40}, token=token, protocol="prometheus", now=now)
        page = admin.get(reverse("sources")).content.decode()
        assert "node_load1" in page and "not of energy" in page and "1 name not understood" in page

    def test_shows_the_files_that_people_brought(self, admin: Client, team: Team) -> None:
        FileImport.objects.create(kind="slurm", team=team, file_name="sacct.txt", imported_at=timezone.now())
        assert b"sacct.txt" in admin.get(reverse("sources")).content

    def test_shows_a_member_their_team_only(self, team: Team) -> None:
        other = rows.a_team("Speech")
        token, now = a_token(other, "theirs"), timezone.now()
        post(token, 1.0)
        note_unread({("secret_metric", ""): 1}, token=token, protocol="otlp", now=now)
        FileImport.objects.create(kind="slurm", team=other, file_name="theirs.txt", imported_at=now)
        post(a_token(team, "ours"), 1.0)
        client = signed_in(rows.a_user(team=team))
        for address in (
            reverse("sources"),
            reverse("source-lines"),
            "/sources/?csv=sources",
            "/sources/?csv=unread",
        ):
            text = client.get(address).content
            assert b"theirs" not in text and b"secret_metric" not in text
        assert b"ours" in client.get(reverse("sources")).content

    def test_never_shows_a_secret_and_offers_no_token_to_a_viewer(self, team: Team) -> None:
        _, secret = issue_token(name="cluster", scopes=["ingest"], team=team)
        page = signed_in(rows.a_user(team=team, role="viewer")).get(reverse("sources")).content.decode()
        assert secret not in page and reverse("token-new") not in page and "gai_YOUR_TOKEN" in page

    def test_escapes_the_names_that_posters_choose(self, admin: Client, team: Team) -> None:
        name = "<script>alert(1)</script>"
        note_unread({(name, name): 1}, token=a_token(team, name), protocol="otlp", now=timezone.now())
        assert name not in admin.get(reverse("sources")).content.decode()

    @pytest.mark.parametrize("kind", [one.key for one in snippets(server=SERVER)])
    def test_has_each_kind_of_program_and_takes_nonsense_for_the_first(self, admin: Client, kind: str) -> None:
        assert admin.get(reverse("sources"), {"connect": kind}).context["snippet"].key == kind
        assert admin.get(reverse("sources"), {"connect": "nonsense"}).context["snippet"].key == "agent"


class TestTheFiles:
    def test_have_the_pages_rows_in_full(self, admin: Client, team: Team) -> None:
        token = a_token(team)
        post(token, 1.0, -1.0)
        note_unread({("=up", ""): 3}, token=token, protocol="prometheus", now=timezone.now())
        found = {
            name: list(csv.DictReader(admin.get(reverse("sources"), {"csv": name}).content.decode().splitlines()))
            for name in ("sources", "unread")
        }
        first, second = found["sources"]
        assert {first["protocol"], second["protocol"]} == {"telemetry", "prometheus"}
        (posted,) = [row for row in found["sources"] if row["protocol"] == "telemetry"]
        assert (posted["accepted_24h"], posted["rejected_24h"], posted["speaks_for"]) == ("1", "1", "team Vision")
        assert [(row["name"], row["values"]) for row in found["unread"]] == [("'=up", "3")]  # no formula


class TestSnippets:
    """Each is read by what will read it, and leads where it says."""

    def text(self, key: str, number: int = 0) -> str:
        return {one.key: one for one in snippets(server=SERVER, token=TOKEN)}[key].texts[number].text

    def test_are_valid_yaml_for_prometheus_and_the_collector(self) -> None:
        (target,) = yaml.safe_load(self.text("prometheus"))["remote_write"]
        assert (target["url"], target["authorization"]) == (f"{SERVER}/api/v1/prom/write", {"credentials": TOKEN})
        exporter = yaml.safe_load(self.text("opentelemetry", 1))["exporters"]["otlphttp/greenai"]
        assert exporter["metrics_endpoint"] == f"{SERVER}/v1/metrics"
        assert exporter["headers"] == {"Authorization": f"Bearer {TOKEN}"}

    @needs_promtool
    def test_is_read_by_promtool(self, tmp_path: Path) -> None:
        (tmp_path / "prometheus.yml").write_text(self.text("prometheus"))
        promtool("check", "config", str(tmp_path / "prometheus.yml"))

    def test_are_valid_python(self) -> None:
        for key in ("codecarbon", "track"):
            compile(self.text(key), key, "exec")
        assert f'api_endpoint="{SERVER}/api/codecarbon"' in self.text("codecarbon")

    def test_set_the_environment_of_an_opentelemetry_sdk(self) -> None:
        from opentelemetry.util.re import parse_env_headers

        done = subprocess.run(
            ["sh", "-c", f"{self.text('opentelemetry')}\nenv"], capture_output=True, text=True, check=True, env={}
        )
        said = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("OTEL_"))
        assert said["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] == f"{SERVER}/v1/metrics"
        headers = parse_env_headers(said["OTEL_EXPORTER_OTLP_METRICS_HEADERS"], liberal=True)
        assert headers == {"authorization": f"Bearer {TOKEN}"}

    def test_send_one_reading_that_the_server_understands(self, tmp_path) -> None:
        curl = tmp_path / "curl"  # stands in for the network: says what it was given
        curl.write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done\n')
        curl.chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(["sh", "-c", self.text("http")], capture_output=True, check=True, env={"PATH": path})
        words = done.stdout.decode().split("\0")
        (sample,) = json.loads(words[words.index("-d") + 1])["device_samples"]
        assert datetime.fromisoformat(sample["measured_at"]) <= timezone.now()
        team = rows.a_team("Vision")
        _, secret = issue_token(name="x", scopes=["ingest"], team=team)
        answer = Client().post(
            "/api/v1/telemetry", words[words.index("-d") + 1], content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )  # fmt: skip
        assert answer.json()["accepted"] == 1

    def test_write_a_codecarbon_configuration(self) -> None:
        file = configparser.ConfigParser()
        file.read_string(self.text("codecarbon", 1))
        assert dict(file["codecarbon"]) == {
            "save_to_api": "true",
            "api_endpoint": f"{SERVER}/api/codecarbon",
            "api_key": TOKEN,
        }
