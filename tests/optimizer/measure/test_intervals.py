"""Resampled intervals, and quality differences."""

import numpy as np
import pytest

from optimizer.measure import intervals
from optimizer.measure.quality import DifferentExamples, mean_score, score_difference


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


class TestConfidence:
    def test_is_shared_among_the_variants(self) -> None:
        assert intervals.confidence_for(1) == pytest.approx(0.95)
        assert intervals.confidence_for(5) == pytest.approx(0.99)  # 1 - 0.05 / 5

    def test_tells_the_fewest_rounds_that_can_carry_it(self) -> None:
        assert intervals.fewest_rounds(0.95) == 6  # 1 - 2/64 = 0.969; 1 - 2/32 = 0.9375 is not enough
        assert intervals.fewest_rounds(0.99) == 8  # 1 - 2/256 = 0.992


class TestMedianInterval:
    def test_covers_the_true_median_about_as_often_as_it_says(self, rng: np.random.Generator) -> None:
        truth, covered = 3.0, 0
        for _ in range(400):
            interval = intervals.median_interval((truth + rng.standard_t(3, 20)).tolist(), confidence=0.95, rng=rng)
            covered += interval.low <= truth <= interval.high
        assert 0.92 <= covered / 400 <= 0.98  # binomial standard error 0.011

    def test_never_leaves_out_its_own_median_and_stays_within_the_readings(self, rng: np.random.Generator) -> None:
        for _ in range(50):
            values = rng.lognormal(0, 2, rng.integers(1, 12)).tolist()
            interval = intervals.median_interval(values, confidence=0.5, rng=rng)
            assert min(values) <= interval.low <= interval.mid <= interval.high <= max(values)


class TestPairedQuantiles:
    def test_two_equal_variants_have_a_ratio_of_exactly_one(self, rng: np.random.Generator) -> None:
        rounds = rng.lognormal(0, 1, (20, 16)).tolist()
        ratio, difference = intervals.paired_quantiles(rounds, rounds, 0.95, confidence=0.95, rng=rng)
        assert (ratio.low, ratio.mid, ratio.high) == (1.0, 1.0, 1.0)
        assert (difference.low, difference.high) == (0.0, 0.0)


class TestScoreDifference:
    def test_pairing_shows_what_two_separate_intervals_would_not(self, rng: np.random.Generator) -> None:
        base = (rng.random(600) < 0.5).astype(float)
        ours = base.copy()
        ours[np.flatnonzero(base)[:12]] = 0.0  # 12 of 600 lost, none won: minus 2 points
        paired = score_difference(ours.tolist(), base.tolist(), confidence=0.95, rng=rng)
        assert paired.mid == pytest.approx(-0.02)
        assert paired.high < 0
        apart = mean_score(ours.tolist(), confidence=0.95, rng=rng), mean_score(base.tolist(), confidence=0.95, rng=rng)
        assert apart[0].high > apart[1].low  # these overlap

    def test_full_agreement_leaves_open_what_so_many_examples_cannot_rule_out(self, rng: np.random.Generator) -> None:
        same = [1.0, 0.0] * 150
        interval = score_difference(same, same, confidence=0.95, rng=rng)
        # (1 - d)^300 = 0.025: d = 1 - 0.025^(1/300) = 0.01222
        assert (interval.low, interval.mid, interval.high) == pytest.approx((-0.01222, 0.0, 0.01222), abs=1e-5)

    def test_refuses_scores_of_different_examples(self, rng: np.random.Generator) -> None:
        with pytest.raises(DifferentExamples, match="2 scores against 3"):
            score_difference([1.0, 0.0], [1.0, 0.0, 1.0], confidence=0.95, rng=rng)
