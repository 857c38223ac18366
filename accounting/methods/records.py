"""What the science speaks in: a range, how well it is known, and the facts behind it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


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
        if not all(map(math.isfinite, (self.low, self.mid, self.high))) or not self.low <= self.mid <= self.high:
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
class Figure:
    """A computed quantity: its range and unit, how well it is known, and the ids of the factors that moved it."""

    range: Range
    unit: str
    status: Status
    factor_ids: tuple[str, ...] = ()

    def times(self, by: "Figure", unit: str) -> "Figure":
        """Multiply; the result is as well known as the worse of the two, and moved by the factors of both."""
        ids = tuple(sorted({*self.factor_ids, *by.factor_ids}))
        return Figure(self.range.times(by.range), unit, Status.worst((self.status, by.status)), ids)
