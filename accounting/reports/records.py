"""What reports answer with: plain figures, ready to be shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from accounting.methods.records import Range, Status

_ROUNDING = 1e-9  # of a sum against another sum of the same rows


class Sees(Protocol):
    """Whose figures may be shown; `accounting.access` decides and hands it down."""

    @property
    def team_ids(self) -> frozenset[int] | None:
        """None: every team."""

    @property
    def unattributed(self) -> bool:
        """Energy that no team answers for."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Every quantity of the ledger over some rows. `status` is the least well known of them; None without any row."""

    it_energy_kwh: Range
    facility_energy_kwh: Range
    co2e_location_g: Range
    co2e_market_g: Range  # of `market_kwh` only: `market_g` is it where all the energy is spoken for
    embodied_g: Range
    water_onsite_l: Range
    water_offsite_l: Range
    cost: Range
    covered_s: float
    missing_s: float
    measured_kwh: float
    market_kwh: float
    unpriced_kwh: float
    unpriced_s: float
    rental_cost: float
    carbon_cost: float
    idle_embodied_g: float
    status: Status | None
    idle_kwh: float = 0.0  # the part of the IT energy that is idle draw

    @property
    def co2e_g(self) -> Range:
        """Operational (location-based) and embodied together."""
        return plus(self.co2e_location_g, self.embodied_g)

    @property
    def market_coverage(self) -> float | None:
        """Part of the facility energy that the market-based figure speaks of, 0..1; None without energy."""
        return _share(self.market_kwh, self.facility_energy_kwh.mid)

    @property
    def market_g(self) -> Range | None:
        """Market-based operational CO2e; None where any of the energy has no known factor: unknown is not nought.

        Without energy it is nought, whatever the factor.
        """
        coverage = self.market_coverage
        return self.co2e_market_g if coverage is None or coverage > 1 - _ROUNDING else None

    @property
    def known_market_g(self) -> Range | None:
        """Market-based operational CO2e of the part of the energy that it speaks of; None where it speaks of none."""
        return self.co2e_market_g if self.market_kwh > 0 or not self.facility_energy_kwh.mid else None

    @property
    def known_cost(self) -> Range | None:
        """The cost; None where there is energy, or rented time, and no price at all is known."""
        unpriced = self.unpriced_kwh > 0.0 or self.unpriced_s > 0.0
        nothing_known = self.cost.low == self.cost.high == 0.0 and unpriced
        return None if nothing_known else self.cost

    @property
    def unpriced_share(self) -> float | None:
        """Part of the facility energy whose price nobody knows, 0..1; None without energy."""
        return _share(self.unpriced_kwh, self.facility_energy_kwh.mid)

    @property
    def idle_embodied_share(self) -> float | None:
        """Part of the embodied carbon that no job answers for, 0..1; None without any."""
        return _share(self.idle_embodied_g, self.embodied_g.mid)

    @property
    def water_l(self) -> Range:
        return plus(self.water_onsite_l, self.water_offsite_l)

    @property
    def pue(self) -> float | None:
        """Facility / IT energy over these rows; None without energy."""
        return self.facility_energy_kwh.mid / self.it_energy_kwh.mid if self.it_energy_kwh.mid else None

    @property
    def measured_share(self) -> float | None:
        """Part of the IT energy that a meter saw, 0..1; None without energy."""
        return _share(self.measured_kwh, self.it_energy_kwh.mid)

    @property
    def idle_share(self) -> float | None:
        """Part of the IT energy that is idle draw, 0..1; None without energy."""
        return min(self.idle_kwh / self.it_energy_kwh.mid, 1.0) if self.it_energy_kwh.mid else None

    @property
    def coverage(self) -> float | None:
        """Part of the time that samples back, 0..1; None where no samples were due."""
        due_s = self.covered_s + self.missing_s
        return self.covered_s / due_s if due_s else None


def _share(part: float, whole: float) -> float | None:
    return min(part / whole, 1.0) if whole else None


def plus(one: Range, other: Range) -> Range:
    """Low with low and high with high: the two may err in the same direction, so this is the widest honest range."""
    return Range(one.low + other.low, one.mid + other.mid, one.high + other.high)


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a split. No id: energy that no team (project, site) answers for."""

    id: int | None
    name: str
    totals: Totals


@dataclass(frozen=True, slots=True)
class Change:
    """Against the equal stretch before: `ratio` 0.05 is 5 % more. None: there is nothing to compare with."""

    ratio: float | None

    @property
    def percent(self) -> float:
        return abs(self.ratio or 0.0) * 100

    @property
    def direction(self) -> str:
        """ "up", "down" or "level" (below half a percent); empty when there is no comparison."""
        if self.ratio is None:
            return ""
        if abs(self.ratio) < 0.005:
            return "level"
        return "up" if self.ratio > 0 else "down"


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity of one part over the buckets of a trend. None: no ledger row there, which is not zero."""

    id: int | None
    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Trend:
    """`low` and `high` bound the sum of all series in each bucket."""

    buckets: Sequence[datetime]
    series: Sequence[Series]
    low: Sequence[float | None]
    high: Sequence[float | None]
