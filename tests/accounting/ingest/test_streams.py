from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accounting.ingest.streams import MOST_RANGES, taken_among, with_taken

numbers = st.lists(st.integers(0, 60), max_size=30)


def array(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


class TestWithTaken:
    def test_joins_neighbours_and_fills_holes(self) -> None:
        assert with_taken([[1, 3], [7, 7]], array([4, 9, 6])) == [[1, 4], [6, 7], [9, 9]]
        assert with_taken([[1, 4], [6, 7]], array([5])) == [[1, 7]]

    def test_keeps_what_it_had_when_nothing_is_new(self) -> None:
        assert with_taken([[1, 3]], array([])) == [[1, 3]]
        assert with_taken([[1, 3]], array([2, 2])) == [[1, 3]]

    def test_forgets_the_lowest_past_the_limit(self) -> None:
        ranges = with_taken([], array(range(0, 4 * MOST_RANGES, 2)))
        assert len(ranges) == MOST_RANGES
        assert ranges[-1] == [4 * MOST_RANGES - 2, 4 * MOST_RANGES - 2]

    @given(batches=st.lists(numbers, max_size=8))
    def test_holds_exactly_the_numbers_given_in_any_batches(self, batches: list[list[int]]) -> None:
        ranges: list[list[int]] = []
        for batch in batches:
            ranges = with_taken(ranges, array(batch))
        given_numbers = {number for batch in batches for number in batch}
        assert {n for first, last in ranges for n in range(first, last + 1)} == given_numbers
        assert all(after[0] > before[1] + 1 for before, after in pairwise(ranges))
        asked = array(list(range(-1, 62)))
        assert taken_among(ranges, asked).tolist() == [n in given_numbers for n in asked.tolist()]
