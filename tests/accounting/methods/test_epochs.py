"""Several posters of one device: whose counter counts, and that nothing counts twice."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.methods.energy import PowerSeries, integrate_by_precedence, judge
from accounting.methods.epochs import readings_by_poster, taken

S = 1_000_000
NAN = float("nan")


def readings(*rows: tuple[float, int, float, float]) -> PowerSeries:
    """(second, epoch, watts, counter in J)."""
    at, epoch, watts, joules = (np.array(column) for column in zip(*rows, strict=True))
    return PowerSeries(
        (at * S).astype(np.int64), watts.astype(float), joules.astype(float), epoch, np.ones(at.size, dtype=bool)
    )


def joules_of(series: PowerSeries, *edges_s: float) -> tuple[list[float], list[int]]:
    """Energy and covered seconds of each bin, whoever it is counted from."""
    parts = [taken(series, rows) for rows in readings_by_poster(series)]
    judged = judge(parts, max_gap_us=120 * S, reach_us=7200 * S)
    got = integrate_by_precedence(parts, judged, np.array([round(e * S) for e in edges_s], dtype=np.int64))
    energy_j = np.sum([p.energy_j for p in got.by_source], axis=0)
    covered_us = np.sum([p.covered_us for p in got.by_source], axis=0)
    return energy_j.tolist(), (covered_us // S).tolist()


class TestTwoAgentsOnOneDevice:
    def test_count_by_a_counter_and_only_once(self) -> None:
        # Both see the same device draw 300 W: agent 7 from a counter at 1000 J, agent 8 from one at 50 J, 5 s apart.
        # Neighbours are of different epochs, and no power is told: 0 to 40 s by agent 7 = 12 000 J, 40 to 45 s by
        # agent 8 = 1500 J. Together 13 500 J, not 24 000.
        rows = [(t, 7, NAN, 1000 + 300 * t) for t in range(0, 41, 10)]
        rows += [(t, 8, NAN, 50 + 300 * t) for t in range(5, 46, 10)]
        assert joules_of(readings(*sorted(rows)), 0, 60) == ([13_500.0], [45])

    def test_one_fills_the_others_silence(self) -> None:
        # Agent 7 speaks 0-100 s and is gone; agent 8 speaks 50-200 s: 200 s x 100 W
        rows = [(t, 7, NAN, 100.0 * t) for t in range(0, 101, 10)]
        rows += [(t, 8, NAN, 100.0 * t - 4000) for t in range(45, 206, 10)]
        assert joules_of(readings(*sorted(rows)), 0, 300) == ([20_500.0], [205])

    def test_a_restart_is_bridged_by_power(self) -> None:
        # Epoch 3 counts 0-20 s (2000 J), epoch 1 counts 30-50 s (2000 J); between them 10 s x 100 W
        rows = [(t, 3, 100.0, 100.0 * t) for t in (0, 10, 20)] + [(t, 1, 100.0, 100.0 * t - 3000) for t in (30, 40, 50)]
        assert joules_of(readings(*rows), 0, 60) == ([5000.0], [50])

    def test_a_restart_without_power_is_missing(self) -> None:
        rows = [(t, 3, NAN, 100.0 * t) for t in (0, 10, 20)] + [(t, 1, NAN, 100.0 * t - 3000) for t in (30, 40, 50)]
        assert joules_of(readings(*rows), 0, 60) == ([4000.0], [40])

    def test_one_poster_is_left_as_it_is(self) -> None:
        series = readings((0, 1, 5.0, 0.0), (10, 1, 5.0, 50.0))
        assert [rows.tolist() for rows in readings_by_poster(series)] == [[0, 1]]


@st.composite
def interleaved(draw) -> PowerSeries:
    n = draw(st.integers(2, 40))
    at = np.cumsum(draw(st.lists(st.integers(1, 100 * S), min_size=n, max_size=n)))
    epoch = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=np.int64)
    return PowerSeries(at, np.full(n, 250.0), epoch * 1e6 + at * 250.0 / S, epoch, np.ones(n, dtype=bool))


class TestConservation:
    @given(interleaved())
    @settings(deadline=None)
    def test_a_steady_draw_comes_out_as_it_is_however_many_tell_of_it(self, series: PowerSeries) -> None:
        energy_j, _ = joules_of(series, 0, float(series.at_us[-1]) / S)
        seconds = float(series.at_us[-1] - series.at_us[0]) / S
        assert abs(energy_j[0] - 250.0 * seconds) <= 1e-9 * max(energy_j[0], 1.0) + 1e-3
