"""One POST of one batch, and what its answer means for the samples in it. No retrying here."""

import gzip
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from accounting.agent import VERSION
from accounting.agent.wire import TelemetryBatch, TelemetryReply, decode_reply, encode

PATH = "/api/v1/telemetry"
TIMEOUT_S = 10.0
MAX_REPLY_BYTES = 4 << 20
MAX_RETRY_AFTER_S = 3600.0
BUSY = (408, 425, 429, 502, 503, 504)  # the same bytes may be taken later
UNREADABLE = (400, 415, 422)  # and these bytes never


class ConfigurationError(ValueError):
    """What the operator gave cannot work: names it and says what to give."""


class Kind(StrEnum):
    """What an answer means for the samples."""

    DELIVERED = "delivered"  # the server has them
    BUSY = "busy"  # try again soon
    BARRED = "barred"  # token or address is wrong; a person has to act, so try again slowly
    TOO_LARGE = "too large"  # send fewer at once
    REFUSED = "refused"  # never send these again


@dataclass(frozen=True, slots=True)
class Outcome:
    kind: Kind
    detail: str = ""
    reply: TelemetryReply | None = None
    retry_after_s: float | None = None


class Token:
    """Where the token comes from. A file is read at every post, so that a new token needs no restart."""

    def __init__(self, read: Callable[[], str], origin: str) -> None:
        self._read, self.origin = read, origin

    @classmethod
    def find(cls, token_file: str | None) -> "Token":
        """From --token-file (`-` is standard input), else GREENAI_TOKEN_FILE, else GREENAI_TOKEN.

        Raises:
            ConfigurationError: none of them is set.
        """
        if token_file == "-":
            given = sys.stdin.readline().strip()
            return cls(lambda: given, "standard input")
        if path := token_file or os.environ.get("GREENAI_TOKEN_FILE"):
            return cls(lambda: Path(path).read_text().strip(), path)
        if value := os.environ.get("GREENAI_TOKEN"):
            return cls(value.strip, "GREENAI_TOKEN")
        raise ConfigurationError("no token: give --token-file FILE, or set GREENAI_TOKEN_FILE or GREENAI_TOKEN")

    def value(self) -> str:
        """The token itself, which no log and no error ever shows.

        Raises:
            ConfigurationError: it cannot be read, or is not one line of visible ASCII.
        """
        try:
            value = self._read()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the token in {self.origin} cannot be read: {error}") from error
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise ConfigurationError(f"{self.origin} does not hold a token: expected one line, gai_…")
        return value


class Client:
    """Posts to one server. Follows no redirect: the token is for this address only."""

    def __init__(self, server: str, token: Token, *, timeout_s: float = TIMEOUT_S) -> None:
        """Raises:
        ConfigurationError: `server` is not an http or https address.
        """
        address = urlsplit(server)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigurationError(f"the server {server!r} is not an address like https://greenai.example.org")
        self.url = server.rstrip("/") + PATH
        self._token, self.timeout_s = token, timeout_s
        self._opener = urllib.request.build_opener(NoRedirect)

    def post(self, batch: TelemetryBatch) -> Outcome:
        """Never raises: whatever happens is an outcome."""
        try:
            headers = {
                "Authorization": f"Bearer {self._token.value()}",
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                "User-Agent": f"greenai-agent/{VERSION}",
            }
            request = urllib.request.Request(self.url, gzip.compress(encode(batch), 6), headers, method="POST")
            with self._opener.open(request, timeout=self.timeout_s) as response:
                return _taken(response.status, response.read(MAX_REPLY_BYTES))
        except ConfigurationError as error:
            return Outcome(Kind.BARRED, str(error))
        except urllib.error.HTTPError as error:
            with error:
                return _refusal(error.code, _excerpt(error), error.headers)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            return Outcome(Kind.BUSY, f"no answer from {self.url}: {reason}")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def _taken(status: int, body: bytes) -> Outcome:
    """Only a 200 that reads as our server's answer is an acknowledgement: a proxy's login page is a 200 too."""
    if status != 200:
        return Outcome(Kind.BARRED, f"the server answered {status}, not 200: is the address right?")
    try:
        return Outcome(Kind.DELIVERED, reply=decode_reply(body))
    except ValueError as error:
        return Outcome(Kind.BARRED, f"the answer did not come from a GreenAI server: {error}")


def _refusal(status: int, excerpt: str, headers: Message) -> Outcome:
    detail = f"HTTP {status}: {excerpt}" if excerpt else f"HTTP {status}"
    wait_s = retry_after_s(headers.get("Retry-After"), now=_servers_now(headers))
    if status in BUSY:
        return Outcome(Kind.BUSY, detail, retry_after_s=wait_s)
    if status == 413:
        return Outcome(Kind.TOO_LARGE, detail)
    if status in UNREADABLE:
        return Outcome(Kind.REFUSED, detail)
    if status >= 500:
        return Outcome(Kind.BUSY, detail, retry_after_s=wait_s)
    return Outcome(Kind.BARRED, detail, retry_after_s=wait_s)


def retry_after_s(header: str | None, *, now: datetime) -> float | None:
    """Seconds, or an HTTP date; at most an hour. None where there is none that can be read.

    Args:
        now: by the clock that wrote the date.
    """
    if header is None:
        return None
    try:
        seconds = float(header) if header.strip().isdigit() else (parsedate_to_datetime(header) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _servers_now(headers: Message) -> datetime:
    """What the server says the time is, so that a date it gives means what it meant; else ours."""
    try:
        said = parsedate_to_datetime(headers["Date"])
        return said if said.tzinfo else datetime.now(UTC)
    except (ValueError, TypeError, OverflowError):
        return datetime.now(UTC)


def _excerpt(error: urllib.error.HTTPError) -> str:
    """The start of a refusal, on one line, fit for a log."""
    try:
        text = error.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))[:300]
