"""Whose time it was: marks, labels, sharing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.attribution import NO_JOB, Hold, Segment, label_holds, segments, share_equally


class TestSegments:
    def test_cuts_at_the_bounds_of_a_job_and_leaves_the_rest_to_nobody(self) -> None:
        got = segments(0, 100, marks=[Hold(7, 20, 60)], labels=[])
        assert got == [Segment(0, 20, ()), Segment(20, 60, (7,)), Segment(60, 100, ())]

    def test_names_every_job_that_holds_the_device_at_once(self) -> None:
        got = segments(0, 100, marks=[Hold(7, 0, 60), Hold(8, 40, 100)], labels=[])
        assert got == [Segment(0, 40, (7,)), Segment(40, 60, (7, 8)), Segment(60, 100, (8,))]

    def test_lets_a_mark_win_over_labels_for_as_long_as_it_holds(self) -> None:
        got = segments(0, 100, marks=[Hold(7, 30, 50)], labels=[Hold(9, 0, 100)])
        assert got == [Segment(0, 30, (9,)), Segment(30, 50, (7,)), Segment(50, 100, (9,))]

    def test_counts_a_job_marked_twice_once(self) -> None:
        assert segments(0, 10, marks=[Hold(7, 0, 10), Hold(7, 5, 30)], labels=[]) == [Segment(0, 10, (7,))]

    @given(st.lists(st.tuples(st.integers(1, 4), st.integers(-50, 150), st.integers(-50, 150)), max_size=12))
    def test_pieces_follow_each_other_and_leave_nothing_out(self, raw) -> None:
        got = segments(0, 100, marks=[Hold(*h) for h in raw[::2]], labels=[Hold(*h) for h in raw[1::2]])
        assert [p.start_us for p in got] == [0, *(p.end_us for p in got[:-1])] and got[-1].end_us == 100
        assert all(p.start_us < p.end_us for p in got)


class TestLabelHolds:
    def test_a_label_speaks_for_the_interval_that_ends_at_its_reading(self) -> None:
        at, job = np.array([0, 10, 20, 30]), np.array([5, 5, NO_JOB, 6])
        assert label_holds(at, job, np.array([True, True, True])) == [Hold(5, 0, 10), Hold(6, 20, 30)]

    def test_a_label_says_nothing_of_a_hole(self) -> None:
        at, job = np.array([0, 10, 900, 910]), np.array([5, 5, 5, 5])
        assert label_holds(at, job, np.array([True, False, True])) == [Hold(5, 0, 10), Hold(5, 900, 910)]

    @pytest.mark.parametrize("n", [0, 1])
    def test_fewer_than_two_readings_hold_nothing(self, n) -> None:
        assert label_holds(np.arange(n), np.full(n, 5), np.ones(0, dtype=bool)) == []


class TestShareEqually:
    def test_three_jobs_get_a_third_each(self) -> None:
        assert share_equally(3600.0, 3) == [1200.0, 1200.0, 1200.0]

    @given(st.floats(0, 1e15), st.integers(1, 50))
    def test_shares_add_up_to_the_amount_to_the_last_bit(self, amount, among) -> None:
        shares = share_equally(amount, among)
        assert sum(shares) == amount
        assert all(math.isclose(s, amount / among, rel_tol=1e-9, abs_tol=1e-300) for s in shares)

    def test_refuses_to_share_among_nobody(self) -> None:
        with pytest.raises(ValueError, match="among 0"):
            share_equally(1.0, 0)
