from accounting.methods.records import Range
from optimizer.advice.explain import why_it_lost, why_nothing_qualifies
from optimizer.advice.rank import judge, rank
from optimizer.advice.records import Candidate, Question

QUESTION = Question(goal="size on disk", quality_metric="accuracy", quality_floor_points=1.0)


HALF, LOSS, QUALITY = Range.exact(0.5), Range(-0.2, 0.3, 0.8), Range(0.93, 0.95, 0.97)


def a_candidate(ratio=HALF, loss=LOSS, **fields):
    given = {"position": 1, "label": "int8", "goal_verdict": "lower", "quality": QUALITY, **fields}
    return Candidate(goal_ratio=ratio, quality_loss_points=loss, **given)


class TestJudge:
    def test_a_smaller_variant_within_the_floor_qualifies_and_says_by_how_much(self):
        judged = judge(a_candidate(), QUESTION)
        assert judged.qualifies
        assert "0.50 times the baseline's" in judged.reason
        assert "loses 0.30 points of accuracy (95 % interval: a gain of 0.20 to a loss of 0.80)" in judged.reason

    def test_a_loss_of_exactly_the_floor_is_within_it(self):
        assert judge(a_candidate(loss=Range.exact(1.0)), QUESTION).qualifies
        assert not judge(a_candidate(loss=Range.exact(1.0001)), QUESTION).qualifies

    def test_says_so_when_the_worse_end_of_the_loss_lies_past_the_floor(self):
        judged = judge(a_candidate(loss=Range(-0.5, 0.9, 2.3)), QUESTION)
        assert judged.qualifies
        assert "lies past the floor of 1" in judged.reason

    def test_refuses_what_loses_too_much(self):
        judged = judge(a_candidate(loss=Range(1.5, 2.0, 2.5)), QUESTION)
        assert (judged.qualifies, "the floor allows a loss of 1" in judged.reason) == (False, True)

    def test_refuses_what_falls_below_the_absolute_minimum(self):
        question = Question("size on disk", "accuracy", 1.0, quality_minimum=0.96)
        assert "0.950, below the minimum of 0.96" in judge(a_candidate(), question).reason

    def test_refuses_a_gain_that_was_not_shown(self):
        judged = judge(a_candidate(ratio=Range(0.9, 0.97, 1.03), goal_verdict="no_difference"), QUESTION)
        assert not judged.qualifies
        assert "No difference in size on disk was shown" in judged.reason

    def test_says_that_rounds_were_too_few_where_the_interval_alone_would_call_it(self):
        judged = judge(a_candidate(ratio=Range(0.2, 0.3, 0.4), goal_verdict="no_difference"), QUESTION)
        assert not judged.qualifies
        assert judged.reason.startswith("Too few rounds to say whether its size on disk differs: 0.30 times")

    def test_the_verdict_of_the_measurements_decides_not_the_look_of_the_interval(self):
        judged = judge(a_candidate(ratio=Range(0.990, 0.995, 0.999), goal_verdict="no_difference"), QUESTION)
        assert not judged.qualifies

    def test_refuses_what_is_worse_and_says_worse(self):
        judged = judge(a_candidate(ratio=Range(1.5, 2.7, 3.0), goal_verdict="higher"), QUESTION)
        assert "Its size on disk is higher: 2.70 times" in judged.reason

    def test_refuses_what_could_not_be_measured_with_its_reason(self):
        assert "out of memory" in judge(a_candidate(failure="build: out of memory"), QUESTION).reason
        assert "could not be measured" in judge(a_candidate(ratio=None), QUESTION).reason


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


class TestWords:
    def test_nothing_qualifies_is_said_with_the_reason_of_every_variant(self):
        judged = rank([a_candidate(loss=Range.exact(9.0)), a_candidate(failure="no AVX", label="int4")], QUESTION)
        text = why_nothing_qualifies(judged, QUESTION)
        assert text.startswith("Nothing qualifies: no variant lowers size on disk while losing at most 1 point of")
        assert "int8: It loses 9.00 points" in text
        assert "int4: Could not be built or measured: no AVX" in text

    def test_an_alternative_that_qualifies_says_who_does_better(self):
        best, other = rank([a_candidate(), a_candidate(ratio=Range.exact(0.8), label="int4")], QUESTION)
        assert why_it_lost(other, best).startswith("Qualifies too, but int8 does better.")
