"""What a page reads hour by hour of a long period: the last days, and it says from when."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import DeviceDay, DirtyHour, Team, User
from accounting.reports import holes
from accounting.reports.reach import reach
from tests.accounting.ledger.rows import EIGHT, a_device, post

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + 10 * DAY


class Everyone:
    team_ids, unattributed = None, True


class Nobody:
    team_ids, unattributed = frozenset((7,)), False


def days(count: int, *, team: Team | None = None) -> None:
    device = a_device(key=f"of-{team}")
    DeviceDay.objects.bulk_create(
        DeviceDay(day=(START + k * DAY).date(), device=device, team=team, status="MEASURED", factor_ids=[])
        for k in range(count)
    )


class TestReach:
    def test_is_the_whole_period_where_there_is_little_to_read(self) -> None:
        days(10)
        assert reach(Everyone(), START, END, most=240) == START

    def test_is_the_last_days_that_come_to_so_many_hours(self) -> None:
        days(10)
        assert reach(Everyone(), START, END, most=239) == START + DAY  # nine days of 24 hours are 216
        assert reach(Everyone(), START, END, most=48) == START + 8 * DAY

    def test_holds_the_last_day_with_anything_however_much_it_is(self) -> None:
        days(10)
        assert reach(Everyone(), START, END, most=1) == START + 9 * DAY
        assert reach(Everyone(), START, START + DAY, most=1) == START

    def test_counts_what_the_person_sees_and_asks_for(self) -> None:
        team = Team.objects.create(name="T", slug="t")
        days(10)
        days(5, team=team)
        assert reach(Everyone(), START, END, most=240) > START
        assert reach(Everyone(), START, END, most=120, team_id=team.pk) == START
        assert reach(Nobody(), START, END, most=1) == START


class TestPages:
    def test_say_from_when_they_read(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        client.force_login(User.objects.create_superuser("a", password="p"))
        device = a_device()
        post(device, [*range(0, 1201, 60), *range(3000, 3601, 60)], 300.0)
        post(device, [at + 86_400 for at in (*range(0, 1201, 60), *range(3000, 3601, 60))], 300.0)
        while DirtyHour.objects.exists():
            rebuild_dirty(now=EIGHT + 2 * DAY)
        until = (EIGHT + 2 * DAY).replace(hour=0)
        span = f"from={until - 2 * DAY:%Y-%m-%dT%H:%M}&to={until:%Y-%m-%dT%H:%M}"
        whole = client.get(f"{reverse('holes')}?{span}").content.decode()
        assert "estimated in the holes: " in whole
        monkeypatch.setattr(holes, "MOST_ROWS", 24)
        monkeypatch.setattr("accounting.views.figures.MOST_ROWS", 24)
        since = f"{until - DAY:%-d %b %Y} UTC"
        assert f"since {since}" in client.get(f"{reverse('holes')}?{span}").content.decode()
        assert f"Since {since} only" in client.get(f"{reverse('drivers')}?{span}").content.decode()
