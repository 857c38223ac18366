from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounting.access import issue_token
from accounting.models import ApiToken, Site, Team


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def site(db: None) -> Site:
    return Site.objects.create(name="Paris", slug="paris")


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="Vision", slug="vision")


@pytest.fixture
def site_token(site: Site) -> ApiToken:
    return issue_token(name="site", scopes=["ingest"], site=site)[0]


@pytest.fixture
def team_token(team: Team) -> ApiToken:
    return issue_token(name="team", scopes=["ingest"], team=team)[0]


@pytest.fixture
def connection_queries() -> Callable[[Callable[[], object]], int]:
    """How many queries a call makes."""

    def count(call: Callable[[], object]) -> int:
        with CaptureQueriesContext(connection) as queries:
            call()
        return len(queries)

    return count
