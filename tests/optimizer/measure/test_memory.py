"""Peak memory in fresh processes."""

import os

import pytest

from optimizer.measure import memory

HOLD = "(lambda held: __import__('optimizer.measure.memory', fromlist=['']).peak_bytes())(b'x' * {bytes})"


class TestFreshPeaks:
    def test_each_reading_is_of_a_process_that_holds_nothing_else(self) -> None:
        before = b"y" * (200 << 20)  # of this process: not to be seen
        small = memory.fresh_peaks(eval, (HOLD.format(bytes=1 << 20),), preload=["optimizer.measure.memory"])
        large = memory.fresh_peaks(eval, (HOLD.format(bytes=101 << 20),), preload=["optimizer.measure.memory"])
        del before
        assert len(small) == len(large) == memory.READINGS
        assert max(small) < 150 << 20
        assert min(large) - max(small) == pytest.approx(100 << 20, rel=0.05)

    def test_tells_the_error_of_a_process_that_failed(self) -> None:
        with pytest.raises(memory.PeakUnknown, match="ValueError: invalid literal"):
            memory.fresh_peaks(int, ("nothing",), preload=[])

    def test_tells_that_a_process_died(self) -> None:
        with pytest.raises(memory.PeakUnknown, match="it died"):
            memory.fresh_peaks(os._exit, (3,), preload=[])


class TestResetPeak:
    def test_forgets_what_was_held_before(self) -> None:
        held = b"x" * (64 << 20)
        high = memory.peak_bytes()
        del held
        memory.reset_peak()
        assert memory.peak_bytes() < high
