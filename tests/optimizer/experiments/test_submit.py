import pytest

from optimizer.experiments.submit import fewest_rounds
from optimizer.measure import intervals


class TestFewestRounds:
    @pytest.mark.parametrize("variants", range(1, 12))
    def test_is_the_rule_by_which_differences_are_called(self, variants):
        assert fewest_rounds(variants) == intervals.fewest_rounds(intervals.confidence_for(variants))
