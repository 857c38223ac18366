"""Which variants may be recommended, and which of them is best.

A variant qualifies when all of these hold:
1. it was built and measured;
2. its loss of quality, at the best figure, is within the floor, and its quality is not below the absolute minimum.
   The best figure decides, because the floor is a business choice about the expected loss; the interval is printed
   beside it, and the reason says so when its worse end lies past the floor;
3. the measurements call what the goal asks for "lower". That verdict and its interval are already corrected for the
   number of variants compared (optimizer.measure.intervals): the more are tried, the likelier one looks better by luck.

Of those that qualify the one with the smallest ratio wins, then the one that loses least quality.
"""

from collections.abc import Sequence

from optimizer.advice.explain import loss_words, ratio_words
from optimizer.advice.records import Candidate, Judged, Question


def rank(candidates: Sequence[Candidate], question: Question) -> list[Judged]:
    """Judge every candidate; those that qualify come first, best first, the others keep their order."""
    return sorted((judge(candidate, question) for candidate in candidates), key=_order)


def judge(candidate: Candidate, question: Question) -> Judged:
    refusal = _refusal(candidate, question)
    return Judged(candidate, refusal is None, refusal or _praise(candidate, question))


def _refusal(candidate: Candidate, question: Question) -> str | None:
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
    return _no_gain(candidate, question)


def _no_gain(candidate: Candidate, question: Question) -> str | None:
    assert candidate.goal_ratio is not None  # else it was refused before
    words = ratio_words(candidate.goal_ratio)
    if candidate.goal_verdict == "lower":
        return None
    if candidate.goal_verdict == "higher":
        return f"Its {question.goal} is higher: {words}."
    if not candidate.goal_ratio.low <= 1.0 <= candidate.goal_ratio.high:  # the interval alone would call it
        return f"Too few rounds to say whether its {question.goal} differs: {words}."
    return f"No difference in {question.goal} was shown: {words}."


def _praise(candidate: Candidate, question: Question) -> str:
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
