"""Hourly grid intensity from somebody else: what every provider answers, and how it says that it cannot.

A provider is two things: a pure `parse` function from a response's bytes to values, and a `fetch` that asks through
the caller's `Client`. Nothing here reads a clock or the environment: the moment, the key and the client are arguments.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from accounting.factors.providers.client import Client

HOUR = timedelta(hours=1)
MOST_G_PER_KWH = 5_000.0  # beyond, a unit was mistaken; a marginal plant that burns oil stays below 1,500


class Signal(StrEnum):
    AVERAGE = "average"  # of all that generates: what accounts are made of
    MARGINAL = "marginal"  # of what answers to one more kWh: for decisions, never for accounts


class EmissionBasis(StrEnum):
    DIRECT = "direct"  # the stack alone
    LIFECYCLE = "lifecycle"  # with fuel supply, construction and losses upstream


class Flow(StrEnum):
    PRODUCTION = "production"  # generated in the zone
    CONSUMPTION = "consumption"  # used in the zone: imports counted, exports not


@dataclass(frozen=True, slots=True)
class Series:
    """What a value is of. Values of different series are never mixed nor compared."""

    signal: Signal
    basis: EmissionBasis
    flow: Flow


@dataclass(frozen=True, slots=True)
class HourValue:
    """Grams of CO2e per kWh over the UTC hour [hour, hour + 1 h)."""

    hour: datetime
    g_per_kwh: float
    series: Series
    is_estimated: bool = False
    estimation_method: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """Whole UTC hours [start, end) of one place, by the provider's own name for it."""

    area: str
    start: datetime
    end: datetime
    basis: EmissionBasis = EmissionBasis.LIFECYCLE  # for providers that answer one at a time


class ProviderError(Exception):
    """What went wrong, in words for an administrator; holds no key."""


class NoKey(ProviderError):
    """The provider wants a key and there is none."""


class WrongSchema(ProviderError):
    """The answer is not of the documented form: nothing of it is used."""


class Provider(Protocol):
    """One source of hourly series.

    `key_variable` is empty where none is needed; `only_basis` is None where a caller may have either.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def key_variable(self) -> str: ...
    @property
    def area_help(self) -> str: ...
    @property
    def only_basis(self) -> EmissionBasis | None: ...
    @property
    def longest(self) -> timedelta: ...
    @property
    def url(self) -> str: ...
    def usual_area(self, zone: str) -> str:
        """The provider's name for one of our zones; empty where somebody must say it."""
        ...

    def fetch(self, ask: Ask, *, key: str, client: Client) -> list[HourValue]:
        """Values of whole hours inside the ask, in rising time; an hour that is not known is not there.

        Raises:
            NoKey, WrongSchema, client.Refused, client.TryLater, client.Unreachable
        """
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """One value that holds during [start, start + span)."""

    start: datetime
    span: timedelta
    g_per_kwh: float
    is_estimated: bool = False
    estimation_method: str = ""


def whole_hours(parts: Iterable[Part], ask: Ask, series: Series) -> list[HourValue]:
    """The mean over time of each hour that its parts fill. An hour that they do not fill is a gap and stays one.

    Raises:
        WrongSchema: two parts tell of the same time.
    """
    by_hour: dict[datetime, list[Part]] = defaultdict(list)
    for part in parts:
        by_hour[part.start.replace(minute=0, second=0, microsecond=0)].append(part)
    values = []
    for hour in sorted(by_hour):
        of_hour = by_hour[hour]
        if len({part.start for part in of_hour}) < len(of_hour):
            raise WrongSchema(f"two values for the same time in the hour {hour:%Y-%m-%dT%H:%MZ}")
        filled = sum((part.span for part in of_hour), timedelta())
        if ask.start <= hour < ask.end and filled == HOUR:
            values.append(_hour_value(hour, of_hour, series))
    return values


def _hour_value(hour: datetime, parts: list[Part], series: Series) -> HourValue:
    mean = math.fsum(part.g_per_kwh * (part.span / HOUR) for part in parts)
    methods = sorted({part.estimation_method for part in parts if part.estimation_method})
    estimated = any(part.is_estimated for part in parts)
    return HourValue(hour, checked(mean, f"hour {hour:%Y-%m-%dT%H:%MZ}"), series, estimated, ", ".join(methods)[:120])


def checked(g_per_kwh: float, where: str) -> float:
    """The value, where it can be a grid's. Raises WrongSchema."""
    if not math.isfinite(g_per_kwh) or not 0.0 <= g_per_kwh <= MOST_G_PER_KWH:
        raise WrongSchema(f"{where}: {g_per_kwh:g} g/kWh is no grid's intensity (0 to {MOST_G_PER_KWH:g})")
    return g_per_kwh


def number(value: Any, where: str) -> float:
    """A JSON number, or a text of one. Raises WrongSchema."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise WrongSchema(f"{where}: expected a number, got {value!r:.80}")
    try:
        found = float(value)
    except ValueError as error:
        raise WrongSchema(f"{where}: expected a number, got {value!r:.80}") from error
    if not math.isfinite(found):
        raise WrongSchema(f"{where}: {value!r:.80} is not finite")
    return found


def moment(value: Any, where: str) -> datetime:
    """An ISO 8601 moment with its offset, in UTC. Raises WrongSchema."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise WrongSchema(f"{where}: expected a time such as 2026-01-01T00:00Z, got {value!r:.80}") from error
    if found.tzinfo is None:
        raise WrongSchema(f"{where}: {value!r:.80} has no offset from UTC")
    return found.astimezone(UTC)


def json_object(body: bytes, who: str) -> dict[str, Any]:
    """Raises WrongSchema."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise WrongSchema(f"{who} answered no JSON: {body[:80]!r}") from error
    if not isinstance(found, dict):
        raise WrongSchema(f"{who} answered {type(found).__name__}, not an object")
    return found


def rows_of(holder: dict[str, Any], name: str, who: str) -> list[dict[str, Any]]:
    """The list of objects under a name. Raises WrongSchema."""
    found = holder.get(name)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise WrongSchema(f"{who}: no list of objects under {name!r}; there is {sorted(holder)[:8]}")
    return found


def field(row: dict[str, Any], name: str, where: str) -> Any:
    """Raises WrongSchema."""
    if name not in row:
        raise WrongSchema(f"{where}: no {name!r}; there is {sorted(row)[:8]}")
    return row[name]
