"""The endpoint as programs meet it."""

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client, RequestFactory

from accounting.access import issue_token, revoke_token
from accounting.agent.wire import MAX_BODY_BYTES, MAX_DECODED_BYTES, decode_reply
from accounting.api.telemetry import telemetry
from accounting.models import DeviceSample, Host, Team

Post = Callable[..., HttpResponse]
Batch = Callable[..., bytes]


def refused(response: HttpResponse, status: int, code: str) -> dict[str, object]:
    """The problem document, whole."""
    document = json.loads(response.content)
    assert response["Content-Type"] == "application/problem+json"
    assert (response.status_code, document["status"], document["code"]) == (status, status, code)
    assert document["type"] == f"urn:greenai:problem:{code}"
    assert document["instance"] == "/api/v1/telemetry"
    assert document["title"] and document["detail"] and document["request_id"]
    return document


class TestReply:
    def test_says_what_became_of_every_item(self, post: Post, batch: Batch) -> None:
        reply = decode_reply(post(batch({}, {}, {"power_w": -1})).content)
        assert (reply.accepted, reply.duplicates, reply.conflicts, reply.rejected) == (1, 1, 0, 1)
        assert [(e.list, e.index, e.field, e.code) for e in reply.errors] == [
            ("device_samples", 2, "power_w", "negative")
        ]
        assert "-1" in reply.errors[0].detail

    def test_shows_a_hundred_errors_and_counts_them_all(self, post: Post, batch: Batch) -> None:
        reply = decode_reply(post(batch(*[{"power_w": None}] * 250)).content)
        assert (len(reply.errors), reply.rejected, reply.accepted) == (100, 250, 0)

    def test_comes_for_a_gzipped_body_alike(self, post: Post, batch: Batch) -> None:
        body = batch({})
        assert decode_reply(post(gzip.compress(body), Content_Encoding="gzip").content).accepted == 1
        two_members = gzip.compress(body[:50]) + gzip.compress(body[50:])
        assert decode_reply(post(two_members, Content_Encoding="gzip").content).duplicates == 1

    def test_needs_no_csrf_token(self, site_secret: str, batch: Batch) -> None:
        client = Client(enforce_csrf_checks=True)
        headers = {"Authorization": f"Bearer {site_secret}"}
        assert client.post("/api/v1/telemetry", batch({}), "application/json", headers=headers).status_code == 200

    def test_repeats_a_harmless_request_id_only(self, post: Post) -> None:
        assert refused(post(b"", X_Request_ID="trace-7"), 400, "not_json")["request_id"] == "trace-7"
        assert refused(post(b"", X_Request_ID="<script>"), 400, "not_json")["request_id"] != "<script>"


class TestHostileBodies:
    """None of them is a server error, and none takes a good neighbour with it."""

    @pytest.mark.parametrize(
        ("value", "code"),
        [
            ("NaN", "not_finite"),
            ("Infinity", "not_finite"),
            ("-Infinity", "not_finite"),
            ("1e400", "not_finite"),
            ("9" * 5000, "not_finite"),
            ("-5", "negative"),
            ("1e12", "out_of_range"),
            ("null", "missing"),
            ('"12"', "bad_type"),
            ("true", "bad_type"),
            ("{}", "bad_type"),
        ],
    )
    def test_with_a_bad_number_lose_that_sample_only(self, post: Post, batch: Batch, value: str, code: str) -> None:
        body = batch({"power_w": 4242}, {"device": "gpu-1"}).replace(b"4242", value.encode())
        reply = decode_reply(post(body).content)
        assert (reply.accepted, reply.rejected) == (1, 1)
        assert [(e.index, e.field, e.code) for e in reply.errors] == [(0, "power_w", code)]

    @pytest.mark.parametrize("value", ["\\u0000", "\\ud800", "\\u0007", "x" * 300])
    def test_with_bad_text_lose_that_sample_only(self, post: Post, batch: Batch, value: str) -> None:
        body = batch({"device": "4242"}, {}, {"host": "4242"}).replace(b"4242", value.encode())
        reply = decode_reply(post(body).content)
        assert [(e.index, e.field, e.code) for e in reply.errors] == [
            (0, "device", "bad_text"),
            (2, "host", "bad_text"),
        ]
        assert reply.accepted == 1

    def test_with_a_repeated_key_count_its_last_value(self, post: Post, batch: Batch) -> None:
        body = batch({"power_w": 4242}).replace(b"4242", b'7, "power_w": 8')
        assert decode_reply(post(body).content).accepted == 1
        assert DeviceSample.objects.get().power_w == 8.0

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 400, "not_json"),
            (b"\x00", 400, "not_json"),
            (b"\xff\xfe\xfd", 400, "not_json"),
            (b"hello", 400, "not_json"),
            (b"[]", 400, "bad_envelope"),
            (b'"\\ud800"', 400, "bad_envelope"),
            (b"9" * 5000, 400, "bad_envelope"),
            (b"[" * 100_000, 400, "too_deep"),
            (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, "too_deep"),
            (b'{"schema": 99}', 400, "unknown_schema"),
            (b'{"device_samples": "all of them"}', 400, "bad_envelope"),
            (b'{"device_samples": [' + b"1," * 10_000 + b"1]}", 413, "too_many"),
            (b" " * (MAX_BODY_BYTES + 1), 413, "too_large"),
            (b"x" * 10_000_000, 413, "too_large"),
        ],
    )
    def test_that_cannot_be_read_are_refused(self, post: Post, body: bytes, status: int, code: str) -> None:
        refused(post(body), status, code)

    @pytest.mark.parametrize(
        ("packed", "status", "code"),
        [
            (gzip.compress(bytes(100_000_000), 9), 413, "too_large"),  # 97 KB that unpack to 100 MB
            (gzip.compress(b" " * (MAX_DECODED_BYTES + 1)), 413, "too_large"),
            (gzip.compress(b'{"device_samples": []}')[:-5], 400, "bad_gzip"),
            (gzip.compress(gzip.compress(b"{}")), 400, "not_json"),
            (gzip.compress(b"{}") + b"trailing", 400, "bad_gzip"),
            (b"PK\x03\x04", 400, "bad_gzip"),
            (b'{"device_samples": []}', 400, "bad_gzip"),
        ],
    )
    def test_that_unpack_badly_are_refused(self, post: Post, packed: bytes, status: int, code: str) -> None:
        refused(post(packed, Content_Encoding="gzip"), status, code)

    def test_in_an_unknown_encoding_are_refused_with_what_is_known(self, post: Post) -> None:
        response = post(b"{}", Content_Encoding="br")
        refused(response, 415, "unknown_encoding")
        assert response["Accept-Encoding"] == "gzip, identity"

    def test_of_another_length_than_announced_are_refused(self, site_secret: str) -> None:
        def send(length: str) -> HttpResponse:
            request = RequestFactory().post(
                "/api/v1/telemetry", b"{}", "application/json", headers={"Authorization": f"Bearer {site_secret}"}
            )
            request.environ["CONTENT_LENGTH"] = length
            return telemetry(request)

        refused(send("7"), 400, "cut_short")
        refused(send("-7"), 400, "bad_length")
        refused(send(str(10**9)), 413, "too_large")

    def test_in_chunks_need_a_server_that_ends_them(self, post: Post) -> None:
        refused(post(b"{}", Transfer_Encoding="chunked"), 411, "length_required")

    def test_in_chunks_are_read_to_their_end_and_no_further_than_the_limit(
        self, site_secret: str, batch: Batch
    ) -> None:
        def send(body: bytes) -> HttpResponse:
            headers = {"Authorization": f"Bearer {site_secret}", "Transfer-Encoding": "chunked"}
            request = RequestFactory().post("/api/v1/telemetry", b"", "application/json", headers=headers)
            stream = io.BytesIO(body)
            request.environ |= {"wsgi.input": stream, "wsgi.input_terminated": True}
            response = telemetry(request)
            assert stream.tell() <= MAX_BODY_BYTES + 1
            return response

        assert decode_reply(send(batch({})).content).accepted == 1
        refused(send(b"x" * 10_000_000), 413, "too_large")

    def test_sent_by_other_methods_are_refused(self, site_secret: str) -> None:
        for method in ("get", "put", "delete"):
            response = getattr(Client(), method)(
                "/api/v1/telemetry", headers={"Authorization": f"Bearer {site_secret}"}
            )
            refused(response, 405, "method_not_allowed")
            assert response["Allow"] == "POST"


class TestTokens:
    def test_are_asked_for_before_anything_is_read(self, post: Post, batch: Batch) -> None:
        for secret in ("", "gai_aaaaaaaa_" + "A" * 43, "nonsense"):
            response = post(b"[" * 100, secret=secret)
            refused(response, 401, "unauthorized")
            assert response["WWW-Authenticate"].startswith("Bearer")

    def test_of_the_wrong_scope_are_refused(self, post: Post, batch: Batch, team: Team) -> None:
        _, secret = issue_token(name="r", scopes=["read", "admin"], team=team)
        refused(post(batch({}), secret=secret), 403, "not_permitted")

    def test_no_longer_work_once_revoked_or_expired(self, post: Post, batch: Batch, team: Team) -> None:
        token, secret = issue_token(name="a", scopes=["ingest"], team=team)
        assert post(batch({}), secret=secret).status_code == 200
        revoke_token(token, by="test", now=datetime.now(UTC))
        refused(post(batch({}), secret=secret), 401, "unauthorized")
        _, late = issue_token(
            name="b", scopes=["ingest"], team=team, expires_at=datetime.now(UTC) - timedelta(seconds=1)
        )
        refused(post(batch({}), secret=late), 401, "unauthorized")

    def test_are_never_repeated_in_an_answer(self, post: Post, team: Team) -> None:
        _, secret = issue_token(name="r", scopes=["read"], team=team)
        assert secret.rpartition("_")[2] not in post(b"{}", secret=secret).content.decode()

    def test_of_one_team_never_touch_anothers_hosts(
        self, post: Post, batch: Batch, team_secret: str, team: Team
    ) -> None:
        other = Team.objects.create(name="Speech", slug="speech")
        _, foreign = issue_token(name="o", scopes=["ingest"], team=other)
        body = batch({}, jobs=[{"job": "j", "team": "vision"}], facility_samples=[
            {"site": "paris", "measured_at": datetime.now(UTC).isoformat(), "pue": 1.1}
        ])  # fmt: skip
        assert decode_reply(post(body, secret=team_secret).content).accepted == 1
        reply = decode_reply(post(body, secret=foreign).content)
        assert {(e.list, e.code) for e in reply.errors} == {
            ("jobs", "not_permitted"), ("facility_samples", "not_permitted"),
        }  # fmt: skip
        assert [h.devices.count() for h in Host.objects.filter(team=team)] == [1]
        assert DeviceSample.objects.filter(device__host__team=team).count() == 1


class TestDatabaseTrouble:
    @pytest.mark.parametrize("where", ["accounting.api.telemetry.authenticate", "accounting.api.telemetry.store"])
    def test_answers_503_and_when_to_come_back(
        self, post: Post, batch: Batch, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        def locked(*_: object, **__: object) -> None:
            raise OperationalError("database is locked")

        monkeypatch.setattr(where, locked)
        response = post(batch({}))
        refused(response, 503, "try_again")
        assert int(response["Retry-After"]) > 0

    def test_loses_nothing_that_was_acknowledged(self, post: Post, batch: Batch) -> None:
        assert decode_reply(post(batch({}, {"device": "gpu-1"})).content).accepted == 2
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {DeviceSample._meta.db_table}")
            assert cursor.fetchone() == (2,)
