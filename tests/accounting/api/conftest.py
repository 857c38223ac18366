import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounting.access import issue_token
from accounting.models import Site, Team

Post = Callable[..., HttpResponse]


@pytest.fixture(autouse=True)
def _only_the_api(settings) -> None:
    settings.ROOT_URLCONF = "tests.accounting.api.urls"


@pytest.fixture
def site(db: None) -> Site:
    return Site.objects.create(name="Paris", slug="paris")


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="Vision", slug="vision")


@pytest.fixture
def site_secret(site: Site) -> str:
    return issue_token(name="site", scopes=["ingest"], site=site)[1]


@pytest.fixture
def team_secret(team: Team) -> str:
    return issue_token(name="team", scopes=["ingest"], team=team)[1]


@pytest.fixture
def post(site_secret: str) -> Post:
    """Post a body to the telemetry endpoint with a site's token. A server error comes back as a reply, not a raise."""
    client = Client(raise_request_exception=False)

    def send(body: bytes, *, secret: str = site_secret, **headers: str) -> HttpResponse:
        headers = {"Authorization": f"Bearer {secret}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        return client.post("/api/v1/telemetry", body, content_type="application/json", headers=headers)

    return send


@pytest.fixture
def batch() -> Callable[..., bytes]:
    """A message of these samples, each a change to a good one taken just now."""

    def make(*changes: dict[str, Any], **more: object) -> bytes:
        good = {"device": "gpu-0", "measured_at": datetime.now(UTC).isoformat(), "power_w": 300.0}
        agent = {"id": "agent", "host": "node-1", "boot_id": "boot-1"}
        return json.dumps({"agent": agent, "device_samples": [good | change for change in changes], **more}).encode()

    return make
