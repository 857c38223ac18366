"""Who asks, for the read and control API of both apps: a team's token with the scope that the address names."""

from datetime import UTC, datetime

from django.http import HttpRequest
from ninja.security import HttpBearer

from accounting.access import authenticate
from accounting.api.problem import Problem
from accounting.models import ApiToken


class TeamToken(HttpBearer):
    """`Authorization: Bearer gai_…` with one scope; what raises here is answered as a problem document."""

    def __init__(self, scope: ApiToken.Scope) -> None:
        super().__init__()
        self._scope = scope

    def __call__(self, request: HttpRequest) -> ApiToken:
        token = authenticate(request.headers.get("Authorization"), scope=self._scope, now=datetime.now(UTC))
        if token.team_id is None:
            raise Problem(403, "not_permitted", "a site's token may only post telemetry: use a team's token")
        return token

    def authenticate(self, request: HttpRequest, token: str) -> None:
        raise TypeError("__call__ does it all")


READ = TeamToken(ApiToken.Scope.READ)
ADMIN = TeamToken(ApiToken.Scope.ADMIN)
