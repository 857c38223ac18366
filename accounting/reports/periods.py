"""Which stretch of time a page speaks of: presets, custom spans, their place in the URL, and what to compare with.

Up to three days the ledger's hours are read, beyond that its UTC days; a period always lies on those edges, so that
every table and chart of a page adds up to the same totals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from urllib.parse import urlencode

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOURLY_UP_TO = timedelta(days=3) + HOUR  # three complete days and the hour that is running
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)

PRESETS = {  # key: (complete length before the running hour or day, words)
    "1h": (HOUR, "Last hour"),
    "24h": (DAY, "Last 24 h"),
    "7d": (7 * DAY, "Last 7 days"),
    "30d": (30 * DAY, "Last 30 days"),
}
DEFAULT = "24h"


class PeriodRefused(ValueError):
    """The period in the URL cannot be shown; the message says why, for the reader."""


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open [start, end) on ledger edges, in UTC. The last hour or day may still be running."""

    start: datetime
    end: datetime
    key: str  # of PRESETS, or "custom"
    label: str

    @property
    def grain(self) -> str:
        """ "hour" or "day": which ledger tables answer."""
        return "hour" if self.end - self.start <= HOURLY_UP_TO else "day"

    @property
    def step(self) -> timedelta:
        return HOUR if self.grain == "hour" else DAY

    @property
    def query(self) -> str:
        """The URL part that brings this period back."""
        if self.key != "custom":
            return urlencode({"period": self.key})
        return urlencode({"from": self.start.isoformat(), "to": self.end.isoformat()})

    def buckets(self) -> list[datetime]:
        """Every hour or day of the period, in order."""
        return [self.start + n * self.step for n in range((self.end - self.start) // self.step)]

    def compared(self, *, now: datetime) -> "tuple[Period, Period] | None":
        """Its complete part and the equal stretch before it, so that a running hour is never held against a whole one.

        None while nothing of the period is complete.
        """
        complete_end = min(self.end, _floor(now, self.step))
        length = complete_end - self.start
        if length <= timedelta():
            return None
        return (
            Period(self.start, complete_end, "custom", "complete part"),
            Period(self.start - length, self.start, "custom", "the same length before"),
        )


def preset(key: str, *, now: datetime) -> Period:
    """A complete stretch and the running hour (day, for long ones) after it."""
    length, label = PRESETS[key]
    step = HOUR if length + HOUR <= HOURLY_UP_TO else DAY
    edge = _floor(now, step)
    return Period(edge - length, edge + step, key, label)


def custom(start: datetime, end: datetime, *, zone: tzinfo) -> Period:
    """From and to, widened to whole hours, or to whole UTC days where it is longer than three days.

    Raises:
        PeriodRefused: it ends before it begins, or lies outside this century.
    """
    if end <= start:
        raise PeriodRefused(f"it ends ({end:%Y-%m-%d %H:%M}) before it begins ({start:%Y-%m-%d %H:%M})")
    if start < EARLIEST or end > LATEST:
        raise PeriodRefused(f"choose dates between {EARLIEST:%Y-%m-%d} and {LATEST:%Y-%m-%d}")
    step = HOUR if _ceil(end, HOUR) - _floor(start, HOUR) <= HOURLY_UP_TO else DAY
    first, last = _floor(start, step), _ceil(end, step)
    words = [f"{moment.astimezone(zone):%-d %b %Y %H:%M}" for moment in (first, last)]
    return Period(first, last, "custom", " to ".join(words))


def from_query(query: Mapping[str, str], *, now: datetime, zone: tzinfo) -> Period:
    """The period a URL asks for; the default one where it asks for none.

    Args:
        zone: what times without an offset are in: the reader's own.

    Raises:
        PeriodRefused: unknown preset, unreadable time, or what `custom` refuses.
    """
    if "from" in query or "to" in query:
        return custom(_moment(query.get("from", ""), zone), _moment(query.get("to", ""), zone), zone=zone)
    key = query.get("period", DEFAULT)
    if key not in PRESETS:
        raise PeriodRefused(f"{key!r} is none of {', '.join(PRESETS)}")
    return preset(key, now=now)


def _moment(written: str, zone: tzinfo) -> datetime:
    try:
        moment = datetime.fromisoformat(written.replace(" ", "+"))  # a bare + in a URL arrives as a space
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PeriodRefused(f"{written!r} is not a time like 2026-11-20T08:00") from None


def _floor(moment: datetime, step: timedelta) -> datetime:
    utc = moment.astimezone(UTC)
    return utc.replace(minute=0, second=0, microsecond=0, **({"hour": 0} if step == DAY else {}))


def _ceil(moment: datetime, step: timedelta) -> datetime:
    floor = _floor(moment, step)
    return floor if floor == moment else floor + step
