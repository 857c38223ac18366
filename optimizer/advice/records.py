"""What the reasoning speaks in: records, not rows. A `Range` of a measurement is its 95 % interval."""

from dataclasses import dataclass

from accounting.methods.records import Range


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: the least of `goal`, losing at most `quality_floor_points`."""

    goal: str  # as people call it: "size on disk"
    quality_metric: str  # "recall at 10"
    quality_floor_points: float  # largest acceptable loss against the unchanged model, percentage points
    quality_minimum: float | None = None  # absolute, 0..1


@dataclass(frozen=True, slots=True)
class Candidate:
    """One variant as it was measured beside the baseline in the same rounds."""

    position: int  # of the variant within its experiment
    label: str
    goal_ratio: Range | None  # variant / baseline of what the goal asks for; None where it could not be measured
    goal_verdict: str  # "lower", "higher" or "no_difference", corrected for the number of variants compared
    quality: Range | None  # 0..1
    quality_loss_points: Range | None  # baseline minus variant, percentage points; negative is a gain
    failure: str = ""  # why it could not be built or measured


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a candidate may be recommended, and why (not), in one sentence with figures."""

    candidate: Candidate
    qualifies: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Rates:
    """What a kilowatt-hour of IT energy brings with it at one site."""

    pue: Range  # facility energy / IT energy
    intensity_g_per_kwh: Range  # per facility kWh, location-based
    price_per_kwh: Range | None  # per facility kWh, in the ledger's currency; None: nobody knows it


@dataclass(frozen=True, slots=True)
class Saving:
    """What using a variant saves over `units` units of work. Negative: it costs more."""

    units: float
    facility_energy_kwh: Range
    co2e_g: Range
    cost: Range | None  # None: no price is known
