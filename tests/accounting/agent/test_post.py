"""One POST against a real server: what each answer means, and what is never sent or shown."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from accounting.agent.post import Client, ConfigurationError, Kind, Token, retry_after_s
from accounting.agent.wire import AgentInfo, DeviceSample, TelemetryBatch
from tests.accounting.agent.scripted_server import TOKEN, Answer, ScriptedServer

BATCH = TelemetryBatch(
    agent=AgentInfo(id="a", host="h", boot_id="b"),
    device_samples=[DeviceSample("cpu-0", "2026-11-20T12:00:00Z", power_w=12.5, seq=1)],
)


def client(server: ScriptedServer, *, timeout_s: float = 5.0) -> Client:
    return Client(server.url, Token(lambda: TOKEN, "a test"), timeout_s=timeout_s)


class TestPost:
    def test_a_200_with_our_answer_is_an_acknowledgement(self, server: ScriptedServer) -> None:
        outcome = client(server).post(BATCH)
        assert outcome.kind is Kind.DELIVERED
        assert outcome.reply is not None and outcome.reply.accepted == 1
        assert server.tokens == [f"Bearer {TOKEN}"]
        assert server.samples[("b", 1)]["power_w"] == 12.5

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_a_busy_server_is_asked_again(self, server: ScriptedServer, status: int) -> None:
        server.script = [Answer(status, headers={"Retry-After": "7"})]
        outcome = client(server).post(BATCH)
        assert (outcome.kind, outcome.retry_after_s) == (Kind.BUSY, 7.0)

    @pytest.mark.parametrize("status", [401, 403, 404, 405, 301, 308])
    def test_a_wrong_token_or_address_bars_and_loses_nothing(self, server: ScriptedServer, status: int) -> None:
        server.script = [Answer(status, headers={"Location": f"{server.url}/elsewhere"})]
        assert client(server).post(BATCH).kind is Kind.BARRED
        assert len(server.batches) == 1  # the token was not carried to the new address

    @pytest.mark.parametrize("status", [400, 415, 422])
    def test_an_unreadable_batch_is_refused_for_good(self, server: ScriptedServer, status: int) -> None:
        server.script = [Answer(status, body=b'{"title": "not\na batch"}')]
        outcome = client(server).post(BATCH)
        assert outcome.kind is Kind.REFUSED
        assert outcome.detail == f'HTTP {status}: {{"title": "not a batch"}}'

    def test_a_413_asks_for_fewer(self, server: ScriptedServer) -> None:
        server.script = [Answer(413)]
        assert client(server).post(BATCH).kind is Kind.TOO_LARGE

    def test_a_login_page_that_answers_200_is_no_acknowledgement(self, server: ScriptedServer) -> None:
        server.script = [Answer(body=b"<html>Sign in</html>")]
        assert client(server).post(BATCH).kind is Kind.BARRED

    def test_a_lost_reply_and_a_timeout_are_no_answer(self, server: ScriptedServer) -> None:
        server.script = [Answer(reply=False), Answer(delay_s=30)]
        assert client(server).post(BATCH).kind is Kind.BUSY
        began = time.monotonic()
        assert client(server, timeout_s=0.2).post(BATCH).kind is Kind.BUSY
        assert time.monotonic() - began < 5

    def test_no_server_is_no_answer(self) -> None:
        outcome = Client("http://127.0.0.1:9", Token(lambda: TOKEN, "a test")).post(BATCH)
        assert outcome.kind is Kind.BUSY
        assert TOKEN not in outcome.detail


class TestToken:
    def test_a_file_is_read_at_every_post_so_that_a_new_token_needs_no_restart(
        self, server: ScriptedServer, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text("gai_old_1\n")
        posting = Client(server.url, Token.find(str(file)))
        posting.post(BATCH)
        file.write_text("gai_new_2\n")
        posting.post(BATCH)
        assert server.tokens == ["Bearer gai_old_1", "Bearer gai_new_2"]

    def test_a_vanished_file_bars_until_it_is_back(self, server: ScriptedServer, tmp_path: Path) -> None:
        outcome = Client(server.url, Token.find(str(tmp_path / "gone"))).post(BATCH)
        assert outcome.kind is Kind.BARRED
        assert "gone" in outcome.detail

    @pytest.mark.parametrize("content", ["", "two lines\ngai_x", "gai_ä", "gai_a b"])
    def test_what_is_no_token_is_refused_without_being_shown(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "token").write_text(content)
        with pytest.raises(ConfigurationError) as refused:
            Token.find(str(tmp_path / "token")).value()
        assert not content or content not in str(refused.value)

    def test_the_environment_serves_when_no_file_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GREENAI_TOKEN_FILE", raising=False)
        monkeypatch.setenv("GREENAI_TOKEN", "gai_env_1")
        assert Token.find(None).value() == "gai_env_1"
        monkeypatch.delenv("GREENAI_TOKEN")
        with pytest.raises(ConfigurationError, match="--token-file"):
            Token.find(None)


class TestRetryAfter:
    NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            (None, None),
            ("30", 30.0),
            ("Fri, 20 Nov 2026 12:01:30 GMT", 90.0),
            ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),  # past: at once
            ("99999999", 3600.0),  # at most an hour
            ("soon", None),
            ("-5", None),
        ],
    )
    def test_reads_seconds_and_dates(self, header: str | None, seconds: float | None) -> None:
        assert retry_after_s(header, now=self.NOW) == seconds


class TestAddress:
    @pytest.mark.parametrize("server", ["greenai.example.org", "ftp://x", "http://", ""])
    def test_refuses_what_is_no_http_address(self, server: str) -> None:
        with pytest.raises(ConfigurationError, match="not an address"):
            Client(server, Token(lambda: TOKEN, "a test"))
