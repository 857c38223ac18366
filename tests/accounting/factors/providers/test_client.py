"""The one way out: hosts, sizes, rates."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from accounting.factors.providers import client as clients
from accounting.factors.providers.client import Bucket, Client, Refused, Response, TryLater, Unreachable
from tests.accounting.factors.providers.cases import MIDNIGHT, Clock, Scripted, client


class TestBucket:
    def test_lets_a_burst_through_and_then_its_rate(self) -> None:
        bucket = Bucket(per_s=0.5, burst=3.0, tokens=3.0, at_s=0.0)
        assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
        assert bucket.take(0.0) == pytest.approx(2.0)  # one token in two seconds
        assert bucket.take(2.0) == 0.0 and bucket.take(2.0) == pytest.approx(2.0)

    def test_never_holds_more_than_a_burst(self) -> None:
        bucket = Bucket(per_s=1.0, burst=2.0, tokens=2.0, at_s=0.0)
        assert [bucket.take(1_000.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0)]


class TestClient:
    def test_asks_no_faster_than_its_rate(self) -> None:
        transport, clock = Scripted({"https://": b"{}"}), Clock()
        asker = Client(transport, clock, lambda: MIDNIGHT, per_s=0.1, burst=2.0)
        asker.get("https://x.org/a")
        asker.get("https://x.org/a")
        with pytest.raises(TryLater) as later:
            asker.get("https://x.org/a")
        assert later.value.wait_s == pytest.approx(10.0) and len(transport.asked) == 2

    @pytest.mark.parametrize(
        ("retry_after", "wait_s"),
        [("30", 30.0), ("Thu, 01 Jan 2026 00:10:00 GMT", 600.0), ("", 60.0), ("soon", 60.0), ("1e9", 86_400.0)],
    )
    def test_reads_retry_after_as_seconds_or_a_date(self, retry_after: str, wait_s: float) -> None:
        transport = Scripted({"https://": Response(429, b"", {"retry-after": retry_after})})
        with pytest.raises(TryLater) as later:
            client(transport).get("https://x.org/a")
        assert later.value.wait_s == wait_s

    def test_names_host_and_path_in_errors_and_never_the_query(self) -> None:
        transport = Scripted({"https://": Response(400, b"bad facet")})
        with pytest.raises(Refused, match=r"^x\.org/a answered 400: bad facet$"):
            client(transport).get("https://x.org/a", query={"api_key": "s3cret"})

    def test_shows_no_key_that_an_answer_repeats(self) -> None:
        transport = Scripted({"https://": Response(400, b"bad request: api_key=0123456789abcdef")})
        with pytest.raises(Refused, match=r"api_key=…$"):
            client(transport).get("https://x.org/a", query={"api_key": "0123456789abcdef"})

    def test_asks_nobody_without_encryption(self) -> None:
        with pytest.raises(ValueError, match="https only"):
            client(Scripted({})).get("http://x.org/a")


class Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/large":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 200)
        elif self.path == "/busy":
            self.send_response(503)
            self.send_header("Retry-After", "7")
            self.end_headers()
        else:
            self.send_response(302)
            self.send_header("Location", "https://example.org/")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


class TestTransport:
    """Against a real server on this machine, below the check for https."""

    def test_follows_no_redirect_to_another_host(self, server: str) -> None:
        with pytest.raises(Refused, match=r"redirects to example\.org: not followed"):
            clients.over_https(f"{server}/", {})

    def test_reads_no_more_than_an_answer_can_be(self, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clients, "MOST_BYTES", 100)
        with pytest.raises(Unreachable, match="not read on"):
            clients.over_https(f"{server}/large", {})

    def test_hands_errors_over_with_their_headers(self, server: str) -> None:
        answer = clients.over_https(f"{server}/busy", {})
        assert (answer.status, answer.headers["retry-after"]) == (503, "7")

    def test_says_which_host_cannot_be_reached(self) -> None:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 cannot be reached"):
            clients.over_https("http://127.0.0.1:9/", {})
