"""A real HTTP server on this machine that answers as a test tells it to, and keeps what it was sent.

It takes samples as the product does: by (boot_id, seq), where the same number with other content is a conflict.
"""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "gai_test_0123456789"


@dataclass
class Answer:
    """What to do with one request. `take` stores its samples; `reply` False then closes without a word."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    take: bool = True
    reply: bool = True
    delay_s: float = 0.0


class ScriptedServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.script: list[Answer] = []  # one answer a request, then 200 for ever
        self.rule: Callable[[dict[str, Any]], Answer | None] = lambda batch: None  # asked when the script is over
        self.batches: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.samples: dict[tuple[str, int], dict[str, Any]] = {}
        self.conflicts: list[tuple[str, int]] = []
        self.woken = threading.Event()  # set to end every delay
        self.told: dict[str, tuple[int, Any]] = {}  # what a GET of a path is answered
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.known = {"metered": "no", "host": "", "lasting": False, "devices": []}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, batch: dict[str, Any]) -> tuple[Answer, bytes]:
        with self.lock:
            self.batches.append(batch)
            answer = self.script.pop(0) if self.script else self.rule(batch) or Answer()
            taken = self._take(batch) if answer.take and answer.status == 200 else {}
        return answer, answer.body if answer.body is not None else json.dumps(taken).encode()

    def _take(self, batch: dict[str, Any]) -> dict[str, Any]:
        reply = {"accepted": 0, "duplicates": 0, "conflicts": 0, "rejected": 0, "errors": []}
        for sample in batch.get("device_samples", []):
            key = (batch["agent"]["boot_id"], sample["seq"])
            if key not in self.samples:
                self.samples[key] = sample
                reply["accepted"] += 1
            elif self.samples[key] == sample:
                reply["duplicates"] += 1
            else:
                self.conflicts.append(key)
                reply["conflicts"] += 1
        return reply

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An agent that was killed hangs up in the middle; that is what is being tested."""


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        self.server.asked.append((address.path, query))
        known = {**self.server.known, "host": self.server.known["host"] or query.get("host", "")}
        default = (200, known) if address.path == "/api/v1/metering" else (404, {"code": "unknown_job", "detail": "?"})
        status, answer = self.server.told.get(address.path, default)
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.append(self.headers["Authorization"])
        answer, reply = self.server.answer(json.loads(gzip.decompress(body)))
        if answer.delay_s:
            self.server.woken.wait(answer.delay_s)
        if not answer.reply:
            self.close_connection = True
            return
        if "Date" in answer.headers:  # else there would be two
            self.send_response_only(answer.status)
        else:
            self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.woken.set()
        server.shutdown()
        server.server_close()
        thread.join()
