"""A provider's figure for a region and month against ours, and the difference as causes that add up to it exactly.

Pure. All figures are kg CO2e, kept to the milligram, so that the causes' sum is the difference to the last digit:

    difference = theirs - ours, ours = operational + embodied, c = covered share of the time that samples were due for
    scope 1      theirs; ours has none
    scope 3      theirs - our embodied
    coverage     our operational x (1 - c) / c: what we would have added had we seen all of the energy
    intensity    their scope 2 - our operational / c = our energy / c x (their implied intensity - ours)
    rounding     their total - their scopes

Where a provider tells a total only, what cannot be told apart stands as one cause, and says so.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from accounting.methods.records import Range
from accounting.methods.units import G_PER_KG
from accounting.reports.records import plus

_MILLIGRAM = Decimal("0.000001")
_ROUNDING = 0.01  # of a total: beyond it a gap between a total and its scopes is no rounding


class Basis(StrEnum):
    LOCATION = "location"
    MARKET = "market"


class Key(StrEnum):
    """Every cause there is, in the order people read them."""

    SCOPE_1 = "scope1"
    SCOPE_3 = "scope3"
    COVERAGE = "coverage"
    INTENSITY = "intensity"
    UNDIVIDED = "undivided"
    ROUNDING = "rounding"


class Outcome(StrEnum):
    WITHIN = "within"
    OUTSIDE = "outside"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True)
class Theirs:
    """What a provider tells of a region and month. None: it does not. `total_scopes` is what its total holds."""

    scope1_kg: float | None = None
    scope2_kg: float | None = None  # on the basis asked about
    scope3_kg: float | None = None
    total_kg: float | None = None
    total_scopes: str = "1,2,3"
    unstated_kg: float | None = None

    @property
    def figure_kg(self) -> float | None:
        """Its total; where it tells none, the sum of the scopes that it does tell, scope 2 among them."""
        if self.total_kg is not None:
            return self.total_kg
        if self.scope2_kg is None:
            return None
        return sum(kg or 0.0 for kg in (self.scope1_kg, self.scope2_kg, self.scope3_kg))


@dataclass(frozen=True, slots=True)
class Ours:
    """Our ledger of the sites that say they are that region, on the basis asked about."""

    sites: tuple[str, ...]
    operational_kg: Range | None  # None: not known for all of the energy
    embodied_kg: Range
    facility_kwh: float
    coverage: float | None  # None: no samples were due
    days: int  # UTC days with ledger rows
    intensity: tuple[str, ...] = ()  # what our intensity stands on, in words
    intensity_years: tuple[int, ...] = ()

    @property
    def total_kg(self) -> Range | None:
        return None if self.operational_kg is None else plus(self.operational_kg, self.embodied_kg)

    @property
    def seen(self) -> float:
        """What our operational figure is divided by to stand for all of the energy."""
        return self.coverage or 1.0

    @property
    def intensity_g_per_kwh(self) -> Range | None:
        if self.operational_kg is None or not self.facility_kwh:
            return None
        return self.operational_kg.scaled(G_PER_KG / self.facility_kwh)


@dataclass(frozen=True, slots=True)
class Cause:
    key: Key
    title: str
    kg: Decimal
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    words: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`causes` add up to `difference_kg`, which is theirs less ours; neither where one of the two is not known."""

    basis: Basis
    theirs_kg: Decimal | None
    ours_kg: Range | None
    difference_kg: Decimal | None
    causes: tuple[Cause, ...]
    implied_g_per_kwh: float | None  # their scope 2 over our facility energy, all of it
    ours_g_per_kwh: Range | None
    verdict: Verdict


def compare(theirs: Theirs, ours: Ours | None, *, basis: Basis, month_year: int, complete: bool = True) -> Comparison:
    """Explain one figure.

    Args:
        ours: None where no site says that it is that region.
        complete: False while the month is running.
    """
    figure, mine = theirs.figure_kg, ours.total_kg if ours else None
    implied = _implied(theirs, ours) if ours else None
    rate = ours.intensity_g_per_kwh if ours else None
    verdict = _verdict(theirs, ours, basis=basis, month_year=month_year, complete=complete)
    if figure is None or ours is None or mine is None or ours.operational_kg is None:
        told = None if figure is None else _mg(figure)
        return Comparison(basis, told, mine, None, (), implied, rate, verdict)
    difference = _mg(figure) - _mg(mine.mid)
    causes = _causes(theirs, ours, ours.operational_kg.mid, difference, basis)
    return Comparison(basis, _mg(figure), mine, difference, causes, implied, rate, verdict)


def _causes(theirs: Theirs, ours: Ours, operational_kg: float, difference: Decimal, basis: Basis) -> tuple[Cause, ...]:
    """The last of them is whatever the others leave, so that none can be forgotten."""
    found: list[Cause] = []
    if theirs.scope1_kg is not None:
        found.append(_cause(Key.SCOPE_1, _mg(theirs.scope1_kg)))
    embodied = _mg(ours.embodied_kg.mid)
    total_lacks_3 = theirs.total_kg is not None and "3" not in theirs.total_scopes.split(",")
    if theirs.scope3_kg is not None:
        found.append(_cause(Key.SCOPE_3, _mg(theirs.scope3_kg) - embodied))
    elif total_lacks_3 or theirs.total_kg is None:
        found.append(Cause(Key.SCOPE_3, "Scope 3 that they leave out", -embodied, _ALONE))
    unseen = _mg(operational_kg * (1 - ours.seen) / ours.seen)
    found.append(Cause(Key.COVERAGE, _TITLES[Key.COVERAGE], unseen, _coverage_words(ours)))
    if theirs.scope2_kg is not None:
        rest = _mg(theirs.scope2_kg) - _mg(operational_kg) - unseen
        found.append(Cause(Key.INTENSITY, _TITLES[Key.INTENSITY], rest, _intensity_words(theirs, ours, basis)))
    left = difference - sum((cause.kg for cause in found), Decimal(0))
    split = None not in (theirs.scope1_kg, theirs.scope2_kg) and (theirs.scope3_kg is not None or total_lacks_3)
    if theirs.total_kg is None:
        if left:
            found.append(_cause(Key.ROUNDING, left))
    elif split and abs(left) <= Decimal(_ROUNDING) * _mg(theirs.total_kg):
        found.append(_cause(Key.ROUNDING, left))
    else:
        title = "Their total beyond their scopes" if split else _TITLES[Key.UNDIVIDED]
        found.append(Cause(Key.UNDIVIDED, title, left, _undivided_words(theirs, split=split, basis=basis)))
    return tuple(found)


def _verdict(theirs: Theirs, ours: Ours | None, *, basis: Basis, month_year: int, complete: bool) -> Verdict:
    """Like with like: their scope 2 against our operational range, else their total against ours."""
    if reason := _why_not(theirs, ours, basis=basis, complete=complete):
        return Verdict(Outcome.NOT_COMPARABLE, reason)
    assert ours is not None and ours.operational_kg is not None and theirs.figure_kg is not None
    mine = ours.operational_kg.scaled(1 / ours.seen)
    kg, what = theirs.scope2_kg, "Their scope 2"
    if kg is None:
        kg, what = theirs.figure_kg, f"Their total of scopes {theirs.total_scopes}"
        if "3" in theirs.total_scopes:
            mine = plus(mine, ours.embodied_kg)
    scaled = ", scaled up to all of the energy," if ours.seen < 1 else ""
    span = f"{mine.low:.4g} to {mine.high:.4g} kg"
    if mine.low <= kg <= mine.high:
        return Verdict(Outcome.WITHIN, f"{what} ({kg:.4g} kg) lies within our range{scaled} of {span}.")
    side = "above" if kg > mine.high else "below"
    years = [year for year in ours.intensity_years if year != month_year]
    aged = f" Ours stands on a yearly mean of {', '.join(map(str, years))}." if years else ""
    return Verdict(Outcome.OUTSIDE, f"{what} ({kg:.4g} kg) lies {side} our range{scaled} of {span}.{aged}")


def _why_not(theirs: Theirs, ours: Ours | None, *, basis: Basis, complete: bool) -> str:
    """Why the two cannot be compared; empty where they can."""
    if theirs.figure_kg is None and theirs.unstated_kg is not None:
        return "Nobody stated which scopes their figure holds: import it again with its scopes."
    if theirs.figure_kg is None:
        return f"They tell no {basis}-based figure that holds scope 2."
    if ours is None:
        return "No site says that it is this region in this month: state it in the site’s terms."
    if not complete:
        return "The month is not over."
    if not ours.days:
        return "Our ledger has no hour of these sites in this month."
    if ours.operational_kg is None:
        return "Our market-based figure is not known for all of the energy: state the sites’ contracts or supplier."
    if ours.coverage == 0.0:
        return "No sample of ours covers any of the time: there is nothing to scale up."
    return ""


def _implied(theirs: Theirs, ours: Ours) -> float | None:
    if theirs.scope2_kg is None or not ours.facility_kwh:
        return None
    return theirs.scope2_kg * G_PER_KG / (ours.facility_kwh / ours.seen)


def _mg(kg: float) -> Decimal:
    return Decimal(kg).quantize(_MILLIGRAM)


def _cause(key: Key, kg: Decimal) -> Cause:
    return Cause(key, _TITLES[key], kg, _WORDS[key])


_TITLES = {
    Key.SCOPE_1: "Scope 1",
    Key.SCOPE_3: "Scope 3 against our embodied",
    Key.COVERAGE: "Energy that we did not see",
    Key.INTENSITY: "Carbon of a kilowatt-hour, and services not metered here",
    Key.UNDIVIDED: "What their total does not tell apart",
    Key.ROUNDING: "Rounding",
}
_WORDS = {
    Key.SCOPE_1: "Fuel and refrigerants burnt or lost at their sites: our ledger has neither.",
    Key.SCOPE_3: "Theirs may hold making the hardware, the buildings and the supply of fuels and grid losses; ours is "
    "the hardware that we know of.",
    Key.ROUNDING: "Their total less the sum of their scopes.",
}
_ALONE = "Their figure holds no scope 3; our embodied carbon has no counterpart in it."


def _coverage_words(ours: Ours) -> str:
    if ours.coverage is None:
        return "No sample was due, so nothing is known to be missing."
    return (
        f"Samples back {ours.coverage * 100:.4g} % of the time that they were due for; the rest is taken at our rate. "
        "What no agent of ours runs on (storage, network, other services) is not in it."
    )


def _intensity_words(theirs: Theirs, ours: Ours, basis: Basis) -> str:
    implied, rate = _implied(theirs, ours), ours.intensity_g_per_kwh
    if implied is None or rate is None:
        return "We have no energy there, so their scope 2 stands alone."
    stands_on = f" ({'; '.join(ours.intensity)})" if ours.intensity and basis is Basis.LOCATION else ""
    words = (
        f"Their scope 2 over our energy at the wall is {implied:.4g} g/kWh; ours is {rate.mid:.4g} g/kWh, "
        f"{rate.low:.4g} to {rate.high:.4g}{stands_on}. Services that we do not meter and their PUE are in theirs too."
    )
    contracts = " Market-based, their contracts stand against those that our sites state."
    return words + contracts if basis is Basis.MARKET else words


def _undivided_words(theirs: Theirs, *, split: bool, basis: Basis) -> str:
    if split:
        return "Their total does not equal the sum of their scopes by more than a rounding: ask the provider."
    untold = {"scope 1": theirs.scope1_kg, f"scope 2 ({basis}-based)": theirs.scope2_kg, "scope 3": theirs.scope3_kg}
    names = [name for name, kg in untold.items() if kg is None and name[6] in theirs.total_scopes]
    return f"They do not tell {', '.join(names)}: boundary and intensity cannot be told apart from a total alone."
