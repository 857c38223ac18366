"""Carbon of making: over a whole life exactly the footprint, however the life is cut, and added up from parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods import components
from accounting.methods.embodied import (
    Life,
    accrued_share,
    accruing_share,
    embodied_g,
    embodied_rate_g_per_h,
    held_by_use,
    mean_utilization,
    remaining_share,
    written_off_g,
)
from accounting.methods.records import Figure, Range, Status

HOUR_S = 3600.0
US = 1_000_000


def exactly(value: float, unit: str = "kg", source: str = "stated") -> Figure:
    return Figure(Range.exact(value), unit, Status.MODELLED, (source,))


def over_life(life: Life, *, hours: int) -> float:
    """Grams of a 100 kg device, hour by hour as the ledger does it, and what is written off."""
    kg, rate = exactly(100.0), embodied_rate_g_per_h(exactly(100.0), exactly(life.lifetime_s / HOUR_S, "h"))
    total = 0.0
    for n in range(hours):
        start, end = n * HOUR_S, (n + 1) * HOUR_S
        until = end if life.retired_s is None else min(end, life.retired_s)
        held_s = max(0.0, until - max(start, life.acquired_s))
        total += embodied_g(rate, held_s=held_s * accruing_share(life, start_s=start, end_s=end)).range.mid
    return total + (written_off_g(kg, life).range.mid if life.retired_s is not None else 0.0)


class TestAWholeLife:
    def test_comes_to_the_footprint_and_then_stops(self) -> None:
        # 100 kg over 10.5 h from 00:30: half an hour, ten hours, and nothing for nine hours after
        life = Life(acquired_s=1800.0, lifetime_s=10.5 * HOUR_S)
        assert over_life(life, hours=20) == pytest.approx(100_000.0)

    def test_ends_within_an_hour(self) -> None:
        # from 00:00 for 2.25 h: of the third hour a quarter
        life = Life(acquired_s=0.0, lifetime_s=2.25 * HOUR_S)
        assert [accruing_share(life, start_s=n * HOUR_S, end_s=(n + 1) * HOUR_S) for n in range(4)] == [1, 1, 0.25, 0]

    def test_a_second_life_takes_what_is_left_and_no_more(self) -> None:
        # 30 of 40 h elsewhere: a quarter of 100 kg is left
        life = Life(acquired_s=0.0, lifetime_s=40 * HOUR_S, served_before_s=30 * HOUR_S)
        assert over_life(life, hours=50) == pytest.approx(25_000.0)

    def test_the_lives_of_all_owners_add_up_to_the_footprint(self) -> None:
        # passed on after 12 of 40 h: 30 kg with us, 70 kg with the next owner
        ours = Life(acquired_s=0.0, lifetime_s=40 * HOUR_S, retired_s=12 * HOUR_S)
        theirs = Life(acquired_s=0.0, lifetime_s=40 * HOUR_S, served_before_s=12 * HOUR_S)
        ours_g = over_life(ours, hours=50) - written_off_g(exactly(100.0), ours).range.mid
        assert (ours_g, over_life(theirs, hours=50)) == pytest.approx((30_000.0, 70_000.0))

    @pytest.mark.parametrize("retired_h", [0.25, 7.75, 39.0, 40.0, 45.0])
    def test_scrapped_early_it_comes_to_the_footprint_all_the_same(self, retired_h: float) -> None:
        life = Life(acquired_s=0.0, lifetime_s=40 * HOUR_S, retired_s=retired_h * HOUR_S)
        assert over_life(life, hours=60) == pytest.approx(100_000.0)

    @given(
        acquired_h=st.floats(0, 5), lifetime_h=st.floats(0.5, 30), served_h=st.floats(0, 30), retired_h=st.floats(0, 60)
    )
    def test_any_life_of_any_length_comes_to_what_was_left_of_the_footprint(
        self, acquired_h: float, lifetime_h: float, served_h: float, retired_h: float
    ) -> None:
        life = Life(
            acquired_s=acquired_h * HOUR_S,
            lifetime_s=lifetime_h * HOUR_S,
            served_before_s=served_h * HOUR_S,
            retired_s=(acquired_h + retired_h) * HOUR_S,
        )
        left = max(0.0, 1.0 - served_h / lifetime_h)
        assert over_life(life, hours=66) == pytest.approx(100_000.0 * left, abs=1e-3)

    def test_what_accrued_what_is_left_and_what_came_before_add_up(self) -> None:
        life = Life(acquired_s=5 * HOUR_S, lifetime_s=40 * HOUR_S, served_before_s=8 * HOUR_S)
        for hour in (0, 5, 6, 20, 37, 100):
            parts = accrued_share(life, at_s=hour * HOUR_S) + remaining_share(life, at_s=hour * HOUR_S)
            assert parts + 8 / 40 == pytest.approx(1.0)

    def test_a_device_that_served_longer_than_its_life_has_nothing_left(self) -> None:
        life = Life(acquired_s=0.0, lifetime_s=10 * HOUR_S, served_before_s=12 * HOUR_S)
        assert over_life(life, hours=5) == 0.0 and remaining_share(life, at_s=0.0) == 0.0

    def test_refuses_to_write_off_a_device_in_service(self) -> None:
        with pytest.raises(ValueError, match="nothing to write off"):
            written_off_g(exactly(100.0), Life(acquired_s=0.0, lifetime_s=HOUR_S))


class TestShareOfUse:
    def test_a_job_answers_for_what_it_used_and_nobody_for_the_rest(self) -> None:
        # an hour at 25 %: 900 s of the job, 2700 s of nobody
        assert held_by_use(3600.0, utilization=0.25) == (900.0, 2700.0)

    def test_refuses_more_than_the_whole(self) -> None:
        with pytest.raises(ValueError, match=r"utilization 1\.2"):
            held_by_use(3600.0, utilization=1.2)

    def test_weighs_readings_by_the_time_they_speak_for(self) -> None:
        # 0.2 for 600 s, 0.8 for 1200 s of the hour's 1800 told: (120 + 960) / 1800 = 0.6
        at = [0, 600 * US, 1800 * US]
        used = mean_utilization(at, [0.9, 0.2, 0.8], start_us=0, end_us=3600 * US, max_gap_us=1800 * US)
        assert used == pytest.approx(0.6)

    def test_cuts_at_the_edges_of_the_hour(self) -> None:
        # 0.5 told for -600..600 s, of which 600 s lie inside; 0.1 for the 3000 s after: (300 + 300) / 3600
        at = [-600 * US, 600 * US, 4200 * US]
        used = mean_utilization(at, [0.0, 0.5, 0.1], start_us=0, end_us=3600 * US, max_gap_us=7200 * US)
        assert used == pytest.approx(600 / 3600)

    def test_says_nothing_where_no_reading_speaks_for_the_hour(self) -> None:
        assert mean_utilization([0, 3000 * US], [0.5, 0.5], start_us=0, end_us=3600 * US, max_gap_us=120 * US) is None
        assert mean_utilization([5 * US], [0.5], start_us=0, end_us=3600 * US, max_gap_us=120 * US) is None


class TestComponents:
    """Boavizta's documentation works these: reading its example again by hand."""

    def test_a_cpu_is_its_base_and_its_die(self) -> None:
        # 9.14 + 694 mm2 x 0.0197 = 22.8118 kg
        got = components.cpu_kg(694.0, base=exactly(9.14), per_mm2=exactly(0.0197, "kg/mm2"))
        assert got.range.mid == pytest.approx(22.8118) and got.unit == "kg"

    def test_memory_and_flash_count_modules_and_capacity(self) -> None:
        # 12 x 5.22 + 384 GB x 1.23 = 62.64 + 472.32; 2 x 6.34 + 800 GB x 0.0435 = 12.68 + 34.8
        memory = components.memory_kg(384.0, 12, base=exactly(5.22), per_gb=exactly(1.23, "kg/GB"))
        flash = components.ssd_kg(800.0, 2, base=exactly(6.34), per_gb=exactly(0.0435, "kg/GB"))
        assert memory.range.mid == pytest.approx(534.96) and flash.range.mid == pytest.approx(47.48)

    def test_an_accelerator_is_silicon_memory_board_cooling_and_assembly(self) -> None:
        # H100: 814 mm2 x 0.0176 = 14.3264; 80 GB x 0.853 = 68.24; 37.7; 700 W x 0.0411 = 28.77; 15: 164.0364 kg
        got = components.gpu_kg(
            die_mm2=exactly(814.0, "mm2", "die"),
            memory_gb=exactly(80.0, "GB", "gb"),
            tdp_w=exactly(700.0, "W", "tdp"),
            per_mm2=exactly(0.0176, "kg/mm2"),
            per_gb=exactly(0.853, "kg/GB"),
            board=exactly(37.7),
            cooling_per_w=exactly(0.0411, "kg/W"),
            assembly=exactly(15.0),
        )
        assert got.range.mid == pytest.approx(164.0364) and {"die", "gb", "tdp"} <= set(got.factor_ids)

    def test_a_server_is_the_sum_of_its_parts(self) -> None:
        # 66.1 board + 2 x 2.99 kg of power supplies x 24.3 = 145.314 + 150 case + 6.68 assembly + 2 disks x 31.11
        parts = [
            components.pieces_kg(1, each=exactly(66.1)),
            components.psu_kg(2 * 2.99, per_kg=exactly(24.3, "kg/kg")),
            components.pieces_kg(1, each=exactly(150.0)),
            components.pieces_kg(1, each=exactly(6.68)),
            components.pieces_kg(2, each=exactly(31.11)),
        ]
        assert components.server_kg(parts).range.mid == pytest.approx(430.314)
        assert components.server_kg(parts[:1]).range.mid == pytest.approx(66.1)

    def test_ranges_of_different_parts_partly_cancel(self) -> None:
        parts = [Figure(Range(50.0, 100.0, 150.0), "kg", Status.DEFAULT, (name,)) for name in ("board", "case")]
        whole = components.server_kg(parts).range
        assert 100.0 < whole.low < 200.0 < whole.high < 300.0

    def test_refuses_an_amount_below_nought_and_a_server_of_nothing(self) -> None:
        with pytest.raises(ValueError, match=r"-1.* mm2 of die"):
            components.cpu_kg(-1.0, base=exactly(9.14), per_mm2=exactly(0.0197))
        with pytest.raises(ValueError, match="without parts"):
            components.server_kg([])
