"""Who posts: each token and protocol with what came of what it sent, what was not understood, and files people brought.

Read from counts (`IntakeHour`, `IntakeDevice`, `UnreadMetric`), never from samples.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db.models import Count, Max, QuerySet, Sum

from accounting.models import ApiToken, FileImport, IntakeDevice, IntakeHour, UnreadMetric
from accounting.reports.records import Sees
from accounting.reports.tables import Column, Table

HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
MOST_UNREAD = 200  # shown; the CSV has all of them
FILES_SHOWN = 6
TITLES = {
    "telemetry": "GreenAI telemetry",
    "codecarbon": "CodeCarbon",
    "prometheus": "Prometheus remote-write",
    "otlp": "OpenTelemetry",
    "slurm": "Slurm",
}
TEXT = False


@dataclass(frozen=True, slots=True)
class Taken:
    """Items by what became of them."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One token by one protocol; without a protocol a token with which nothing has come in yet."""

    token: ApiToken
    protocol: str
    last_at: datetime | None
    this_hour: Taken
    day: Taken
    by_hour: Sequence[float] = field(default=())  # accepted in each of the last 24 hours, oldest first
    devices: int = 0  # told of within 24 hours
    unread: int = 0  # names that were not understood within 24 hours
    state: str = "waiting"  # live, silent, refused (the token was used, nothing came in), waiting

    @property
    def title(self) -> str:
        return TITLES.get(self.protocol, self.protocol) if self.protocol else "Nothing yet"


def source_lines(tokens: QuerySet[ApiToken], *, now: datetime, silent_after_s: float) -> list[SourceLine]:
    """The newest first, then what is still awaited. Five queries, whatever the number of samples.

    Args:
        tokens: those the reader may see; of revoked ones and those that may not post only what came in within 24 hours.
    """
    found = {token.pk: token for token in tokens}
    last = _last(found, now=now)
    hours, devices, unread = _hours(found, now=now), _devices(found, now=now), _unread_names(found, now=now)
    running = now.replace(minute=0, second=0, microsecond=0)
    lines = []
    for key, at in sorted(last.items(), key=lambda item: item[1], reverse=True):
        of_hours = hours.get(key, {})
        by_hour = [of_hours.get(running - n * HOUR, Taken()) for n in reversed(range(24))]
        state = "live" if now - at <= timedelta(seconds=silent_after_s) else "silent"
        line = SourceLine(found[key[0]], key[1], at, by_hour[-1], _sum(by_hour), state=state)
        counts = {"devices": devices.get(key, 0), "unread": unread.get(key, 0)}
        lines.append(replace(line, by_hour=[float(one.accepted) for one in by_hour], **counts))
    return [*lines, *_awaited(found.values(), {token_id for token_id, _ in last}, now=now)]


def unread_metrics(tokens: QuerySet[ApiToken]) -> QuerySet[UnreadMetric]:
    """What was not understood, the newest first."""
    rows = UnreadMetric.objects.filter(token__in=tokens.order_by()).select_related("token")
    return rows.order_by("-last_seen_at", "-count", "name")


def imported_files(visibility: Sees) -> list[FileImport]:
    """The newest files that people brought for the teams one may see. One query."""
    rows = FileImport.objects.select_related("imported_by", "team", "site")
    if visibility.team_ids is not None:
        rows = rows.filter(team__in=visibility.team_ids)
    return list(rows[:FILES_SHOWN])


def sources_table(lines: Iterable[SourceLine]) -> Table:
    columns = (
        Column("token", "Token", TEXT), Column("public_id", "Key", TEXT), Column("speaks_for", "Speaks for", TEXT),
        Column("protocol", "Protocol", TEXT), Column("state", "State", TEXT), Column("last_at", "Last heard", TEXT),
        Column("accepted_this_hour", "Taken this hour"), Column("accepted_24h", "Taken in 24 h"),
        Column("duplicates_24h", "Came before, 24 h"), Column("conflicts_24h", "Conflicts, 24 h"),
        Column("rejected_24h", "Rejected, 24 h"), Column("devices_24h", "Devices, 24 h"),
        Column("unread_names_24h", "Names not understood, 24 h"),
    )  # fmt: skip
    rows = [
        [
            line.token.name, f"gai_{line.token.public_id}", _owner(line.token), line.protocol, line.state, line.last_at,
            line.this_hour.accepted, line.day.accepted, line.day.duplicates, line.day.conflicts, line.day.rejected,
            line.devices, line.unread,
        ]
        for line in lines
    ]  # fmt: skip
    return Table("sources", "Sources", columns, rows)


def unread_table(rows: Iterable[UnreadMetric]) -> Table:
    columns = (
        Column("token", "Token", TEXT), Column("protocol", "Protocol", TEXT), Column("name", "Metric", TEXT),
        Column("reason", "Why", TEXT), Column("values", "Values"), Column("first_seen_at", "First seen", TEXT),
        Column("last_seen_at", "Last seen", TEXT),
    )  # fmt: skip
    cells = [
        [row.token.name, row.protocol, row.name, row.reason, row.count, row.first_seen_at, row.last_seen_at]
        for row in rows
    ]
    return Table("not-understood", "Metrics that were not understood", columns, cells)


Key = tuple[int, str]  # token and protocol


def _last(found: dict[int, ApiToken], *, now: datetime) -> dict[Key, datetime]:
    """When each source was last heard of; what is not understood counts as heard too."""
    last: dict[Key, datetime] = {}
    for rows, at in ((IntakeHour.objects, "last_at"), (UnreadMetric.objects, "last_seen_at")):
        for token_id, protocol, seen in (
            rows.filter(token__in=found).order_by().values_list("token", "protocol").annotate(Max(at))
        ):
            last[token_id, protocol] = max(last.get((token_id, protocol), seen), seen)
    return {key: at for key, at in last.items() if _may_post(found[key[0]], now) or now - at <= DAY}


def _hours(found: Iterable[int], *, now: datetime) -> dict[Key, dict[datetime, Taken]]:
    since = now.replace(minute=0, second=0, microsecond=0) - 23 * HOUR
    rows = IntakeHour.objects.filter(token__in=found, hour__gte=since).order_by()
    sums = rows.values_list("token", "protocol", "hour").annotate(
        Sum("accepted"), Sum("duplicates"), Sum("conflicts"), Sum("rejected")
    )
    hours: dict[Key, dict[datetime, Taken]] = defaultdict(dict)
    for token_id, protocol, hour, *counts in sums:
        hours[token_id, protocol][hour] = Taken(*counts)
    return hours


def _devices(found: Iterable[int], *, now: datetime) -> dict[Key, int]:
    rows = IntakeDevice.objects.filter(token__in=found, last_seen_at__gt=now - DAY).order_by()
    counts = rows.values_list("token", "protocol").annotate(Count("pk"))
    return {(token_id, protocol): count for token_id, protocol, count in counts}


def _unread_names(found: Iterable[int], *, now: datetime) -> dict[Key, int]:
    rows = UnreadMetric.objects.filter(token__in=found, last_seen_at__gt=now - DAY).order_by()
    counts = rows.values_list("token", "protocol").annotate(Count("name", distinct=True))
    return {(token_id, protocol): count for token_id, protocol, count in counts}


def _awaited(tokens: Iterable[ApiToken], heard: set[int], *, now: datetime) -> list[SourceLine]:
    return [
        SourceLine(token, "", None, Taken(), Taken(), state="refused" if token.last_used_at else "waiting")
        for token in tokens
        if token.pk not in heard and _may_post(token, now)
    ]


def _may_post(token: ApiToken, now: datetime) -> bool:
    stands = token.revoked_at is None and (token.expires_at is None or token.expires_at > now)
    return stands and ApiToken.Scope.INGEST in token.scopes


def _owner(token: ApiToken) -> str:
    if token.team is not None:
        return f"team {token.team}"
    return f"site {token.site}" if token.site is not None else "the organisation"


def _sum(parts: Sequence[Taken]) -> Taken:
    return Taken(*(sum(getattr(part, name) for part in parts) for name in Taken.__slots__))
