"""What the science speaks in: a range, how well it is known, and the facts behind it.

The ledger multiplies figures half a dozen times for each of its rows, so the bodies here are short of indirection.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_MOST_LOG = 700.0  # the exponential of more is no float


class Status(StrEnum):
    """How well a figure is known. A figure is never better known than the worst input that moves it."""

    MEASURED = "MEASURED"
    MODELLED = "MODELLED"
    DEFAULT = "DEFAULT"

    @classmethod
    def worst(cls, statuses: Iterable["Status"]) -> "Status":
        """The least well known of several; MEASURED when there are none."""
        return max(statuses, key=_RANKS.__getitem__, default=cls.MEASURED)


_RANKS = {status: rank for rank, status in enumerate(Status)}  # best first


@dataclass(frozen=True, slots=True)
class Range:
    """A 90 % interval around a best figure, in the unit its holder names.

    Raises:
        ValueError: not finite, or not low <= mid <= high.
    """

    low: float
    mid: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.mid <= self.high < math.inf:  # nor is a NaN
            raise ValueError(f"not a range: low {self.low}, mid {self.mid}, high {self.high}")

    @classmethod
    def exact(cls, value: float) -> "Range":
        return cls(value, value, value)

    def scaled(self, by: float) -> "Range":
        """Multiply by a known, non-negative number."""
        return Range(self.low * by, self.mid * by, self.high * by)

    def times(self, by: "Range") -> "Range":
        """Multiply two ranges without negative numbers: low by low and high by high, so never too narrow.

        Raises:
            ValueError: one of them reaches below zero.
        """
        if self.low < 0 or by.low < 0:
            raise ValueError(f"a range below zero cannot be multiplied: {self} by {by}")
        return Range(self.low * by.low, self.mid * by.mid, self.high * by.high)


@dataclass(frozen=True, slots=True)
class Factor:
    """One empirical number with where it comes from. `id` is stable and stored on every figure it moves."""

    id: str
    value: Range
    unit: str
    status: Status
    source: str
    url: str = ""
    year: int | None = None
    licence: str = ""

    @property
    def figure(self) -> "Figure":
        """The same number as a quantity that others can be multiplied by."""
        return Figure(self.value, self.unit, self.status, (self.id,))


@dataclass(frozen=True, slots=True)
class Width:
    """What one source does to a figure: ln(figure / its mid) with that source at its low, and at its high end.

    A figure that falls when the source rises has them the other way round. A figure of nought: minus infinity.
    """

    source: str  # equal sources err together, different ones independently
    at_low: float
    at_high: float

    @property
    def down(self) -> float:
        return max(0.0, -self.at_low, -self.at_high)

    @property
    def up(self) -> float:
        return max(0.0, self.at_low, self.at_high)


@dataclass(frozen=True, slots=True)
class Figure:
    """A computed quantity: its range and unit, how well it is known, and the ids of the factors that moved it.

    `widths` says which source makes the range as wide as it is. Combining figures combines the widths: of one source
    they add up, since it errs the same way everywhere; of several they combine in quadrature, since they partly cancel
    (JCGM 100:2008, 5.1.2 and 5.2.2 note 1; exact for products of log-normal inputs). Not given: the first factor's.
    """

    range: Range
    unit: str
    status: Status
    factor_ids: tuple[str, ...] = ()
    widths: tuple[Width, ...] = ()

    def __post_init__(self) -> None:
        if not self.widths and self.range.mid > 0 and self.range.low < self.range.high:
            source = self.factor_ids[0] if self.factor_ids else f"an input in {self.unit}"
            object.__setattr__(self, "widths", (_width(source, self.range.low, self.range.mid, self.range.high),))

    def times(self, by: "Figure", unit: str) -> "Figure":
        """Multiply. The result is as well known as the worse of the two, and moved by the factors of both.

        Raises:
            ValueError: one of the two reaches below zero.
        """
        status, ids = max(self.status, by.status, key=_RANKS.__getitem__), _ids(self, by)
        ends = self.range.times(by.range)
        if not self.widths or not by.widths:  # one of the two is exact (or nought): nothing to combine
            return Figure(ends, unit, status, ids, self.widths or by.widths)
        widths = _joined((*self.widths, *by.widths))
        return Figure(_spread(ends, widths), unit, status, ids, widths)

    def over(self, by: "Figure", unit: str) -> "Figure":
        """Divide by a figure above zero.

        Raises:
            ValueError: the divisor reaches down to zero.
        """
        if by.range.low <= 0:
            raise ValueError(f"cannot divide by {by.range} {by.unit}: it may be nought")
        r = by.range
        turned = tuple(Width(w.source, -w.at_low, -w.at_high) for w in by.widths)
        inverse = Figure(Range(1 / r.high, 1 / r.mid, 1 / r.low), f"1/{by.unit}", by.status, by.factor_ids, turned)
        return self.times(inverse, unit)

    def plus(self, *others: "Figure") -> "Figure":
        """Add figures of the same unit.

        Raises:
            ValueError: the units differ.
        """
        parts = (self, *others)
        if {part.unit for part in parts} != {self.unit}:
            raise ValueError(f"cannot add {', '.join(part.unit for part in parts)}: convert them to one unit")
        mid = math.fsum(part.range.mid for part in parts)
        widths = _of_sum(parts, mid)
        low, high = (math.fsum(getattr(part.range, end) for part in parts) for end in ("low", "high"))
        ends = Range(min(low, mid), mid, max(high, mid))
        reach = _spread(ends, widths) if len(widths) > 1 else ends  # of one source, or none, the ends add up
        return Figure(reach, self.unit, Status.worst(p.status for p in parts), _ids(*parts), widths)

    def scaled(self, by: float, unit: str = "") -> "Figure":
        """Multiply by a known, non-negative number."""
        return Figure(self.range.scaled(by), unit or self.unit, self.status, self.factor_ids, self.widths)

    @property
    def drivers(self) -> tuple[tuple[str, float], ...]:
        """Each source's share of the squared log width, the largest first; shares add up to 1, none where exact."""
        squares = {w.source: (w.up + (w.down if math.isfinite(w.down) else math.log(2))) ** 2 for w in self.widths}
        whole = math.fsum(squares.values())
        shares = ((source, square / whole) for source, square in squares.items() if square > 0)
        return tuple(sorted(shares, key=lambda one: (-one[1], one[0])))


def _width(source: str, low: float, mid: float, high: float) -> Width:
    return Width(source, _log(low, mid), _log(high, mid))


def _ids(*figures: Figure) -> tuple[str, ...]:
    return _union(tuple(figure.factor_ids for figure in figures))


@lru_cache(maxsize=4096)
def _union(several: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Few combinations among many rows: the rows of an hour and a site are moved by the same factors."""
    return tuple(sorted({factor_id for ids in several for factor_id in ids}))


def _joined(widths: Iterable[Width]) -> tuple[Width, ...]:
    """One width a source, in the order of the names, so that the order of the factors cannot show."""
    by_source: dict[str, Width] = {}
    for w in widths:
        same = by_source.get(w.source)
        by_source[w.source] = w if same is None else Width(w.source, same.at_low + w.at_low, same.at_high + w.at_high)
    return tuple([by_source[source] for source in sorted(by_source)])


def _spread(ends: Range, widths: Iterable[Width]) -> Range:
    """In quadrature around the mid of `ends`, which are what it comes to if everything errs the same way."""
    wide = [(w.at_low, w.at_high) for w in widths]
    down = math.hypot(*[max(0.0, -at_low, -at_high) for at_low, at_high in wide])
    up = math.hypot(*[max(0.0, at_low, at_high) for at_low, at_high in wide])
    low, high = ends.mid * math.exp(-down), ends.mid * math.exp(min(up, _MOST_LOG))
    return Range(max(ends.low, min(low, ends.mid)), ends.mid, min(ends.high, max(high, ends.mid)))


def _of_sum(parts: Iterable[Figure], mid: float) -> tuple[Width, ...]:
    """What each source does to a sum: all the parts that it moves go to their end together."""
    if mid <= 0:
        return ()
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    for part in parts:
        for w in part.widths:
            lows[w.source] = lows.get(w.source, mid) + part.range.mid * math.expm1(min(w.at_low, _MOST_LOG))
            highs[w.source] = highs.get(w.source, mid) + part.range.mid * math.expm1(min(w.at_high, _MOST_LOG))
    return tuple(Width(source, _log(lows[source], mid), _log(highs[source], mid)) for source in sorted(lows))


def _log(end: float, mid: float) -> float:
    return math.log(end) - math.log(mid) if end > 0 else -math.inf
