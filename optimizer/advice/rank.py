"""Which variants may be recommended, and which of them is best.

A variant qualifies when all of these hold:
1. it was built and measured;
2. its loss of quality, at the best figure, is within the floor, and its quality is not below the absolute minimum.
   The best figure decides, because the floor is a business choice about the expected loss; the interval is printed
   beside it, and the reason says so when its worse end lies past the floor;
3. the goal's ratio to the baseline is below 1 with the whole of its interval, after widening that interval for the
   number of variants tried: the more are tried, the likelier one looks better by luck.

Of those that qualify the one with the smallest ratio wins, then the one that loses least quality.
"""

from collections.abc import Sequence
from statistics import NormalDist

from accounting.methods.records import Range
from optimizer.advice.explain import loss_words, ratio_words
from optimizer.advice.records import Candidate, Judged, Question

CONFIDENCE = 0.95  # of the intervals that the measuring protocol gives


def rank(candidates: Sequence[Candidate], question: Question) -> list[Judged]:
    """Judge every candidate; those that qualify come first, best first, the others keep their order."""
    compared = sum(candidate.goal_ratio is not None for candidate in candidates)
    judged = [judge(candidate, question, compared=compared) for candidate in candidates]
    return sorted(judged, key=_order)


def judge(candidate: Candidate, question: Question, *, compared: int) -> Judged:
    """Decide on one candidate.

    Args:
        compared: how many candidates were measured against the baseline, this one among them.
    """
    refusal = _refusal(candidate, question, compared)
    return Judged(candidate, refusal is None, refusal or _praise(candidate, question, compared))


def widened(ratio: Range, *, compared: int) -> Range:
    """The interval that keeps its confidence for `compared` comparisons at once (Bonferroni).

    The logarithm of a ratio is taken as normal, so each side is stretched by the quotient of the two quantiles.
    """
    if ratio.low <= 0.0:
        raise ValueError(f"ratio {ratio} reaches zero or below: nothing to take a logarithm of")
    quantile = NormalDist().inv_cdf
    stretch = quantile(1 - (1 - CONFIDENCE) / 2 / compared) / quantile(1 - (1 - CONFIDENCE) / 2)
    low, high = ((edge / ratio.mid) ** stretch for edge in (ratio.low, ratio.high))
    return Range(ratio.mid * low, ratio.mid, ratio.mid * high)


def _refusal(candidate: Candidate, question: Question, compared: int) -> str | None:
    if candidate.failure:
        return f"Could not be built or measured: {candidate.failure}"
    if candidate.goal_ratio is None or candidate.quality is None or candidate.quality_loss_points is None:
        return f"Its {question.goal} or {question.quality_metric} could not be measured."
    if candidate.quality_loss_points.mid > question.quality_floor_points:
        return (
            f"It {loss_words(candidate.quality_loss_points, question.quality_metric)}; "
            f"the floor allows a loss of {question.quality_floor_points:g}."
        )
    if question.quality_minimum is not None and candidate.quality.mid < question.quality_minimum:
        return (
            f"Its {question.quality_metric} is {candidate.quality.mid:.3f}, "
            f"below the minimum of {question.quality_minimum:g}."
        )
    return _no_gain(candidate.goal_ratio, question, compared)


def _no_gain(ratio: Range, question: Question, compared: int) -> str | None:
    if ratio.low <= 0.0:
        return f"Its {question.goal} could not be told from zero, so no ratio to the baseline is known."
    wide = widened(ratio, compared=compared)
    if wide.high < 1.0:
        return None
    if wide.low > 1.0:
        return f"Its {question.goal} is higher: {ratio_words(ratio)}."
    allowance = f", widened for {compared} variants to {wide.low:.2f} to {wide.high:.2f}" if compared > 1 else ""
    return f"No difference in {question.goal} was shown: {ratio_words(ratio)}{allowance}, which spans 1."


def _praise(candidate: Candidate, question: Question, compared: int) -> str:
    assert candidate.goal_ratio is not None and candidate.quality_loss_points is not None  # else it was refused
    words = (
        f"Its {question.goal} is {ratio_words(candidate.goal_ratio)}, "
        f"and it {loss_words(candidate.quality_loss_points, question.quality_metric)}."
    )
    if candidate.quality_loss_points.high > question.quality_floor_points:
        words += f" The worse end of that interval lies past the floor of {question.quality_floor_points:g}."
    return words


def _order(judged: Judged) -> tuple[bool, float, float]:
    ratio, loss = judged.candidate.goal_ratio, judged.candidate.quality_loss_points
    if not judged.qualifies or ratio is None or loss is None:
        return (True, 0.0, 0.0)
    return (False, ratio.mid, loss.mid)
