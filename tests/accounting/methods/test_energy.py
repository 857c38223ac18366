"""Watts and counters into joules: sums worked by hand, and what must hold for any readings."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.methods.energy import PowerSeries, integrate, integrate_by_precedence, judge

S = 1_000_000
GAP = 120 * S
REACH = 7200 * S
NAN = float("nan")


def series(*readings: tuple[float, float], counter: list[float] | None = None, epoch=1, measured=True) -> PowerSeries:
    """(second, watts) readings; `counter` in joules beside them."""
    n = len(readings)
    return PowerSeries(
        at_us=np.array([int(t * S) for t, _ in readings], dtype=np.int64),
        power_w=np.array([w for _, w in readings], dtype=np.float64),
        energy_j=np.array(counter if counter is not None else [NAN] * n, dtype=np.float64),
        epoch=np.full(n, epoch, dtype=np.int64) if isinstance(epoch, int) else np.array(epoch, dtype=np.int64),
        measured=np.full(n, measured) if isinstance(measured, bool) else np.array(measured),
    )


def edges(*seconds: float) -> np.ndarray:
    return np.array([int(t * S) for t in seconds], dtype=np.int64)


def several(parts: list[PowerSeries], at: np.ndarray):
    return integrate_by_precedence(parts, judge(parts, max_gap_us=GAP, reach_us=REACH), at)


class TestIntegrate:
    def test_adds_the_trapezoids_between_readings(self) -> None:
        # (100 + 200)/2 x 10 + (200 + 0)/2 x 20 = 1500 + 2000 = 3500 J over 30 s
        got = integrate(series((0, 100), (10, 200), (30, 0)), edges(0, 30), max_gap_us=GAP)
        assert got.energy_j.tolist() == [3500.0]
        assert got.covered_us.tolist() == [30 * S] and got.missing_us.tolist() == [0]

    def test_splits_an_interval_at_an_edge_where_the_power_line_crosses_it(self) -> None:
        # From 0 W at 0 s to 100 W at 10 s: 25 W at 2.5 s. First bin 25/2 x 2.5 = 31.25 J,
        # second (25 + 100)/2 x 7.5 = 468.75 J; together 100/2 x 10 = 500 J.
        got = integrate(series((0, 0), (10, 100)), edges(0, 2.5, 10), max_gap_us=GAP)
        assert got.energy_j.tolist() == pytest.approx([31.25, 468.75])

    def test_cuts_one_interval_into_every_bin_it_crosses(self) -> None:
        # 60 W flat over 100 s, bins of 30, 30, 30 and 10 s: 1800, 1800, 1800, 600 J
        got = integrate(series((0, 60), (100, 60)), edges(0, 30, 60, 90, 120), max_gap_us=GAP)
        assert got.energy_j.tolist() == [1800, 1800, 1800, 600]
        assert got.covered_us.tolist() == [30 * S, 30 * S, 30 * S, 10 * S]

    def test_counts_a_long_gap_as_missing_and_adds_no_energy(self) -> None:
        got = integrate(series((0, 100), (10, 100), (131, 100), (141, 100)), edges(0, 200), max_gap_us=GAP)
        assert got.energy_j.tolist() == [2000.0]  # 2 x 10 s x 100 W; the 121 s between stay empty
        assert got.covered_us.tolist() == [20 * S] and got.missing_us.tolist() == [121 * S]

    def test_still_counts_a_gap_of_exactly_the_limit(self) -> None:
        got = integrate(series((0, 100), (120, 100)), edges(0, 120), max_gap_us=GAP)
        assert got.energy_j.tolist() == [12_000.0]

    def test_prefers_a_counter_to_power_and_trusts_it_over_any_gap(self) -> None:
        # The counter rose by 7200 J over two hours; half of the time, half of the energy.
        got = integrate(series((0, 999), (7200, 999), counter=[50, 7250]), edges(0, 3600, 7200), max_gap_us=GAP)
        assert got.energy_j.tolist() == [3600.0, 3600.0]
        assert got.covered_us.tolist() == [3600 * S] * 2 and got.missing_us.tolist() == [0, 0]

    def test_takes_a_counter_that_fell_for_a_reset_and_goes_by_power(self) -> None:
        got = integrate(series((0, 100), (10, 300), counter=[5000, 10]), edges(0, 10), max_gap_us=GAP)
        assert got.energy_j.tolist() == [2000.0]  # (100 + 300)/2 x 10

    def test_leaves_a_reset_without_power_missing(self) -> None:
        got = integrate(series((0, NAN), (10, NAN), counter=[5000, 10]), edges(0, 10), max_gap_us=GAP)
        assert got.energy_j.tolist() == [0.0] and got.missing_us.tolist() == [10 * S]

    def test_compares_a_counter_only_within_one_epoch(self) -> None:
        got = integrate(series((0, NAN), (10, NAN), counter=[0, 900], epoch=[1, 2]), edges(0, 10), max_gap_us=GAP)
        assert got.energy_j.tolist() == [0.0] and got.missing_us.tolist() == [10 * S]

    def test_tells_measured_from_modelled_energy(self) -> None:
        # Measured, measured, modelled: the second interval has one modelled end, so it is modelled.
        got = integrate(
            series((0, 100), (10, 100), (20, 100), measured=[True, True, False]), edges(0, 20), max_gap_us=GAP
        )
        assert got.energy_j.tolist() == [2000.0] and got.measured_j.tolist() == [1000.0]
        assert got.measured_us.tolist() == [10 * S]

    def test_says_nothing_of_time_before_the_first_and_after_the_last_reading(self) -> None:
        got = integrate(series((10, 100), (20, 100)), edges(0, 100), max_gap_us=GAP)
        assert got.covered_us.tolist() == [10 * S] and got.missing_us.tolist() == [0]

    @pytest.mark.parametrize("readings", [(), ((5, 100),)])
    def test_makes_nothing_of_fewer_than_two_readings(self, readings) -> None:
        got = integrate(series(*readings), edges(0, 10, 20), max_gap_us=GAP)
        assert got.energy_j.tolist() == [0, 0] and got.missing_us.tolist() == [0, 0]

    @pytest.mark.parametrize("times", [(0, 10, 10), (0, 20, 10)])
    def test_refuses_readings_out_of_order(self, times) -> None:
        with pytest.raises(ValueError, match="10000000 us does not come after"):
            integrate(series(*((t, 100) for t in times)), edges(0, 30), max_gap_us=GAP)


class TestIntegrateByPrecedence:
    def test_counts_a_worse_source_only_where_no_better_one_covers(self) -> None:
        # The meter covers 0-20 and 200-220 s at 100 W; the agent covers 0-220 s at 50 W and fills 180 s.
        meter = series((0, 100), (20, 100), (200, 100), (220, 100))
        agent = series(*((t, 50) for t in range(0, 221, 20)))
        got = several([meter, agent], edges(0, 220))
        assert [p.energy_j.tolist() for p in got.by_source] == [[4000.0], [9000.0]]
        assert [p.covered_us.tolist() for p in got.by_source] == [[40 * S], [180 * S]]
        assert got.missing_us.tolist() == [0]

    def test_counts_a_hole_of_every_source_as_missing_once(self) -> None:
        got = several([series((0, 1), (10, 1)), series((300, 1), (310, 1))], edges(0, 310))
        assert got.missing_us.tolist() == [290 * S]

    def test_lets_a_seldom_read_meter_yield_to_a_source_that_spoke_in_between(self) -> None:
        meter = series((0, NAN), (10_000, NAN), counter=[0, 1e6])
        agent = series((5000, 60), (5100, 60))
        got = several([meter, agent], edges(0, 10_000))
        assert [p.energy_j.tolist() for p in got.by_source] == [[0.0], [6000.0]]
        assert got.missing_us.tolist() == [9900 * S]

    def test_trusts_a_seldom_read_meter_where_nothing_else_spoke(self) -> None:
        got = several([series((0, NAN), (10_000, NAN), counter=[0, 1e6])], edges(0, 10_000))
        assert got.by_source[0].energy_j.tolist() == [1e6]


@st.composite
def any_series(draw, longest: int = 40) -> PowerSeries:
    steps = draw(st.lists(st.integers(1, 400 * S), min_size=2, max_size=longest))
    n = len(steps)
    watts = draw(st.lists(st.one_of(st.just(NAN), st.floats(0, 1000)), min_size=n, max_size=n))
    joules = draw(st.lists(st.one_of(st.just(NAN), st.floats(0, 1e6)), min_size=n, max_size=n))
    return PowerSeries(
        at_us=np.cumsum(np.array(steps, dtype=np.int64)) + draw(st.integers(0, 100 * S)),
        power_w=np.array(watts),
        energy_j=np.array(joules),
        epoch=np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), dtype=np.int64),
        measured=np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n))),
    )


any_edges = st.lists(st.integers(1, 15_000 * S), unique=True, max_size=12).map(
    lambda inner: np.array([0, *sorted(inner), 20_000 * S], dtype=np.int64)
)


class TestConservation:
    @given(any_series(), any_edges)
    @settings(deadline=None)
    def test_any_bins_add_up_to_the_whole(self, readings, cuts) -> None:
        parts = integrate(readings, cuts, max_gap_us=GAP)
        whole = integrate(readings, cuts[[0, -1]], max_gap_us=GAP)
        assert math.isclose(parts.energy_j.sum(), whole.energy_j[0], rel_tol=1e-9, abs_tol=1e-6)
        assert math.isclose(parts.measured_j.sum(), whole.measured_j[0], rel_tol=1e-9, abs_tol=1e-6)
        for name in ("covered_us", "measured_us", "missing_us"):
            assert getattr(parts, name).sum() == getattr(whole, name)[0]
        assert (parts.energy_j >= -1e-9).all() and (parts.measured_j <= parts.energy_j + 1e-9).all()
        assert whole.covered_us[0] + whole.missing_us[0] == readings.at_us[-1] - readings.at_us[0]

    @given(any_series(), any_edges)
    @settings(deadline=None)
    def test_a_bin_comes_out_the_same_to_the_last_bit_among_other_bins_and_readings(self, readings, cuts) -> None:
        together = integrate(readings, cuts, max_gap_us=GAP)
        at = readings.at_us
        for k in range(cuts.size - 1):
            first = max(int(np.searchsorted(at, cuts[k])) - 1, 0)
            last = int(np.searchsorted(at, cuts[k + 1], side="left")) + 1
            near = PowerSeries(*(getattr(readings, f)[first:last] for f in PowerSeries.__slots__))
            alone = integrate(near, cuts[k : k + 2], max_gap_us=GAP)
            assert alone.energy_j[0] == together.energy_j[k] and alone.covered_us[0] == together.covered_us[k]

    @given(st.lists(any_series(15), min_size=1, max_size=3), any_edges)
    @settings(deadline=None)
    def test_sources_never_overlap_however_they_interleave(self, parts, cuts) -> None:
        got = several(parts, cuts)
        covered_us = sum(p.covered_us for p in got.by_source)
        assert (covered_us <= np.diff(cuts)).all() and (got.missing_us >= 0).all()
        first, last = min(p.at_us[0] for p in parts), max(p.at_us[-1] for p in parts)
        assert covered_us.sum() + got.missing_us.sum() == last - first
        best_alone = integrate(parts[0], cuts, max_gap_us=GAP)
        assert (got.by_source[0].covered_us <= best_alone.covered_us).all()

    @given(any_series(), any_edges)
    @settings(deadline=None)
    def test_the_same_series_again_as_a_worse_source_adds_nothing(self, readings, cuts) -> None:
        once, twice = several([readings], cuts), several([readings, readings], cuts)
        assert twice.by_source[0].energy_j.tolist() == once.by_source[0].energy_j.tolist()
        assert twice.by_source[1].covered_us.sum() == 0 and twice.by_source[1].energy_j.sum() == 0
