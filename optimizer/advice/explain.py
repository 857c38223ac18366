"""Sentences with the figures that decide."""

import math
from collections.abc import Sequence

from accounting.methods.records import Range
from optimizer.advice.records import Judged, Question, Saving
from optimizer.advice.savings import negated

# (from this size on, the unit's size, its name), smallest first; mWh beside MWh would be misread
ENERGY_KWH = (
    (0.0, 1 / 3.6e9, "mJ"), (1 / 3.6e6, 1 / 3.6e6, "J"), (1e-5, 1e-3, "Wh"), (1.0, 1.0, "kWh"), (1e3, 1e3, "MWh"),
)  # fmt: skip
MASS_G = ((0.0, 1e-3, "mg"), (1.0, 1.0, "g"), (1e3, 1e3, "kg"), (1e6, 1e6, "t"))


def ratio_words(ratio: Range) -> str:
    """A ratio to the baseline; the interval only where there is one (a file's size has none)."""
    if ratio.low == ratio.high:
        return f"{ratio.mid:.2f} times the baseline's"
    return f"{ratio.mid:.2f} times the baseline's (95 % interval {ratio.low:.2f} to {ratio.high:.2f})"


def loss_words(loss_points: Range, metric: str) -> str:
    """A verb phrase: loses or gains so many points."""
    verb = "loses" if loss_points.mid > 0.0 else "gains"
    mid = round(abs(loss_points.mid), 2)
    amount = f"{verb} {mid:.2f} point{'' if mid == 1.0 else 's'} of {metric}" if mid else f"keeps its {metric}"
    if loss_points.low == loss_points.high:
        return amount
    return f"{amount} (95 % interval: {_loss_span(round(loss_points.low, 2), round(loss_points.high, 2))})"


def _loss_span(low: float, high: float) -> str:
    """From the best to the worst that may be true."""
    if low >= 0.0:
        return f"a loss of {abs(low):.2f} to {high:.2f}"
    if high <= 0.0:
        return f"a gain of {abs(high):.2f} to {-low:.2f}"
    return f"a gain of {-low:.2f} to a loss of {high:.2f}"


def why_recommended(best: Judged, saving: Saving, *, per: str, currency: str, defaults: Sequence[str] = ()) -> str:
    """Why this variant, what it should save, and how far that is known: a line each, the first stands alone on a card.

    Args:
        defaults: which of the rates behind the saving are stand-ins.
    """
    lines = [best.reason, saving_words(saving, per=per, currency=currency)]
    if defaults:
        lines.append(f"Nobody has said what holds at this site for {', '.join(defaults)}: typical values were used.")
    return "\n".join(lines)


def saving_words(saving: Saving, *, per: str, currency: str) -> str:
    energy = saving.facility_energy_kwh
    if energy.low <= 0.0 <= energy.high:
        more, less = (range_words(Range.exact(end), ENERGY_KWH, bare=True) for end in (abs(energy.low), energy.high))
        return f"Whether it saves energy is not shown: per {per}, anything from {more} more to {less} less."
    if energy.mid < 0.0:
        return f"It draws more energy: {range_words(negated(energy), ENERGY_KWH)} more per {per}."
    saved = f"Per {per} it should save {range_words(energy, ENERGY_KWH)}"
    carbon = f"{range_words(saving.co2e_g, MASS_G)} of CO₂e"
    if saving.cost is None:
        return f"{saved} and {carbon}. What that is in {currency} is not known: state the site's price."
    return f"{saved}, {carbon} and {range_words(saving.cost, _money(currency))}."


def _money(currency: str) -> Sequence[tuple[float, float, str]]:
    return ((0.0, 1.0, currency),)


def range_words(figure: Range, units: Sequence[tuple[float, float, str]], *, bare: bool = False) -> str:
    """Three significant digits, the range in brackets, all in the unit that fits its larger end.

    Args:
        units: (from which size on, size in the figure's own unit, name), smallest first.
        bare: without the range.
    """
    size = max(abs(figure.low), abs(figure.high))
    factor, unit = next(one[1:] for one in reversed(units) if size >= one[0])
    low, mid, high = (_digits(end / factor) for end in (figure.low, figure.mid, figure.high))
    return f"{mid} {unit}" if bare else f"{mid} {unit} ({low} to {high})"


def _digits(value: float) -> str:
    """Three significant digits without an exponent."""
    decimals = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{round(value, decimals):,.{max(decimals, 0)}f}".replace("-", "−")


def why_nothing_qualifies(judged: Sequence[Judged], question: Question) -> str:
    """One paragraph: what was asked, and for every variant why it fell short."""
    points = "point" if question.quality_floor_points == 1.0 else "points"
    floor = f"losing at most {question.quality_floor_points:g} {points} of {question.quality_metric}"
    if question.quality_minimum is not None:
        floor += f" and staying at {question.quality_minimum:g} or above"
    asked = f"Nothing qualifies: no variant lowers {question.goal} while {floor}."
    return "\n".join([asked, *(f"{one.candidate.label}: {one.reason}" for one in judged)])


def why_it_lost(other: Judged, best: Judged) -> str:
    """Why a candidate was not chosen; for one that qualifies, how far it stands behind the best."""
    if not other.qualifies:
        return other.reason
    return f"Qualifies too, but {best.candidate.label} does better. {other.reason}"
