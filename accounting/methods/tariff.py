"""Time-of-use prices: which band of a contract holds when, by the clock on the wall of the site."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from math import gcd

DAY_MINUTES = 24 * 60
_QUARTER = 15  # every offset from UTC, and every change of one, is a whole number of quarter hours
_HOUR_MINUTES = 60
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class TariffRefused(ValueError):
    """The bands do not cover every minute of every week of the year exactly once; the message says where."""


@dataclass(frozen=True, slots=True)
class Band:
    """One price, on some weekdays (1 Monday to 7 Sunday) of some months, between two minutes of the local day."""

    name: str
    weekdays: frozenset[int]
    months: frozenset[int]
    start_minute: int
    end_minute: int  # exclusive; 1440 is midnight
    price_per_kwh: float

    def holds(self, *, month: int, weekday: int, minute: int) -> bool:
        on_this_day = month in self.months and weekday in self.weekdays
        return on_this_day and self.start_minute <= minute < self.end_minute


def check_cover(bands: Sequence[Band]) -> None:
    """Every minute of each weekday of each month in exactly one band.

    Raises:
        TariffRefused: a band without days, months or length; two bands at once; a time without a band.
    """
    for band in bands:
        if not band.weekdays or not band.months:
            raise TariffRefused(f"{band.name}: say on which days and in which months it holds")
        if not 0 <= band.start_minute < band.end_minute <= DAY_MINUTES:
            raise TariffRefused(
                f"{band.name}: from {clock(band.start_minute)} to {clock(band.end_minute)} is no stretch of a day; "
                "cut a band at midnight in two, one until 24:00 and one from 00:00"
            )
    for month in range(1, 13):
        for weekday in range(1, 8):
            _check_day(bands, month, weekday)


def bands_in_hour(bands: Sequence[Band], start: datetime, zone: tzinfo) -> list[tuple[Band, float]]:
    """Which bands hold in the hour from `start`, and for which share of it; the shares add up to 1.

    Steps through the hour on the local clock, so a day of 23 or 25 hours takes care of itself.

    Raises:
        TariffRefused: a time without a band.
    """
    step = gcd(_QUARTER, *(minute for band in bands for minute in (band.start_minute, band.end_minute)))
    minutes: dict[int, int] = {}
    for passed in range(0, _HOUR_MINUTES, step):
        local = (start.astimezone(UTC) + timedelta(minutes=passed)).astimezone(zone)
        place = _band_at(bands, local)
        minutes[place] = minutes.get(place, 0) + step
    return [(bands[place], held / _HOUR_MINUTES) for place, held in minutes.items()]


def clock(minute: int) -> str:
    """Minutes of a day as 07:30; 1440 as 24:00."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _band_at(bands: Sequence[Band], local: datetime) -> int:
    minute = local.hour * 60 + local.minute
    for place, band in enumerate(bands):
        if band.holds(month=local.month, weekday=local.isoweekday(), minute=minute):
            return place
    raise TariffRefused(f"no band holds on {local:%a %-d %b} at {local:%H:%M}: add one")


def _check_day(bands: Iterable[Band], month: int, weekday: int) -> None:
    of_day = sorted(
        (band for band in bands if month in band.months and weekday in band.weekdays),
        key=lambda band: (band.start_minute, band.end_minute),
    )
    day = f"{WEEKDAYS[weekday - 1]} in {MONTHS[month - 1]}"
    told_until, teller = 0, ""
    for band in of_day:
        if band.start_minute < told_until:
            until = clock(min(told_until, band.end_minute))
            raise TariffRefused(f"{teller} and {band.name} both hold on {day}, {clock(band.start_minute)} to {until}")
        if band.start_minute > told_until:
            raise TariffRefused(f"no band holds on {day}, {clock(told_until)} to {clock(band.start_minute)}: add one")
        told_until, teller = band.end_minute, band.name
    if told_until < DAY_MINUTES:
        raise TariffRefused(f"no band holds on {day}, {clock(told_until)} to 24:00: add one")
