"""Jobs that share a device: sums worked by hand, and shares that always add up."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.sharing import (
    IdlePolicy,
    SharedBy,
    Use,
    cell_edges,
    holds_of_uses,
    idle_part_j,
    parent_power_w,
    share,
    share_energy,
    use_weights,
)

S = 1_000_000


def weights(uses: list[Use], jobs: tuple[int, ...] = (1, 2), end_s: int = 10, watts: float = 100.0):
    edges = cell_edges(0, end_s * S, uses)
    return use_weights(jobs, uses, edges, np.diff(edges) / S * watts)


class TestShare:
    def test_splits_in_proportion(self) -> None:
        # 1000 J by 0.6 and 0.2: 750 and 250
        assert share(1000.0, [0.6, 0.2]) == pytest.approx([750.0, 250.0])

    def test_splits_equally_where_nobody_did_anything(self) -> None:
        assert share(90.0, [0.0, 0.0, 0.0]) == [30.0, 30.0, 30.0]

    @pytest.mark.parametrize("bad", [[], [1.0, -0.5], [float("nan"), 1.0], [math.inf]])
    def test_refuses_weights_that_say_nothing(self, bad: list[float]) -> None:
        with pytest.raises(ValueError, match="cannot share by"):
            share(1.0, bad)

    @given(st.floats(0, 1e15), st.lists(st.floats(0, 1e6), min_size=1, max_size=9))
    def test_adds_up_to_the_last_bit_and_gives_nobody_less_than_nought(self, amount: float, by: list[float]) -> None:
        parts = share(amount, by)
        assert sum(parts) == math.fsum(parts) == amount and min(parts) >= 0


class TestIdle:
    def test_is_the_idle_draw_over_the_time_capped_by_what_was_drawn(self) -> None:
        # 108.5 W x 60 s = 6510 J of 20 000 J; of 5000 J it is all
        assert idle_part_j(20_000.0, covered_s=60.0, idle_w=108.5) == 6510.0
        assert idle_part_j(5000.0, covered_s=60.0, idle_w=108.5) == 5000.0

    # 20 000 J, 6000 J of it idle; used 3 to 1, so 10 500 and 3500 J of the 14 000 J above idle.
    @pytest.mark.parametrize(
        ("policy", "first", "second", "kept"),
        [("kept", 10_500, 3500, 6000), ("equal", 13_500, 6500, 0), ("by_use", 15_000, 5000, 0)],
    )
    def test_stays_apart_or_is_spread_by_policy(self, policy: str, first: float, second: float, kept: float) -> None:
        got = share_energy(20_000.0, 6000.0, [0.75, 0.25], IdlePolicy(policy))
        assert got.of_jobs == pytest.approx((first, second)) and got.kept == pytest.approx(kept)
        assert math.fsum(got.idle_of_jobs) + got.kept == pytest.approx(6000.0)

    def test_refuses_more_idle_draw_than_energy(self) -> None:
        with pytest.raises(ValueError, match=r"idle draw of 11\.0 J of 10\.0 J"):
            share_energy(10.0, 11.0, [1.0], IdlePolicy.KEPT)

    @given(
        st.floats(0, 1e12),
        st.floats(0, 1),
        st.lists(st.floats(0, 1), min_size=1, max_size=7),
        st.sampled_from(IdlePolicy),
    )
    def test_parts_always_add_up_to_the_whole(self, energy_j: float, idle: float, by: list[float], policy: IdlePolicy):
        got = share_energy(energy_j, energy_j * idle, by, policy)
        assert math.fsum((*got.of_jobs, got.kept)) == energy_j
        assert min(*got.of_jobs, *got.idle_of_jobs, got.kept) >= 0
        assert all(below <= whole for below, whole in zip(got.idle_of_jobs, got.of_jobs, strict=True))


class TestUseWeights:
    def test_goes_by_utilization_weighed_with_the_energy_of_each_stretch(self) -> None:
        # 0-5 s: 0.6 and 0.2 of 500 J = 375 and 125; 5-10 s: 0.1 and 0.3 of 500 J = 125 and 375
        uses = [Use(1, 0, 5 * S, 0.6), Use(2, 0, 5 * S, 0.2), Use(1, 5 * S, 10 * S, 0.1), Use(2, 5 * S, 10 * S, 0.3)]
        got = weights(uses)
        assert got.of_jobs == pytest.approx((500.0, 500.0)) and got.shared_by is SharedBy.USE

    def test_a_slice_counts_by_its_size_times_its_use(self) -> None:
        # 3/7 of the board 50 % active and 2/7 all of the time: 1.5 to 2
        got = weights([Use(1, 0, 10 * S, 0.5, 3 / 7), Use(2, 0, 10 * S, 1.0, 2 / 7)])
        assert got.of_jobs == pytest.approx((1000 * 1.5 / 3.5, 1000 * 2 / 3.5)) and got.shared_by is SharedBy.USE

    def test_slices_alone_decide_where_their_use_is_not_told(self) -> None:
        got = weights([Use(1, 0, 10 * S, None, 3 / 7), Use(2, 0, 10 * S, None, 1 / 7)])
        assert got.of_jobs == pytest.approx((750.0, 250.0)) and got.shared_by is SharedBy.SLICE

    def test_two_slices_of_one_job_are_one_use(self) -> None:
        got = weights([Use(1, 0, 10 * S, 1.0, 1 / 7), Use(1, 0, 10 * S, 1.0, 2 / 7), Use(2, 0, 10 * S, 1.0, 3 / 7)])
        assert got.of_jobs == pytest.approx((500.0, 500.0))

    def test_shares_equally_and_says_so_where_one_jobs_use_is_not_told(self) -> None:
        got = weights([Use(1, 0, 10 * S, 0.9)])
        assert got.of_jobs == pytest.approx((500.0, 500.0)) and got.shared_by is SharedBy.EQUAL

    def test_shares_equally_where_both_did_nothing_by_their_own_word(self) -> None:
        got = weights([Use(1, 0, 10 * S, 0.0), Use(2, 0, 10 * S, 0.0)])
        assert got.of_jobs == pytest.approx((500.0, 500.0)) and got.shared_by is SharedBy.USE

    def test_keeps_to_use_where_nothing_was_drawn_above_idle(self) -> None:
        got = weights([Use(1, 0, 10 * S, 0.3), Use(2, 0, 10 * S, 0.1)], watts=0.0)
        assert got.of_jobs[0] == pytest.approx(3 * got.of_jobs[1]) and got.shared_by is SharedBy.USE

    @given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9), st.floats(0, 1)), max_size=20))
    def test_gives_away_all_of_the_energy(self, told: list[tuple[int, int, float]]) -> None:
        uses = [Use(job, at * S, (at + 1) * S, u) for job, at, u in told]
        assert math.fsum(weights(uses, jobs=(1, 2, 3)).of_jobs) == pytest.approx(1000.0)


class TestUsesAndSlices:
    def test_a_use_is_a_hold(self) -> None:
        assert [(h.job, h.start_us, h.end_us) for h in holds_of_uses([Use(4, 1, 2, 0.5)])] == [(4, 1, 2)]

    def test_slices_that_repeat_their_boards_power_count_once(self) -> None:
        # Three instances of one board, each row 412 W: 412 W, not 1236 W
        assert parent_power_w([412.0, 412.0, 412.0], tolerance=0.02) == 412.0

    def test_refuses_slices_that_differ(self) -> None:
        with pytest.raises(ValueError, match="do not show"):
            parent_power_w([412.0, 103.0], tolerance=0.02)
