"""Who asks, for the read and control API of both apps: a team's token with the scope that the address names."""

from datetime import UTC, datetime

from django.http import HttpRequest
from ninja.security import HttpBearer

from accounting.access import Visibility, authenticate, visible_to
from accounting.api.problem import Problem
from accounting.models import ApiToken, User


class TeamToken(HttpBearer):
    """`Authorization: Bearer gai_…` with one scope; what raises here is answered as a problem document."""

    def __init__(self, scope: ApiToken.Scope) -> None:
        super().__init__()
        self._scope = scope

    def __call__(self, request: HttpRequest) -> ApiToken:
        token = self._token(request)
        if token.team_id is None:
            raise Problem(403, "not_permitted", "this needs a team's token: experiments and advice are a team's")
        return token

    def _token(self, request: HttpRequest) -> ApiToken:
        token = authenticate(request.headers.get("Authorization"), scope=self._scope, now=datetime.now(UTC))
        if token.site_id is not None:
            raise Problem(403, "not_permitted", "a site's token may only post telemetry: use a team's token")
        return token

    def authenticate(self, request: HttpRequest, token: str) -> None:
        raise TypeError("__call__ does it all")


class Reader(TeamToken):
    """A token of a team or of the organisation, or the session of someone signed in. For what changes nothing."""

    def __call__(self, request: HttpRequest) -> ApiToken | User:
        user = request.user
        if "Authorization" not in request.headers and user.is_authenticated:
            return user
        return self._token(request)


class Poster(TeamToken):
    """Any token that may post: of a team or of a site."""

    def __call__(self, request: HttpRequest) -> ApiToken:
        return authenticate(request.headers.get("Authorization"), scope=self._scope, now=datetime.now(UTC))


def visibility_of(request: HttpRequest) -> Visibility:
    """What whoever was let in by READER may see."""
    reader: ApiToken | User = request.auth  # type: ignore[attr-defined]
    return Visibility.of_token(reader) if isinstance(reader, ApiToken) else visible_to(reader)


READER = Reader(ApiToken.Scope.READ)
READ = TeamToken(ApiToken.Scope.READ)
ADMIN = TeamToken(ApiToken.Scope.ADMIN)
INGEST = Poster(ApiToken.Scope.INGEST)
