"""GET from the server, for what a client reads back. No redirects, as for posts: the token is for one address."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode, urlsplit

from accounting.agent import VERSION
from accounting.agent.post import ConfigurationError, NoRedirect, Token

MAX_ANSWER_BYTES = 4 << 20


class Unanswered(Exception):
    """No answer, or one that says to come again: it may go well next time."""


class Refused(Exception):
    """The server answered no. `status` and `code` are the API's (docs/api.md)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail or f"HTTP {status}")
        self.status, self.code = status, code


class Asker:
    def __init__(self, server: str, token: Token) -> None:
        """Raises:
        ConfigurationError: `server` is not an http or https address.
        """
        address = urlsplit(server)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigurationError(f"the server {server!r} is not an address like https://greenai.example.org")
        self.server = server.rstrip("/")
        self._token = token
        self._opener = urllib.request.build_opener(NoRedirect)

    def text(self, path: str, *, timeout_s: float, **query: str | None) -> str:
        """The body of a 200.

        Raises:
            Unanswered: no answer in time, 408, 425, 429 or 5xx.
            Refused: any other answer.
        """
        told = urlencode({name: value for name, value in query.items() if value is not None})
        try:
            headers = {"Authorization": f"Bearer {self._token.value()}", "User-Agent": f"greenai-track/{VERSION}"}
            request = urllib.request.Request(f"{self.server}{path}?{told}", headers=headers)
            with self._opener.open(request, timeout=timeout_s) as response:
                body: bytes = response.read(MAX_ANSWER_BYTES)
                return body.decode()
        except ConfigurationError as error:
            raise Refused(401, "unauthorized", str(error)) from error
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from error
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            reason = getattr(error, "reason", error)
            raise Unanswered(f"no answer from {self.server}: {reason}") from error

    def json(self, path: str, *, timeout_s: float, **query: str | None) -> dict[str, Any]:
        """The same, as an object."""
        try:
            found = json.loads(self.text(path, timeout_s=timeout_s, **query))
        except ValueError as error:
            raise Unanswered(f"the answer of {self.server}{path} is not from a GreenAI server: {error}") from error
        if not isinstance(found, dict):
            raise Unanswered(f"the answer of {self.server}{path} is not from a GreenAI server")
        return found


def _refusal(error: urllib.error.HTTPError) -> Exception:
    try:
        problem = json.loads(error.read(20_000))
        code, detail = str(problem.get("code", "")), str(problem.get("detail", ""))
    except (ValueError, OSError, AttributeError, http.client.HTTPException):
        code, detail = "", ""
    if error.code in (408, 425, 429) or error.code >= 500:
        return Unanswered(f"HTTP {error.code} {detail}".strip())
    return Refused(error.code, code, detail)
