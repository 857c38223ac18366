"""Sentences with the figures that decide."""

from collections.abc import Sequence

from accounting.methods.records import Range
from optimizer.advice.records import Judged, Question, Saving


def ratio_words(ratio: Range) -> str:
    """A ratio to the baseline; the interval only where there is one (a file's size has none)."""
    if ratio.low == ratio.high:
        return f"{ratio.mid:.2f} times the baseline's"
    return f"{ratio.mid:.2f} times the baseline's (95 % interval {ratio.low:.2f} to {ratio.high:.2f})"


def loss_words(loss_points: Range, metric: str) -> str:
    """A verb phrase: loses or gains so many points."""
    verb = "loses" if loss_points.mid > 0.0 else "gains"
    amount = f"{verb} {abs(loss_points.mid):.2f} points of {metric}" if loss_points.mid else f"keeps its {metric}"
    if loss_points.low == loss_points.high:
        return amount
    return f"{amount} (95 % interval of the loss {loss_points.low:+.2f} to {loss_points.high:+.2f})"


def why_recommended(best: Judged, saving: Saving, *, per: str, currency: str, defaults: Sequence[str] = ()) -> str:
    """Why this variant, what it should save, and how far that is known.

    Args:
        defaults: which of the rates behind the saving are stand-ins.
    """
    words = f"{best.reason} {saving_words(saving, per=per, currency=currency)}"
    if defaults:
        words += f" Nobody has said what holds at this site for {', '.join(defaults)}: a default was used."
    return words


def saving_words(saving: Saving, *, per: str, currency: str) -> str:
    energy, co2e, cost = saving.facility_energy_kwh, saving.co2e_g, saving.cost
    if energy.low <= 0.0 <= energy.high:
        return (
            f"Whether it saves energy is not shown: {energy.mid:+.3g} kWh per {per}, "
            f"with an interval from {energy.low:+.3g} to {energy.high:+.3g}."
        )
    if energy.mid < 0.0:
        return f"It draws more energy: {-energy.mid:.3g} kWh more per {per} ({-energy.high:.3g} to {-energy.low:.3g})."
    return (
        f"Per {per} it should save {energy.mid:.3g} kWh ({energy.low:.3g} to {energy.high:.3g}), "
        f"{co2e.mid:.3g} g CO2e ({co2e.low:.3g} to {co2e.high:.3g}) and "
        f"{cost.mid:.3g} {currency} ({cost.low:.3g} to {cost.high:.3g})."
    )


def why_nothing_qualifies(judged: Sequence[Judged], question: Question) -> str:
    """One paragraph: what was asked, and for every variant why it fell short."""
    floor = f"losing at most {question.quality_floor_points:g} points of {question.quality_metric}"
    if question.quality_minimum is not None:
        floor += f" and staying at {question.quality_minimum:g} or above"
    asked = f"Nothing qualifies: no variant lowers {question.goal} while {floor}."
    return "\n".join([asked, *(f"{one.candidate.label}: {one.reason}" for one in judged)])


def why_it_lost(other: Judged, best: Judged) -> str:
    """Why a candidate was not chosen; for one that qualifies, how far it stands behind the best."""
    if not other.qualifies:
        return other.reason
    return f"Qualifies too, but {best.candidate.label} does better. {other.reason}"
