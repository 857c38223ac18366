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
        order = list(cls)
        return max(statuses, key=order.index, default=cls.MEASURED)


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


@dataclass(frozen=True, slots=True)
class Figure:
    """A computed quantity: its range and unit, how well it is known, and the ids of the factors that moved it."""

    range: Range
    unit: str
    status: Status
    factor_ids: tuple[str, ...] = ()
