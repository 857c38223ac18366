import pytest

from accounting.methods.records import Range
from optimizer.advice.explain import why_it_lost, why_nothing_qualifies
from optimizer.advice.rank import judge, rank, widened
from optimizer.advice.records import Candidate, Question

QUESTION = Question(goal="size on disk", quality_metric="accuracy", quality_floor_points=1.0)


def a_candidate(ratio=Range.exact(0.5), loss=Range(-0.2, 0.3, 0.8), quality=Range(0.93, 0.95, 0.97), **fields):
    return Candidate(**{"position": 1, "label": "int8", "goal_ratio": ratio, "quality": quality,
                        "quality_loss_points": loss, **fields})  # fmt: skip


class TestWidened:
    def test_leaves_the_interval_of_a_single_comparison(self):
        wide = widened(Range(0.8, 0.9, 1.1), compared=1)
        assert (wide.low, wide.mid, wide.high) == pytest.approx((0.8, 0.9, 1.1))

    def test_stretches_the_logarithm_by_the_quotient_of_the_quantiles(self):
        # five comparisons: 1 - 0.05 / 2 / 5 = 0.995, quantile 2.5758; against 1.9600 that is 1.3142;
        # 0.9 x (1.1 / 0.9) ^ 1.3142 = 1.1716
        assert widened(Range(0.8, 0.9, 1.1), compared=5).high == pytest.approx(1.1716, abs=2e-4)

    def test_a_ratio_without_spread_has_none_to_widen(self):
        assert widened(Range.exact(0.5), compared=10) == Range.exact(0.5)

    def test_refuses_a_ratio_that_reaches_zero(self):
        with pytest.raises(ValueError, match="reaches zero"):
            widened(Range(0.0, 0.5, 1.0), compared=2)


class TestJudge:
    def test_a_smaller_variant_within_the_floor_qualifies_and_says_by_how_much(self):
        judged = judge(a_candidate(), QUESTION, compared=1)
        assert judged.qualifies
        assert "0.50 times the baseline's" in judged.reason
        assert "loses 0.30 points of accuracy (95 % interval of the loss -0.20 to +0.80)" in judged.reason

    def test_a_loss_of_exactly_the_floor_is_within_it(self):
        assert judge(a_candidate(loss=Range.exact(1.0)), QUESTION, compared=1).qualifies
        assert not judge(a_candidate(loss=Range.exact(1.0001)), QUESTION, compared=1).qualifies

    def test_says_so_when_the_worse_end_of_the_loss_lies_past_the_floor(self):
        judged = judge(a_candidate(loss=Range(-0.5, 0.9, 2.3)), QUESTION, compared=1)
        assert judged.qualifies
        assert "lies past the floor of 1" in judged.reason

    def test_refuses_what_loses_too_much(self):
        judged = judge(a_candidate(loss=Range(1.5, 2.0, 2.5)), QUESTION, compared=1)
        assert (judged.qualifies, "the floor allows a loss of 1" in judged.reason) == (False, True)

    def test_refuses_what_falls_below_the_absolute_minimum(self):
        question = Question("size on disk", "accuracy", 1.0, quality_minimum=0.96)
        assert "0.950, below the minimum of 0.96" in judge(a_candidate(), question, compared=1).reason

    def test_refuses_a_gain_that_was_not_shown(self):
        judged = judge(a_candidate(ratio=Range(0.9, 0.97, 1.03)), QUESTION, compared=1)
        assert not judged.qualifies
        assert "No difference in size on disk was shown" in judged.reason

    def test_a_gain_that_holds_alone_may_not_hold_among_many(self):
        ratio = Range(0.90, 0.95, 0.995)
        assert judge(a_candidate(ratio=ratio), QUESTION, compared=1).qualifies
        judged = judge(a_candidate(ratio=ratio), QUESTION, compared=5)
        assert not judged.qualifies
        assert "widened for 5 variants" in judged.reason

    def test_refuses_what_is_worse_and_says_worse(self):
        judged = judge(a_candidate(ratio=Range(1.5, 2.7, 3.0)), QUESTION, compared=1)
        assert "Its size on disk is higher: 2.70 times" in judged.reason

    def test_refuses_what_could_not_be_measured_with_its_reason(self):
        assert "out of memory" in judge(a_candidate(failure="build: out of memory"), QUESTION, compared=1).reason
        assert "could not be measured" in judge(a_candidate(ratio=None), QUESTION, compared=1).reason
        assert "told from zero" in judge(a_candidate(ratio=Range(-1.0, 0.2, 0.9)), QUESTION, compared=1).reason


class TestRank:
    def test_the_smallest_ratio_wins_and_equal_ratios_go_to_the_smaller_loss(self):
        large, small, kind = (
            a_candidate(ratio=Range.exact(0.9), position=1),
            a_candidate(ratio=Range.exact(0.5), loss=Range.exact(0.9), position=2),
            a_candidate(ratio=Range.exact(0.5), loss=Range.exact(0.1), position=3),
        )
        assert [judged.candidate.position for judged in rank([large, small, kind], QUESTION)] == [3, 2, 1]

    def test_what_does_not_qualify_comes_last_in_its_own_order(self):
        lossy = [a_candidate(loss=Range.exact(9.0), position=n) for n in (1, 2)]
        judged = rank([*lossy, a_candidate(ratio=Range.exact(0.99), position=3)], QUESTION)
        assert [(one.candidate.position, one.qualifies) for one in judged] == [(3, True), (1, False), (2, False)]

    def test_only_measured_candidates_count_for_the_correction(self):
        ratio = Range(0.90, 0.95, 0.995)
        failed = [a_candidate(ratio=None, failure="no", position=n) for n in range(2, 9)]
        assert rank([a_candidate(ratio=ratio), *failed], QUESTION)[0].qualifies


class TestWords:
    def test_nothing_qualifies_is_said_with_the_reason_of_every_variant(self):
        judged = rank([a_candidate(loss=Range.exact(9.0)), a_candidate(failure="no AVX", label="int4")], QUESTION)
        text = why_nothing_qualifies(judged, QUESTION)
        assert text.startswith("Nothing qualifies: no variant lowers size on disk while losing at most 1 points")
        assert "int8: It loses 9.00 points" in text
        assert "int4: Could not be built or measured: no AVX" in text

    def test_an_alternative_that_qualifies_says_who_does_better(self):
        best, other = rank([a_candidate(), a_candidate(ratio=Range.exact(0.8), label="int4")], QUESTION)
        assert why_it_lost(other, best).startswith("Qualifies too, but int8 does better.")
