"""Feeds: what is asked, what is stored, what is restated."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import CommandError, call_command

from accounting import tasks
from accounting.factors.catalog import load_packaged
from accounting.factors.providers.base import EmissionBasis, Flow, HourValue, Series, Signal
from accounting.factors.providers.client import Client, Response
from accounting.factors.providers.registry import providers
from accounting.ledger import gridfeed
from accounting.models import DirtyHour, GridFeed, GridHour, LedgerHour
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site

pytestmark = pytest.mark.django_db
PROVIDERS = providers(load_packaged())
AVERAGE = Series(Signal.AVERAGE, EmissionBasis.LIFECYCLE, Flow.CONSUMPTION)
MARGINAL = Series(Signal.MARGINAL, EmissionBasis.DIRECT, Flow.CONSUMPTION)


class Provider:
    """Electricity Maps as far as a feed sees it: a value for every hour that it is asked for."""

    def __init__(self, *, estimated: bool = False, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.estimated, self.status, self.headers = estimated, status, headers or {}
        self.value = 50
        self.asked: list[dict[str, list[str]]] = []

    def __call__(self, url: str, headers: Mapping[str, str]) -> Response:
        query = parse_qs(urlsplit(url).query)
        self.asked.append(query)
        hours = [NOON - k * HOUR for k in range(300)]
        rows = [self.row(query["zone"][0], hour) for hour in hours]
        return Response(self.status, json.dumps({"zone": query["zone"][0], "history": rows}).encode(), self.headers)

    def row(self, zone: str, hour: datetime) -> dict[str, Any]:
        return {
            "zone": zone,
            "carbonIntensity": self.value,
            "datetime": f"{hour:%Y-%m-%dT%H:%M:%S.000Z}",
            "emissionFactorType": "lifecycle",
            "isEstimated": self.estimated,
            "estimationMethod": "TIME_SLICER_AVERAGE" if self.estimated else None,
        }


def a_feed(**fields: Any) -> GridFeed:
    usual = {"provider": "electricity-maps", "zone": "FR", "area": "FR", "key_variable": "ELECTRICITY_MAPS_TOKEN"}
    return GridFeed.objects.create(**(usual | fields))


def fetch(feed: GridFeed, provider: Provider, *, now: datetime = NOON, key: str = "k") -> gridfeed.Stored | None:
    feed.refresh_from_db()
    asker = {name: Client(provider, lambda: 0.0, lambda: now) for name in ("electricity-maps", "uk-carbon-intensity")}
    return gridfeed.fetch_feed(feed, now=now, clients=asker, keys=lambda _: key)


def value(g: float, hour: datetime = EIGHT, *, series: Series = AVERAGE, estimated: bool = False) -> HourValue:
    return HourValue(hour, g, series, estimated, "guess" if estimated else "")


def stored(*values: HourValue, provider: str = "csv") -> gridfeed.Stored:
    return gridfeed.store_hours(provider, [("FR", one) for one in values], now=NOON)


def the_row() -> tuple[float, bool, int]:
    row = GridHour.objects.get()
    return row.value_g_per_kwh, row.is_estimated, row.revision


class TestFeed:
    def test_fills_the_days_before_and_asks_no_more_for_what_is_stored(self) -> None:
        feed, provider = a_feed(), Provider()
        first = fetch(feed, provider)
        assert first and first.added == 240 and GridHour.objects.count() == 240
        assert fetch(feed, provider, now=NOON + timedelta(minutes=40)) == gridfeed.Stored(0, 0, 0, 0)
        assert len(provider.asked) == 1

    def test_never_asks_for_the_hour_that_runs(self) -> None:
        fetch(a_feed(), Provider(), now=NOON + timedelta(minutes=59))
        assert max(GridHour.objects.values_list("hour", flat=True)) == NOON - HOUR

    def test_asks_again_for_what_was_only_estimated(self) -> None:
        feed = a_feed()
        fetch(feed, Provider(estimated=True))
        assert GridHour.objects.filter(is_estimated=True).count() == 240
        again = fetch(feed, Provider())
        assert again and again.replaced == 72  # the last three days; older ones stay as they were told

    def test_is_due_again_after_half_an_hour_and_not_before(self) -> None:
        fetch(a_feed(), Provider())
        assert gridfeed.due(now=NOON + timedelta(minutes=29)) == []
        assert len(gridfeed.due(now=NOON + timedelta(minutes=30))) == 1

    def test_of_another_process_is_left_to_it(self) -> None:
        feed, provider = a_feed(), Provider()
        GridFeed.objects.update(next_try_at=NOON + timedelta(minutes=10))  # claimed after `feed` was read
        asker = {"electricity-maps": Client(provider, lambda: 0.0, lambda: NOON)}
        assert gridfeed.fetch_feed(feed, now=NOON, clients=asker, keys=lambda _: "k") is None
        assert provider.asked == []

    def test_that_is_switched_off_is_never_due(self) -> None:
        a_feed(enabled=False)
        assert gridfeed.due(now=NOON) == []

    def test_of_another_basis_asks_for_its_own_hours(self) -> None:
        fetch(a_feed(), Provider())
        direct = a_feed(emission_basis="direct")
        ask = gridfeed.lacking(direct, PROVIDERS["electricity-maps"], now=NOON)
        assert ask and (ask.basis, (ask.end - ask.start) / HOUR) == (EmissionBasis.DIRECT, 240)


class TestEdges:
    """The task of beat and the command, with the provider scripted."""

    @pytest.fixture(autouse=True)
    def scripted(self, monkeypatch: pytest.MonkeyPatch) -> Provider:
        provider = Provider()
        monkeypatch.setenv("ELECTRICITY_MAPS_TOKEN", "k")
        monkeypatch.setattr(tasks, "_CLIENTS", {"electricity-maps": Client(provider, lambda: 0.0, lambda: NOON)})
        return provider

    def test_the_task_asks_feeds_that_are_due_once(self, scripted: Provider) -> None:
        feed = a_feed()
        tasks.fetch_grid_hours()
        tasks.fetch_grid_hours()
        feed.refresh_from_db()
        assert len(scripted.asked) == 1 and feed.last_success_at and not feed.last_error

    def test_the_command_fails_and_says_why_where_a_feed_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        a_feed(provider="gone")
        told = StringIO()
        with pytest.raises(CommandError, match="1 of 1 feeds failed"):
            call_command("grid_fetch", "--all", stdout=told)
        assert "gone for FR: no provider is named 'gone'" in told.getvalue()

    def test_the_command_has_nothing_to_do_without_feeds(self) -> None:
        told = StringIO()
        call_command("grid_fetch", stdout=told)
        assert told.getvalue() == "No feed is due\n"


class TestFailure:
    def test_without_a_key_says_which_variable_to_set(self) -> None:
        feed = a_feed()
        assert fetch(feed, Provider(), key="") is None
        feed.refresh_from_db()
        assert "set ELECTRICITY_MAPS_TOKEN" in feed.last_error and feed.failures == 1

    def test_waits_as_long_as_the_provider_says(self) -> None:
        feed = a_feed()
        fetch(feed, Provider(status=429, headers={"retry-after": "1800"}))
        feed.refresh_from_db()
        assert feed.next_try_at == NOON + timedelta(minutes=30) and "429" in feed.last_error

    def test_waits_twice_as_long_each_time_and_six_hours_at_most(self) -> None:
        feed, waits = a_feed(), []
        for _ in range(8):
            fetch(feed, Provider(status=400))
            feed.refresh_from_db()
            waits.append((feed.next_try_at - NOON) / timedelta(minutes=10))
        assert waits == [1, 2, 4, 8, 16, 32, 36, 36]

    def test_is_forgotten_with_the_next_success(self) -> None:
        feed = a_feed()
        fetch(feed, Provider(status=500))
        fetch(feed, Provider())
        feed.refresh_from_db()
        assert (feed.last_error, feed.failures, feed.last_success_at) == ("", 0, NOON)

    def test_no_other_variable_of_the_environment_can_be_sent(self) -> None:
        feed, provider = a_feed(key_variable="SECRET_KEY"), Provider()
        assert fetch(feed, provider, key="the server's own") is None
        feed.refresh_from_db()
        assert provider.asked == [] and "SECRET_KEY cannot hold its key" in feed.last_error

    def test_a_provider_that_is_gone_fails_alone(self) -> None:
        feed = a_feed(provider="gone")
        assert fetch(feed, Provider()) is None
        feed.refresh_from_db()
        assert "no provider is named 'gone'" in feed.last_error


class TestKeys:
    def test_are_read_from_the_environment_or_the_file_it_names(self, monkeypatch: Any, tmp_path: Any) -> None:
        monkeypatch.delenv("EIA_API_KEY", raising=False)
        assert gridfeed.key_of("EIA_API_KEY") == "" == gridfeed.key_of("")
        (tmp_path / "key").write_text("of the file\n")
        monkeypatch.setenv("EIA_API_KEY_FILE", str(tmp_path / "key"))
        assert gridfeed.key_of("EIA_API_KEY") == "of the file"
        monkeypatch.setenv("EIA_API_KEY", "itself")
        assert gridfeed.key_of("EIA_API_KEY") == "itself"


class TestStore:
    def test_replaces_an_estimated_value_by_an_actual_one_and_counts_the_revision(self) -> None:
        stored(value(60.0, estimated=True))
        assert stored(value(55.0)).replaced == 1
        assert the_row() == (55.0, False, 1)

    def test_never_replaces_an_actual_value_by_an_estimated_one(self) -> None:
        stored(value(55.0))
        assert stored(value(60.0, estimated=True)).kept == 1
        assert the_row() == (55.0, False, 0)

    def test_takes_a_later_value_of_the_same_kind_and_leaves_the_same_value_alone(self) -> None:
        stored(value(55.0))
        assert stored(value(55.0)).kept == 1 and stored(value(56.0)).replaced == 1
        assert the_row() == (56.0, False, 1)

    def test_keeps_series_and_providers_apart(self) -> None:
        stored(value(55.0), value(400.0, series=MARGINAL))
        stored(value(50.0), provider="electricity-maps")
        assert GridHour.objects.count() == 3


class TestMarks:
    def hours_in_ledger(self, site: Any) -> None:
        device = a_device(site=site)
        for k in range(3):
            LedgerHour.objects.create(device=device, hour=EIGHT + k * HOUR, site=site, rebuilt_at=NOON)

    def marked(self) -> list[datetime]:
        return sorted(DirtyHour.objects.values_list("hour", flat=True))

    def test_exactly_the_hours_that_changed_at_sites_of_the_zone(self) -> None:
        self.hours_in_ledger(a_site("paris", grid_zone="FR"))
        stored(value(55.0, EIGHT + HOUR), value(55.0, EIGHT + 9 * HOUR))
        assert self.marked() == [EIGHT + HOUR]

    def test_nothing_where_nothing_changed(self) -> None:
        self.hours_in_ledger(a_site("paris", grid_zone="FR"))
        stored(value(55.0))
        DirtyHour.objects.all().delete()
        stored(value(55.0))
        assert self.marked() == []

    @pytest.mark.parametrize("terms", [{"grid_zone": "DE"}, {}, {"grid_zone": "FR", "emission_basis": "direct"}])
    def test_no_site_of_another_zone_or_basis(self, terms: dict[str, str]) -> None:
        self.hours_in_ledger(a_site("elsewhere", **terms))
        stored(value(55.0))
        assert self.marked() == []

    def test_a_site_that_is_a_cloud_region_of_the_zone(self) -> None:
        self.hours_in_ledger(a_site("cloud", cloud_provider="aws", cloud_region="eu-west-3"))
        stored(value(55.0))
        assert self.marked() == [EIGHT]

    def test_nothing_for_a_marginal_value(self) -> None:
        self.hours_in_ledger(a_site("paris", grid_zone="FR", emission_basis="direct"))
        stored(value(400.0, series=MARGINAL))
        assert self.marked() == []
