"""The product's own health as metrics: the ledger, what comes in, agents, sites, how much is stored."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Max, Q, QuerySet, Sum

from accounting.methods.units import J_PER_KWH
from accounting.models import Agent, DeviceSample, DirtyHour, IntakeHour, SeenCatalogue, UnreadMetric
from accounting.reports.fleet import visible_sites
from accounting.reports.ledger_lag import ledger_lag
from accounting.reports.live import visible_devices
from accounting.reports.metric_families import NOBODY, Point
from accounting.reports.rates import carbon_rates
from accounting.reports.records import Sees

MOST_AGENTS = 500  # told of one by one, the longest silent first
MOST_WAITING = 100_000  # counting on would cost more than it tells
FORGOTTEN_AFTER = timedelta(days=30)
RESULTS = {"accepted": "accepted", "duplicate": "duplicates", "conflict": "conflicts", "rejected": "rejected"}


def health_points(visibility: Sees, *, version: str, now: datetime, silent_after_s: float) -> Iterator[Point]:
    """About a dozen queries, none of which reads a raw sample."""
    yield from _ledger(version, now)
    yield from _intake(visibility)
    yield from _agents(visibility, now, silent_after_s)
    yield Point("greenai_devices", (), visible_devices(visibility).filter(retired_at=None).count())
    if visibility.team_ids is None:
        yield from _stored()


def site_points(visibility: Sees, *, now: datetime) -> Iterator[Point]:
    """What holds in the running hour at every site where one has machines. Seven queries and one a site."""
    sites = dict(visible_sites(visibility).order_by().values_list("pk", "slug"))
    for site_id, rate in carbon_rates(sites, now=now, priced=False).items() if sites else ():
        slug = sites[site_id]  # type: ignore[index]
        intensity, pue = rate.intensity_g_per_kwh, rate.pue
        yield Point("greenai_site_grid_intensity_grams_per_joule", (slug,), intensity.mid / J_PER_KWH)
        yield Point("greenai_site_pue_ratio", (slug,), pue.mid)
        known = (slug, str(intensity.status), rate.intensity_step or NOBODY, str(pue.status))
        yield Point("greenai_site_rates_info", known, 1.0)


def _ledger(version: str, now: datetime) -> Iterator[Point]:
    method = SeenCatalogue.objects.values_list("method", flat=True).first() or ""
    yield Point("greenai_build_info", (version, method), 1.0)
    yield Point("greenai_ledger_lag_seconds", (), ledger_lag(now=now).lag_s or 0.0)
    yield Point("greenai_ledger_waiting", (), DirtyHour.objects.order_by()[:MOST_WAITING].count())


def _intake(visibility: Sees) -> Iterator[Point]:
    mine = Q() if visibility.team_ids is None else Q(token__team__in=visibility.team_ids)
    rows = IntakeHour.objects.filter(mine).order_by("protocol").values("protocol")
    for row in rows.annotate(last=Max("last_at"), **{name: Sum(column) for name, column in RESULTS.items()}):
        for result in RESULTS:
            yield Point("greenai_intake_samples_total", (row["protocol"], result), row[result])
        yield Point("greenai_intake_last_timestamp_seconds", (row["protocol"],), row["last"].timestamp())
    unread = UnreadMetric.objects.filter(mine).order_by("protocol").values_list("protocol")
    for protocol, count in unread.annotate(Sum("count")):
        yield Point("greenai_intake_unread_values_total", (protocol,), count)


def _agents(visibility: Sees, now: datetime, silent_after_s: float) -> Iterator[Point]:
    agents = Agent.objects.filter(last_seen_at__gt=now - FORGOTTEN_AFTER).exclude(key=Agent.STAND_IN_KEY)
    if visibility.team_ids is not None:
        agents = agents.filter(host__team__in=visibility.team_ids)
    silent = Q(last_seen_at__lt=now - timedelta(seconds=silent_after_s))
    counts = agents.aggregate(silent=Count("pk", filter=silent), reporting=Count("pk", filter=~silent))
    for state, count in counts.items():
        yield Point("greenai_agents", (state,), count)
    yield from _one_by_one(agents)


def _one_by_one(agents: QuerySet[Agent]) -> Iterator[Point]:
    said = ("key", "host__name", "host__team__slug", "host__site__slug", "last_seen_at", "dropped_total")
    for key, host, team, site, seen_at, dropped in agents.order_by("last_seen_at", "pk").values_list(*said)[
        :MOST_AGENTS
    ]:
        labels = (key, host, team or NOBODY, site or NOBODY)
        yield Point("greenai_agent_last_seen_timestamp_seconds", labels, seen_at.timestamp())
        yield Point("greenai_agent_dropped_samples_total", labels, dropped)


def _stored() -> Iterator[Point]:
    """From statistics: no count of rows. PostgreSQL's are as old as its last analyze; SQLite's last row number counts
    rows that went as well."""
    table = DeviceSample._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT coalesce(sum(greatest(c.reltuples, 0)), 0), count(*) FROM pg_class c WHERE c.relkind = 'r' AND "
                "(c.oid = %s::regclass OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %s::regclass))",
                [table, table],
            )
            rows, partitions = cursor.fetchone()
        else:
            cursor.execute(f"SELECT coalesce(max(rowid), 0) FROM {connection.ops.quote_name(table)}")
            rows, partitions = cursor.fetchone()[0], 1
    yield Point("greenai_raw_samples_estimate", (), float(rows))
    yield Point("greenai_raw_partitions", (), partitions)
