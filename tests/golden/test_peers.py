"""The same input through the peers' formulas and through ours: where they agree, and by how much they do not."""

from functools import cache
from pathlib import Path

import pytest

from accounting.methods.records import Range
from accounting.methods.sci import FunctionalUnit
from benchmarks.side_by_side import codecarbon_pairs, ecologits_pairs, impact_framework_pairs, peer_packages
from benchmarks.side_by_side.pairs import Pair, said

DOC = (Path(__file__).resolve().parents[2] / "docs" / "peers.md").read_text()


@cache
def by_name() -> dict[str, Pair]:
    """Every pair with codecarbon: its own classes run here."""
    return {pair.what: pair for pair in codecarbon_pairs.pairs()}


def both(what: str) -> tuple[float, float]:
    pair = by_name()[what]
    return pair.theirs, pair.ours.mid


class TestEnergyOfOneTrace:
    def test_a_rectangle_at_the_end_overcounts_a_rise_and_the_trapezoid_does_not(self) -> None:
        # theirs: 15 s x sum over k = 1..40 of (100 + 15 k) W = 15 x (4000 + 15 x 820) = 244500 J
        # ours: the mean of 100 and 700 W over 600 s = 400 x 600 = 240000 J, the exact integral
        what = "power up from 100 to 700 W in 600 s, one reading every 15 s"
        assert both(what) == pytest.approx((244_500.0, 240_000.0), rel=1e-9)

    def test_their_monitor_makes_the_rectangle_a_second_wide(self) -> None:
        # sum over k = 1..600 of (100 + k) W x 1 s = 60000 + 180300
        assert by_name()["the same with its 1 s monitor"].theirs == pytest.approx(240_300.0, rel=1e-9)

    def test_an_unread_hole_is_filled_by_them_and_missing_with_us(self) -> None:
        # theirs: 300 W x 3600 s, though the device slept at 30 W; ours: 300 W x 2400 s, and 1200 s missing
        what = "300 W, asleep at 30 W from 1200 to 2400 s and not read then"
        assert both(what) == pytest.approx((1_080_000.0, 720_000.0))
        assert "1200 s missing" in by_name()[what].why

    def test_a_counter_that_wraps_is_counted_through_by_both(self) -> None:
        # 50 J to the end and 100 J beyond; their 2.77778e-7 kWh/J is 8e-7 above 1 / 3.6e6
        theirs, ours = both("a RAPL counter that wraps, 150 J")
        assert ours == pytest.approx(150.0, rel=1e-12)
        assert theirs / ours == pytest.approx(2.77778e-7 * 3.6e6, rel=1e-9)

    def test_their_posts_lose_the_fraction_of_every_second(self) -> None:
        # 30 x int(120.9) = 3600 of 3627 s
        assert both("30 measurements of 120.9 s, as posted") == pytest.approx((3600.0, 3627.0))

    def test_their_posts_lose_the_energy_of_a_last_part_of_a_second(self) -> None:
        what = "8 measurements of 15 s and a last of 0.9 s, 1 Wh each, as posted"
        assert both(what) == pytest.approx((0.008, 0.009))


class TestBoundary:
    def test_their_energy_is_our_facility_energy(self) -> None:
        assert both("energy of 1 kW for an hour at PUE 1.5") == pytest.approx((1.5, 1.0))
        assert both("the building's energy") == pytest.approx((1.5, 1.5))

    def test_carbon_agrees_to_the_rounding_of_the_factor(self) -> None:
        # 1.5 kWh x 56.039 g/kWh theirs, x 56.04 ours; ours from 0.6 to 1.33 times: the hours of a year
        pair = by_name()["carbon in France"]
        assert (pair.theirs, pair.ours.mid) == pytest.approx((1.5 * 56.039, 1.5 * 56.04), rel=1e-5)
        assert (pair.ours.low, pair.ours.high) == pytest.approx((1.5 * 33.62, 1.5 * 74.53))

    def test_their_water_on_site_has_the_pue_inside(self) -> None:
        # theirs: 1.8 L/kWh x 1.5 kWh = 2.7 L; ours: 1.8 x 1.0 IT kWh = 1.8 L
        assert both("water on site at WUE 1.8") == pytest.approx((2.7, 1.8))

    def test_ours_adds_what_the_power_plants_use(self) -> None:
        # 1.8 L + 1.5 kWh x 3.58 L/kWh (France) = 7.17 L
        assert both("all water") == pytest.approx((2.7, 7.17))

    def test_a_load_that_falls_into_the_dirty_hour_costs_more_than_the_mean(self) -> None:
        # theirs: 2 kWh x 200 g; ours: 1.8 x 300 + 0.2 x 100
        what = "1.8 kW in an hour of 300 g/kWh, then 0.2 kW in one of 100 g/kWh"
        assert both(what) == pytest.approx((400.0, 560.0))


class TestPlaces:
    @pytest.mark.parametrize("place", ["France", "Virginia"])
    def test_agree_where_both_know_the_place(self, place: str) -> None:
        assert by_name()[f"intensity of {place}"].ratio == pytest.approx(1.0, abs=1e-4)

    @pytest.mark.parametrize(
        ("region", "ours"), [("aws us-east-1", 244.76), ("aws eu-west-3", 56.04), ("azure eastus", 244.76)]
    )
    def test_a_region_of_aws_or_azure_is_the_world_to_them_and_its_grid_to_us(self, region: str, ours: float) -> None:
        assert both(f"intensity of {region}") == pytest.approx((475.0, ours))

    def test_they_take_the_country_of_whoever_asks(self) -> None:
        # Germany's 380.95 g/kWh for a region that lies in Paris
        assert both("intensity of aws eu-west-3 from a laptop in Germany") == pytest.approx((380.95, 56.04), abs=0.01)


class TestLoadModels:
    def test_their_two_curves_differ_by_more_than_two_at_half_load(self) -> None:
        # 100 W x (0.1 + 0.9 x 0.125) = 21.25 W and 100 W x 0.5; ours 100 x (0.1 + 0.9 x 0.5) = 55 W
        machine, process = both("CPU of 100 W TDP at half load, machine mode"), both("the same, process mode")
        assert (*machine, process[0]) == pytest.approx((21.25, 55.0, 50.0))

    def test_a_varying_load_is_integrated_by_both(self) -> None:
        # theirs: 100 x 0.25 + (0.1 + 0.9 / 64) x 100 x 0.5 + (0.1 + 0.9 x 27 / 64) x 100 x 0.25 = 42.695 Wh
        # ours: 25 + 32.5 x 0.5 + 77.5 x 0.25 = 60.625 Wh
        what = "a quarter hour at 100 %, half at 25 %, a quarter at 75 %, machine mode"
        assert both(what) == pytest.approx((42.6953125, 60.625))

    def test_a_terabyte_of_memory_is_ten_times_more_by_the_gigabyte(self) -> None:
        # theirs: 8 modules, 4 x 5 W + 4 x 4.5 W = 38 W; ours: 1024 x 0.3725 = 381.44 W
        assert both("1 TB of memory") == pytest.approx((38.0, 381.44))


class TestImpactFramework:
    def test_our_half_of_its_pipeline_is_the_sum_worked_by_hand(self) -> None:
        # load 20 %: (0.32 + 0.43 x 10 / 40) x 200 W = 85.5 W x 0.25 h = 0.021375 kWh x 379 = 8.101125 g
        # making: (1e6 + 7e5 + 48 x 533 / 384 x 1000 + 150000) g = 1916625 g x 0.25 x 900 / 126144000 = 3.418638 g
        got = impact_framework_pairs.ours(*impact_framework_pairs.STEPS[0])
        assert got == pytest.approx(
            {
                "energy": 0.021375,
                "operational": 8.101125,
                "embodied": 3.4186376,
                "carbon": 11.5197626,
                "sci": 0.115197626,
            }
        )

    def test_the_score_of_several_steps_is_all_grams_over_all_requests(self) -> None:
        # (11.51976 + 62.10311) g / 5100 requests, where the mean of the two scores would be 0.0638
        grams = sum(impact_framework_pairs.ours(*step)["carbon"] for step in impact_framework_pairs.STEPS)
        assert grams / 5100 == pytest.approx(0.01443586)

    def test_no_unit_is_refused_where_it_answers_with_the_bare_carbon(self) -> None:
        with pytest.raises(ValueError, match="give a number above zero"):
            FunctionalUnit("request", 0.0)

    def test_an_answer_that_differs_stops_the_benchmark(self) -> None:
        apart = impact_framework_pairs.pair("x", 1.0, 1.00001, "g", "")
        with pytest.raises(SystemExit, match="they disagree"):
            impact_framework_pairs.check([apart])


class TestEcoLogits:
    def test_our_water_of_the_request_has_the_pue_once(self) -> None:
        # 0.5 kWh x (0.5 + 1.5 x 3.0) = 2.5 L; with the PUE twice it would be 0.75 x 5 = 3.75 L
        assert ecologits_pairs.ours_l(0.5) == pytest.approx(2.5)


class TestWhatCannotBeFetched:
    @pytest.fixture(autouse=True)
    def nothing_kept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(peer_packages, "ROOT", tmp_path)
        monkeypatch.setattr(peer_packages, "KEPT", tmp_path / "build")

    def test_the_short_form_fetches_nothing_and_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(peer_packages, "SHORT", True)
        with pytest.raises(peer_packages.NotRun, match="the short form fetches nothing"):
            peer_packages.python_with("ecologits", "0.11.3")

    def test_a_machine_without_node_says_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(peer_packages.NotRun, match="node and npm are not installed"):
            peer_packages.impact_framework("1.1.0")

    def test_a_program_that_fails_is_named_with_its_last_word(self) -> None:
        with pytest.raises(peer_packages.NotRun, match="ended with 3: no such registry"):
            peer_packages.output_of(["sh", "-c", "echo no such registry >&2; exit 3"])


class TestDocument:
    def test_shows_every_row_that_codecarbon_and_we_answer_today(self) -> None:
        assert [pair.row for pair in by_name().values() if pair.row not in DOC] == []

    def test_shows_our_answers_beside_the_packages_that_are_fetched(self) -> None:
        steps = [impact_framework_pairs.ours(*step) for step in impact_framework_pairs.STEPS]
        for number, step in enumerate(steps, start=1):
            for key, value in step.items():
                assert f"| {key}, step {number} | {value:.6g} | {value:.6g} |" in DOC

    def test_names_the_releases_that_are_run(self) -> None:
        named = (impact_framework_pairs.VERSION, ecologits_pairs.DOUBLE, ecologits_pairs.MENDED)
        assert [version for version in named if version not in DOC] == []


class TestPair:
    def test_shows_a_range_only_where_there_is_one(self) -> None:
        assert (said(Range.exact(2.0)), said(Range(1.0, 2.0, 4.0))) == ("2", "2 (1 to 4)")
