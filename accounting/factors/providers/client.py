"""One polite way to ask a provider: https, one host, bounded in time and size, no faster than it wants."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

TIMEOUT_S = 10.0
MOST_BYTES = 8_000_000
USUAL_WAIT_S = 60.0  # where a 429 or 5xx names no time
LONGEST_WAIT_S = 86_400.0
AGENT = "GreenAI grid feed"


class Refused(Exception):
    """The provider will not answer this, however often it is asked. `status` and `body` are HTTP's."""

    def __init__(self, message: str, *, status: int, body: bytes = b"") -> None:
        super().__init__(message)
        self.status, self.body = status, body


class TryLater(Exception):
    """Asked too often, or its server fails: not before `wait_s` seconds from now."""

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Unreachable(Exception):
    """No answer came, or more of it than can be an answer."""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)  # names in small letters


Transport = Callable[[str, Mapping[str, str]], Response]


@dataclass(slots=True)
class Bucket:
    """A token bucket: `burst` requests at once, `per_s` a second in the long run."""

    per_s: float
    burst: float
    tokens: float
    at_s: float

    def take(self, now_s: float) -> float:
        """Take one token and answer 0; where there is none, take nothing and answer the seconds until there is."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / self.per_s


@dataclass(slots=True)
class Client:
    """Asks one provider. Keep one for as long as the process lives, so that its rate holds.

    Args:
        clock: seconds that only rise, for the rate.
        today: the time in UTC, for a Retry-After that is a date.
    """

    transport: Transport
    clock: Callable[[], float]
    today: Callable[[], datetime]
    per_s: float = 0.5
    burst: float = 20.0
    _bucket: Bucket | None = None
    _not_before_s: float = 0.0

    def get(
        self, url: str, *, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of a 200 answer. Errors name the host and path, never the query: keys stand there.

        Raises:
            Refused: 3xx to elsewhere or 4xx.
            TryLater: 429, 5xx, or asked faster than the rate allows.
            Unreachable: no answer in time, or too large a one.
        """
        parts = urlsplit(url)
        where = f"{parts.netloc}{parts.path}"
        if parts.scheme != "https":
            raise ValueError(f"{where}: providers are asked over https only")
        self._wait_for_turn(where)
        asked = f"{url}?{urlencode(query)}" if query else url
        sent = {"User-Agent": AGENT, "Accept": "application/json", **(headers or {})}
        reply = self.transport(asked, sent)
        if reply.status == 200:
            return reply.body
        self._refuse(reply, where, [*(query or {}).values(), *(headers or {}).values()])
        raise AssertionError("unreachable")  # _refuse always raises

    def _wait_for_turn(self, where: str) -> None:
        now_s = self.clock()
        if self._bucket is None:
            self._bucket = Bucket(self.per_s, self.burst, self.burst, now_s)
        wait_s = max(self._not_before_s - now_s, 0.0) or self._bucket.take(now_s)
        if wait_s > 0:
            raise TryLater(f"{where}: asked often enough for now", wait_s=wait_s)

    def _refuse(self, reply: Response, where: str, secrets: Iterable[str]) -> None:
        if reply.status == 429 or reply.status >= 500:
            wait_s = _retry_after_s(reply.headers.get("retry-after", ""), self.today())
            self._not_before_s = self.clock() + wait_s
            raise TryLater(f"{where} answered {reply.status}: asked again in {wait_s:.0f} s", wait_s=wait_s)
        reasons = {401: "the key is not accepted", 403: "the key does not allow this", 404: "there is no such place"}
        said = reasons.get(reply.status) or _without(reply.body.decode("utf-8", "replace"), secrets)[:120]
        raise Refused(f"{where} answered {reply.status}: {said}", status=reply.status, body=reply.body)


def _without(text: str, secrets: Iterable[str]) -> str:
    """An answer may repeat the question: nothing long enough to be a key is shown of it."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 8:
            text = text.replace(secret, "…")
    return text


def _retry_after_s(written: str, now: datetime) -> float:
    """Seconds, or a date, as RFC 9110 has it; the usual wait where it is missing or unreadable."""
    try:
        wait_s = float(written)
    except ValueError:
        try:
            wait_s = (parsedate_to_datetime(written).astimezone(UTC) - now).total_seconds()
        except (TypeError, ValueError):
            wait_s = USUAL_WAIT_S
    return min(max(wait_s, 1.0), LONGEST_WAIT_S) if wait_s == wait_s else USUAL_WAIT_S


class _SameHostOnly(urllib.request.HTTPRedirectHandler):
    """A redirect may not carry a key elsewhere."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (new.scheme, new.netloc) != (old.scheme, old.netloc):
            raise Refused(f"{old.netloc} redirects to {new.netloc}: not followed", status=code)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def over_https(url: str, headers: Mapping[str, str]) -> Response:
    """The transport of the running product: urllib with its certificate checks. Raises Unreachable, Refused."""
    opener = urllib.request.build_opener(_SameHostOnly())
    request = urllib.request.Request(url, headers=dict(headers))
    host = urlsplit(url).netloc
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return Response(answer.status, _bounded(answer, host), _small(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.read(20_000), _small(error.headers))
    except (OSError, HTTPException) as error:  # URLError is an OSError; so is a timeout
        reason = getattr(error, "reason", error)
        raise Unreachable(f"{host} cannot be reached: {reason}") from error


def _bounded(answer: Any, host: str) -> bytes:
    body: bytes = answer.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise Unreachable(f"{host} answered more than {MOST_BYTES // 1_000_000} MB: not read on")
    return body


def _small(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
