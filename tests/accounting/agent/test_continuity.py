"""Counters over a restart: carried on where that is honest, begun anew where it is not."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.agent.continuity import Continuity, CounterBroken, CounterMark
from accounting.agent.sensors.base import Reading

RANGE_J = 262_143.0  # a common RAPL range; at 1000 W it cannot wrap within 262 s


def followed(continuity: Continuity, energy_j: float, *, at: float, range_j: float | None = RANGE_J) -> float | None:
    ranges_j = {"cpu-0": range_j} if range_j else {}
    return continuity.follow([Reading("cpu-0", energy_j=energy_j)], ranges_j=ranges_j, uptime_s=at)[0].energy_j


class TestFollow:
    def test_a_counter_that_kept_rising_while_the_agent_was_away_goes_on(self) -> None:
        assert followed(Continuity({"cpu-0": CounterMark(1000.0, 10.0)}), 4000.0, at=100.0) == 4000.0

    def test_a_wrap_while_the_agent_was_away_is_added(self) -> None:
        # told 262 000 J of a range of 262 143 J; now the counter shows 500 J: 262 143 + 500 = 262 643 J in all
        continuity = Continuity({"cpu-0": CounterMark(262_000.0, 10.0)})
        assert followed(continuity, 500.0, at=100.0) == 262_643.0
        assert followed(continuity, 700.0, at=105.0) == 262_843.0

    def test_earlier_wraps_are_not_forgotten(self) -> None:
        # two wraps told before: 2 * 262 143 + 100 = 524 386 J; the new sensor object shows 150 J
        assert followed(Continuity({"cpu-0": CounterMark(524_386.0, 10.0)}), 150.0, at=20.0) == 524_436.0

    def test_a_gap_long_enough_for_two_wraps_breaks(self) -> None:
        continuity = Continuity({"cpu-0": CounterMark(1000.0, 10.0)})
        with pytest.raises(CounterBroken, match="263 s"):
            followed(continuity, 4000.0, at=273.0)

    def test_a_counter_that_does_not_wrap_may_be_left_alone_for_days(self) -> None:
        assert followed(Continuity({"cpu-0": CounterMark(1.0, 10.0)}), 9e9, at=1e6, range_j=None) == 9e9

    def test_a_reloaded_driver_breaks(self) -> None:
        continuity = Continuity({"cpu-0": CounterMark(5000.0, 10.0)})
        with pytest.raises(CounterBroken, match="started again"):
            followed(continuity, 3.0, at=20.0, range_j=None)
        continuity.forget()
        assert followed(continuity, 3.0, at=20.0, range_j=None) == 3.0

    def test_a_break_moves_no_mark_of_another_device(self) -> None:
        continuity = Continuity({"a": CounterMark(10.0, 1.0), "b": CounterMark(10.0, 1.0)})
        with pytest.raises(CounterBroken):
            continuity.follow([Reading("a", energy_j=11.0), Reading("b", energy_j=1.0)], ranges_j={}, uptime_s=2.0)
        assert continuity.marks["a"] == CounterMark(10.0, 1.0)

    def test_what_has_no_counter_passes_through(self) -> None:
        reading = Reading("memory", power_w=20.0)
        assert Continuity().follow([reading], ranges_j={}, uptime_s=1.0) == [reading]

    @given(
        st.lists(st.tuples(st.floats(0.0, 4000.0), st.booleans()), min_size=1, max_size=60),
        st.floats(0.0, RANGE_J, exclude_max=True),
    )
    def test_the_energy_told_equals_the_energy_used_however_often_agent_and_counter_begin_again(
        self, steps: list[tuple[float, bool]], start_j: float
    ) -> None:
        """Each step uses some energy; sometimes the agent restarts: its sensor then knows nothing of earlier wraps."""
        continuity, used_j, base_j = Continuity(), start_j, 0.0
        told = []
        for n, (step_j, restarts) in enumerate(steps):
            used_j += step_j
            raw_j = used_j % RANGE_J
            if restarts:
                continuity, base_j = Continuity(continuity.marks), used_j - raw_j
            told.append(followed(continuity, used_j - base_j, at=5.0 * n))
        for earlier, later in pairwise(told):
            assert earlier is not None and later is not None and later >= earlier
        used_since_first = used_j - (start_j + steps[0][0])
        assert told[-1] is not None and told[0] is not None
        assert told[-1] - told[0] == pytest.approx(used_since_first, abs=1e-3)
