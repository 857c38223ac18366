"""Market-based carbon: which contract covers which consumption, what the rest emits, and how carbon-free an hour is.

The same allocation serves both rules: over a year (GHG Protocol Scope 2 Guidance of 2015) and over one hour within one
grid zone (the revision in consultation from October 2025). What differs is the stretch and who may be covered.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from accounting.methods.facility import FacilityEnergy
from accounting.methods.operational import Basis, Operational
from accounting.methods.records import Figure

ROUNDING = 1e-9  # of a whole; less than this is not a part of it
LEAST_KWH = 1e-9  # what is less is a rounding, and claimed by nobody


@dataclass(frozen=True, slots=True)
class Supply:
    """What an instrument has to give in the stretch that is matched: a year's volume, or an hour's generation."""

    instrument: int
    kwh: float
    may_cover: frozenset[int]  # the consumers within its boundary


@dataclass(frozen=True, slots=True)
class Claim:
    """Energy of an instrument that a consumer claims. Above zero."""

    instrument: int
    consumer: int
    kwh: float


@dataclass(frozen=True, slots=True)
class Covered:
    """The share of some consumption that one instrument covers, and what a kWh of it emits."""

    share: float
    g_per_kwh: Figure


@dataclass(frozen=True, slots=True)
class MarketIntensity:
    """Grams per facility kWh, of the `share` of the energy for which it is known (above 0, at most 1)."""

    g_per_kwh: Figure
    share: float


def allocate(consumed_kwh: Mapping[int, float], supplies: Sequence[Supply]) -> list[Claim]:
    """Cover consumption by instruments, in the order given, without claiming a kWh twice.

    Each instrument is spread over what its consumers still have uncovered, in proportion to it. Whatever it has beyond
    that is claimed by nobody and not carried over.

    Raises:
        ValueError: an instrument stands twice, or an amount is not a finite number from nought on.
    """
    _refuse_nonsense(consumed_kwh, supplies)
    left_kwh = dict(consumed_kwh)
    claims = []
    for supply in supplies:
        wanting = {one: left_kwh[one] for one in sorted(supply.may_cover) if left_kwh.get(one, 0.0) > LEAST_KWH}
        if supply.kwh <= LEAST_KWH or not wanting:
            continue
        part = min(1.0, supply.kwh / math.fsum(wanting.values()))
        for consumer, kwh in wanting.items():
            claims.append(Claim(supply.instrument, consumer, kwh * part))
            left_kwh[consumer] = kwh - kwh * part
    return claims


def market_intensity(covered: Sequence[Covered], rest: Figure | None) -> MarketIntensity | None:
    """The intensity of what the instruments cover, and of the rest by `rest`; None where nothing of it is known.

    `rest` is the supplier's factor or the residual mix, never the grid's mean: the part of the mean that others have
    claimed would count twice. Where it is unknown, the uncovered part is left out and `share` says so.

    Raises:
        ValueError: the shares add up to more than the whole.
    """
    covered_share = math.fsum(one.share for one in covered)
    if covered_share > 1 + ROUNDING or any(one.share < 0 for one in covered):
        raise ValueError(f"shares {[one.share for one in covered]} cover more than there is, or less than nothing")
    rest_share = 1.0 - covered_share
    parts = [one for one in covered if one.share > ROUNDING]
    if rest is not None and rest_share > ROUNDING:
        parts.append(Covered(rest_share, rest))
    if not parts:
        return None
    whole = 1.0 if rest is not None or rest_share <= ROUNDING else covered_share
    first, *others = (one.g_per_kwh.scaled(one.share / whole) for one in parts)
    return MarketIntensity(first.plus(*others) if others else first, whole)


def operational_market(energy: FacilityEnergy, market: MarketIntensity) -> Operational:
    """Grams of CO2e of the share of the energy that the intensity speaks of (Scope 2 Guidance, table 6.3)."""
    known_kwh = energy.kwh if market.share == 1.0 else energy.kwh.scaled(market.share)
    return Operational(known_kwh.times(market.g_per_kwh, "g"), Basis.MARKET)


@dataclass(frozen=True, slots=True)
class CleanHour:
    """One hour of consumption, what of it contracts for carbon-free generation cover, and how clean the grid was."""

    consumed_kwh: float
    contracted_kwh: float  # generation under contract in this hour and zone; what exceeds the consumption is lost
    grid_share: float | None = None  # carbon-free part of the grid's mix, 0..1; None: nobody knows


@dataclass(frozen=True, slots=True)
class CarbonFree:
    """The 24/7 score over some hours. `score` is a floor where `grid_known` is below 1."""

    score: float  # carbon-free part of the consumption, 0..1
    contracted: float  # the part of it that contracts cover
    grid_known: float  # part of the consumption in hours whose grid share is known


def carbon_free(hours: Iterable[CleanHour]) -> CarbonFree | None:
    """Hour by hour min(consumption, contracted) + grid share x what remains, over all consumption; None without any.

    Google, 24/7 Carbon-Free Energy: Methodologies and Metrics (2021). An hour cannot be more than wholly carbon-free,
    so a surplus at noon does not make up for the night.

    Raises:
        ValueError: a grid share outside 0..1, or an amount below nought.
    """
    consumed, contracted, grid, known = [], [], [], []
    for hour in hours:
        share = hour.grid_share
        if min(hour.consumed_kwh, hour.contracted_kwh) < 0 or (share is not None and not 0 <= share <= 1):
            raise ValueError(f"{hour}: amounts are nought or more, and a grid's share lies between 0 and 1")
        matched_kwh = min(hour.consumed_kwh, hour.contracted_kwh)
        consumed.append(hour.consumed_kwh)
        contracted.append(matched_kwh)
        grid.append((hour.consumed_kwh - matched_kwh) * (share or 0.0))
        known.append(0.0 if share is None else hour.consumed_kwh)
    whole = math.fsum(consumed)
    if whole <= 0:
        return None
    covered, from_grid = math.fsum(contracted), math.fsum(grid)
    return CarbonFree(min((covered + from_grid) / whole, 1.0), covered / whole, math.fsum(known) / whole)


def _refuse_nonsense(consumed_kwh: Mapping[int, float], supplies: Sequence[Supply]) -> None:
    amounts = [*consumed_kwh.values(), *(supply.kwh for supply in supplies)]
    if wrong := [kwh for kwh in amounts if not (math.isfinite(kwh) and kwh >= 0)]:
        raise ValueError(f"{wrong[0]} kWh cannot be matched: give finite amounts from nought on")
    ids = [supply.instrument for supply in supplies]
    if len(set(ids)) < len(ids):
        raise ValueError("an instrument stands twice among the supplies: its energy would be claimed twice")
