"""Names nobody understands show at once; how often they come is written now and then, and nothing is counted twice."""

from datetime import UTC, datetime, timedelta

import pytest

from accounting.access import issue_token
from accounting.ingest import tally
from accounting.ingest.tally import EVERY, UnreadTally
from accounting.models import ApiToken, Site, UnreadMetric

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 27, tzinfo=UTC)
UP, LOAD = ("up", ""), ("node_load1", "")


@pytest.fixture
def token() -> ApiToken:
    return issue_token(name="t", scopes=["ingest"], site=Site.objects.create(name="s", slug="s"))[0]


def written() -> dict[str, int]:
    return dict(UnreadMetric.objects.values_list("name", "count"))


class TestUnreadTally:
    def test_writes_a_new_name_at_once_and_what_is_known_after_a_while(self, token: ApiToken) -> None:
        unread = UnreadTally("prometheus")
        unread.add({UP: 1}, token=token, now=NOW)
        unread.add({UP: 2}, token=token, now=NOW + timedelta(seconds=1))
        assert written() == {"up": 1}
        unread.add({UP: 4, LOAD: 1}, token=token, now=NOW + timedelta(seconds=2))
        assert written() == {"up": 7, "node_load1": 1}
        unread.add({UP: 8}, token=token, now=NOW + timedelta(seconds=2) + EVERY)
        assert written() == {"up": 15, "node_load1": 1}

    def test_nothing_new_costs_no_query(self, token: ApiToken, django_assert_num_queries: object) -> None:
        unread = UnreadTally("prometheus")
        unread.add({UP: 1}, token=token, now=NOW)
        with django_assert_num_queries(0):  # type: ignore[operator]
            unread.add({UP: 1}, token=token, now=NOW)
            unread.add({}, token=token, now=NOW)

    def test_a_write_that_fails_is_made_up_for(self, token: ApiToken, monkeypatch: pytest.MonkeyPatch) -> None:
        unread = UnreadTally("prometheus")
        with monkeypatch.context() as broken:
            broken.setattr(tally, "note_unread", lambda *_, **__: (_ for _ in ()).throw(OSError("down")))
            with pytest.raises(OSError, match="down"):
                unread.add({UP: 3}, token=token, now=NOW)
        unread.add({UP: 1}, token=token, now=NOW + EVERY)
        assert written() == {"up": 4}
