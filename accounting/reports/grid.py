"""What hourly grid intensity is known, how its feeds fare, and how a zone's week looks."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Max, Min, Q, Sum

from accounting.factorbook import catalog
from accounting.factorbook.grid_hours import best
from accounting.factorbook.sites import emission_basis
from accounting.factorbook.terms import terms_at, terms_of, zone_of
from accounting.factors.providers import csv_file
from accounting.factors.providers.base import Provider
from accounting.factors.providers.registry import providers
from accounting.models import GridFeed, GridHour, LedgerHour, Site
from accounting.reports.queries import seen
from accounting.reports.records import Sees
from accounting.reports.tables import Column, Table

WEEK = timedelta(days=7)
WEEKS_SHOWN = 8
MARGINAL_ONLY = "watttime"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TONES = {"ok": "good", "stale": "warn", "no key": "warn", "failing": "bad", "off": "", "waiting": ""}


@dataclass(frozen=True, slots=True)
class FeedLine:
    """One feed as people read it. `needs` says what is missing to make it work; empty where nothing is."""

    feed: GridFeed
    title: str
    state: str  # ok, stale, failing, no key, off, waiting
    newest: datetime | None
    hours_of_week: int  # stored of the last 168 hours
    needs: str

    @property
    def tone(self) -> str:
        return TONES[self.state]


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """What is stored of one series."""

    provider: str
    zone: str
    signal: str
    basis: str
    flow: str
    hours: int
    estimated: int
    first: datetime
    newest: datetime

    @property
    def key(self) -> str:
        """As the URL names a zone's hours of one kind."""
        return f"{self.zone}:{self.signal}:{self.basis}"


def feed_lines(*, now: datetime, has_key: Callable[[GridFeed], bool]) -> list[FeedLine]:
    """Every feed with its state. Four queries."""
    known, counted = providers(catalog()), _counted(now)
    newest, of_week = _newest(now)
    lines = []
    for feed in GridFeed.objects.all():
        provider, place = known.get(feed.provider), (feed.provider, feed.zone)
        keyed = provider is None or not provider.key_variable or has_key(feed)
        state = _state(feed, newest.get(place), keyed=keyed, now=now)
        title = provider.title if provider else feed.provider
        needs = _needs(feed, provider, state, counted=counted)
        lines.append(FeedLine(feed, title, state, newest.get(place), of_week.get(place, 0), needs))
    return lines


def series_lines() -> list[SeriesLine]:
    """Every series that any hour is stored of. One query."""
    names = ("provider", "zone", "signal", "emission_basis", "flow")
    rows = (
        GridHour.objects.order_by("zone", "signal", "emission_basis", "provider")
        .values_list(*names)
        .annotate(
            hours=Count("pk"), estimated=Count("pk", filter=Q(is_estimated=True)), first=Min("hour"), newest=Max("hour")
        )
    )
    return [SeriesLine(*row) for row in rows]


def feeds_table(lines: Sequence[FeedLine]) -> Table:
    columns = (
        Column("zone", "Zone", numeric=False), Column("provider", "Provider", numeric=False),
        Column("area", "Its name for it", numeric=False), Column("basis", "Basis", numeric=False),
        Column("state", "State", numeric=False), Column("newest_hour", "Newest hour", numeric=False),
        Column("hours_of_week", "Hours of the last 168"), Column("last_success_at", "Last success", numeric=False),
        Column("next_try_at", "Next try", numeric=False), Column("error", "Error", numeric=False),
    )  # fmt: skip
    rows = [
        [
            line.feed.zone, line.feed.provider, line.feed.area, line.feed.emission_basis, line.state, line.newest,
            line.hours_of_week, line.feed.last_success_at, line.feed.next_try_at, line.feed.last_error,
        ]
        for line in lines
    ]  # fmt: skip
    return Table("grid-feeds", "Feeds of hourly grid intensity", columns, rows)


def series_table(lines: Sequence[SeriesLine]) -> Table:
    columns = (
        Column("zone", "Zone", numeric=False), Column("provider", "Provider", numeric=False),
        Column("signal", "Signal", numeric=False), Column("basis", "Basis", numeric=False),
        Column("flow", "Flow", numeric=False), Column("hours", "Hours"), Column("estimated", "Estimated"),
        Column("first", "From", numeric=False), Column("newest", "Newest", numeric=False),
    )  # fmt: skip
    rows = [
        [s.zone, s.provider, s.signal, s.basis, s.flow, s.hours, s.estimated, s.first, s.newest] for s in lines
    ]  # fmt: skip
    return Table("grid-series", "Hours that are stored", columns, rows)


def steps_table(visibility: Sees, *, now: datetime) -> Table:
    """Where the intensity of the last week's ledger was found, the most energy first. One query."""
    rows = (
        LedgerHour.objects.filter(seen(visibility), hour__gte=now - WEEK, hour__lt=now, facility_energy_kwh__gt=0)
        .order_by()
        .values_list("intensity_step")
        .annotate(kwh=Sum("facility_energy_kwh"), g=Sum("co2e_location_g"))
        .order_by("-kwh")
    )
    found = [(step or "not recorded then", kwh, g) for step, kwh, g in rows]
    whole = math.fsum(kwh for _, kwh, _ in found)
    columns = (
        Column("step", "Found by", numeric=False), Column("facility_energy_kwh", "At the wall, kWh"),
        Column("share_percent", "Share, %"), Column("mean_g_per_kwh", "Mean, g/kWh"),
    )  # fmt: skip
    cells = [[step, kwh, 100 * kwh / whole, g / kwh] for step, kwh, g in found]
    return Table("grid-steps", "Where the last week's grid intensity was found", columns, cells)


def week_of(series: str, *, now: datetime, zone: ZoneInfo) -> list[list[float | None]]:
    """Mean g/kWh by weekday (Monday first) and hour of the reader's day over the last eight weeks. One query.

    `series` is a SeriesLine's key; of several providers the one that goes first counts, hour by hour.
    """
    place, _, kind = series.partition(":")
    signal, _, basis = kind.partition(":")
    rows = GridHour.objects.filter(
        zone=place, signal=signal, emission_basis=basis, hour__gte=now - WEEKS_SHOWN * WEEK, hour__lt=now
    )
    slots: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row in best(rows).values():
        local = row.hour.astimezone(zone)
        slots[local.weekday(), local.hour].append(row.value_g_per_kwh)
    return [[_mean(slots.get((day, hour))) for hour in range(24)] for day in range(7)]


def week_figure(week: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    """Hours across, weekdays down, the stronger the dirtier."""
    if all(value is None for day in week for value in day):
        return {"data": [], "empty": "No hour of this zone in the last eight weeks"}
    trace = {
        "type": "heatmap", "x": [f"{hour:02d}" for hour in range(24)], "y": list(DAYS),
        "z": [list(day) for day in week],
        "colorscale": [[0.0, "--sunk"], [1.0, "--c1"]], "xgap": 2, "ygap": 2, "hoverongaps": False,
        "colorbar": {"title": {"text": "g/kWh"}, "thickness": 10, "outlinewidth": 0},
        "hovertemplate": "%{y} %{x}:00: %{z:.3~g} g/kWh<extra></extra>",
    }  # fmt: skip
    axes = {"xaxis": {"type": "category", "dtick": 3}, "yaxis": {"type": "category", "autorange": "reversed"}}
    return {"data": [trace], "layout": {**axes, "hovermode": "closest"}}


def week_table(series: str, week: Sequence[Sequence[float | None]]) -> Table:
    columns = (Column("hour", "Hour", numeric=False), *(Column(f"{day.lower()}_g_per_kwh", day) for day in DAYS))
    rows = [[f"{hour:02d}:00", *(day[hour] for day in week)] for hour in range(24)]
    return Table(f"grid-week-{series.replace(':', '-')}", "Mean intensity by hour and weekday, g/kWh", columns, rows)


def _newest(now: datetime) -> tuple[dict[tuple[str, str], datetime], dict[tuple[str, str], int]]:
    """Newest hour, and distinct hours of the last week, of each provider and zone."""
    recent = Count("hour", filter=Q(hour__gt=now - WEEK - timedelta(hours=1), hour__lt=now), distinct=True)
    rows = GridHour.objects.order_by().values_list("provider", "zone").annotate(newest=Max("hour"), recent=recent)
    found = [((provider, zone), newest, hours) for provider, zone, newest, hours in rows]
    return {place: newest for place, newest, _ in found}, {place: hours for place, _, hours in found}


def _state(feed: GridFeed, newest: datetime | None, *, keyed: bool, now: datetime) -> str:
    if not feed.enabled:
        return "off"
    if not keyed:
        return "no key"
    if feed.last_error:
        return "failing"
    if feed.last_success_at is None:
        return "waiting"
    stale_after = timedelta(hours=settings.GREENAI["grid_stale_h"] + 1.0)  # an hour's value comes after the hour
    return "stale" if newest is None or newest < now - stale_after else "ok"


def _counted(now: datetime) -> set[tuple[str, str]]:
    """(zone, basis) of every site, as it stands now."""
    terms = terms_of(Site.objects.values_list("pk", flat=True))
    return {(zone_of(of), emission_basis(of)) for of in (terms_at(some, now) for some in terms.values())}


def _needs(feed: GridFeed, provider: Provider | None, state: str, *, counted: set[tuple[str, str]]) -> str:
    if provider is None:
        return "This version has no such provider: remove the feed"
    if state == "no key":
        return f"Set {feed.key_variable or provider.key_variable} in the environment of web, worker and beat"
    if state == "failing":
        return feed.last_error
    if feed.provider == MARGINAL_ONLY:
        return "Nothing: marginal hours are kept for decisions, and enter no account"
    basis = provider.only_basis or feed.emission_basis
    if state != "off" and (feed.zone, basis) not in counted:
        return f"No site in {feed.zone} counts {basis} hours: state its zone and hourly intensities on its page"
    return ""


def provider_names() -> dict[str, str]:
    """Words for every provider, files too."""
    return {name: provider.title for name, provider in providers(catalog()).items()} | {csv_file.NAME: "Imported file"}


def _mean(values: Sequence[float] | None) -> float | None:
    return math.fsum(values) / len(values) if values else None
