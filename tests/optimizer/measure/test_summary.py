"""From windows to figures and verdicts: golden sums, and how often chance is called a difference."""

import numpy as np
import pytest

from optimizer.measure.protocol import Plan
from optimizer.measure.summary import Comparison, Measurement, Results, summarize
from tests.optimizer.measure.runs import IDLE_W, Run, a_plan, a_run, built, noisy, scored


def of(run: Run) -> Results:
    return summarize(run.transcript, run.log)


def measured(results: Results, position: int, quantity: str) -> Measurement:
    (found,) = (m for m in results.measurements if (m.position, m.quantity) == (position, quantity))
    return found


def compared(results: Results, position: int, quantity: str) -> Comparison:
    (found,) = (c for c in results.comparisons if (c.position, c.quantity) == (position, quantity))
    return found


class TestEnergy:
    def test_is_the_windows_energy_less_idle_power_per_unit(self) -> None:
        # A window of 0.4 s at 2 W + 0.5 J x 10 units / 0.4 s = 14.5 W holds 5.8 J; less 2 W x 0.4 s = 0.8 J: 5.0 J for
        # 10 units. Half of that for the variant.
        results = of(a_run({0: [0.5] * 8, 1: [0.25] * 8}))
        assert results.idle_power_w == pytest.approx(IDLE_W)
        assert measured(results, 0, "energy_j_per_unit").mid == pytest.approx(0.5)
        half = compared(results, 1, "energy_j_per_unit")
        assert (half.ratio, half.difference, half.verdict) == (pytest.approx(0.5), pytest.approx(-0.25), "lower")

    def test_says_how_it_was_read_and_what_was_subtracted(self) -> None:
        figure = measured(of(a_run({0: [0.5] * 8, 1: [0.25] * 8})), 0, "energy_j_per_unit")
        assert figure.status == "MEASURED"
        assert figure.method == "8 rounds, a made-up meter; idle 2.00 W subtracted, 0.58 J with it (baseline)"
        assert len(figure.repeats) == 8

    def test_keeps_the_whole_draw_where_work_does_not_rise_above_idle(self) -> None:
        results = of(a_run({0: [0.1] * 8, 1: [-0.01] * 8}))
        # whole draw per unit: 0.1 + 2 W x 0.4 s / 10 = 0.18 J, and -0.01 + 0.08 = 0.07 J
        assert measured(results, 0, "energy_j_per_unit").mid == pytest.approx(0.18)
        assert measured(results, 1, "energy_j_per_unit").mid == pytest.approx(0.07)
        assert "idle not subtracted" in measured(results, 0, "energy_j_per_unit").method

    def test_pairs_rounds_so_that_a_drifting_machine_hides_nothing(self) -> None:
        drift = [1.0, 5.0, 0.2, 3.0, 9.0, 0.5, 2.0, 7.0]
        results = of(a_run({0: drift, 1: [0.9 * value for value in drift]}))
        ratio = compared(results, 1, "energy_j_per_unit")
        assert (ratio.ratio_low, ratio.ratio_high) == (pytest.approx(0.9), pytest.approx(0.9))
        assert ratio.verdict == "lower"

    def test_says_nothing_where_the_meter_did_not_reach(self) -> None:
        run = a_run({0: [0.5] * 8, 1: [0.25] * 8})
        run.log = type(run.log)("MEASURED", "stopped at once")
        results = of(run)
        assert results.idle_power_w is None
        assert {m.quantity for m in results.measurements} == {"cpu_s_per_unit"}

    def test_tells_what_making_a_variant_cost_above_idle(self) -> None:
        run = Run(a_plan())
        run.spend("build", 3.0, IDLE_W + 4.0, position=1)
        run.idle()
        assert of(run).one_off_energy_j == {1: pytest.approx(12.0)}  # 3 s x 4 W


class TestVerdict:
    @pytest.mark.parametrize("variants", [2, 4])
    def test_the_same_model_in_every_arm_gives_no_difference_shown_about_95_percent_of_the_time(
        self, variants: int
    ) -> None:
        rng, clean, runs = np.random.default_rng(95), 0, 200
        for seed in range(runs):
            plan = a_plan(variants, seed=seed)
            results = of(a_run(noisy(dict.fromkeys(range(variants), 0.5), 20, rng), plan=plan))
            energy = [c.verdict for c in results.comparisons if c.quantity == "energy_j_per_unit"]
            clean += energy == ["no_difference"] * (variants - 1)
        # binomial, 200 runs at 0.95: standard error 0.015
        assert 0.91 <= clean / runs <= 0.99

    def test_a_tenth_less_is_found_nearly_always(self) -> None:
        rng, found, runs = np.random.default_rng(10), 0, 60
        for seed in range(runs):
            results = of(a_run(noisy({0: 0.5, 1: 0.45}, 20, rng), plan=a_plan(seed=seed)))
            found += compared(results, 1, "energy_j_per_unit").verdict == "lower"
        assert found / runs > 0.9

    def test_a_few_rounds_never_show_a_difference(self) -> None:
        # 5 rounds: the widest interval of a median holds with 1 - 2 / 2^5 = 93.75 %; 6 rounds: 96.9 %
        assert compared(of(a_run({0: [0.5] * 5, 1: [0.1] * 5})), 1, "energy_j_per_unit").verdict == "no_difference"
        assert compared(of(a_run({0: [0.5] * 6, 1: [0.1] * 6})), 1, "energy_j_per_unit").verdict == "lower"

    def test_more_variants_need_more_rounds(self) -> None:
        # Two against one baseline: 97.5 % each, which takes 1 - 2 / 2^n >= 0.975, n = 7
        six = of(a_run({0: [0.5] * 6, 1: [0.1] * 6, 2: [0.1] * 6}))
        seven = of(a_run({0: [0.5] * 7, 1: [0.1] * 7, 2: [0.1] * 7}))
        assert compared(six, 1, "energy_j_per_unit").verdict == "no_difference"
        assert compared(seven, 1, "energy_j_per_unit").verdict == "lower"


class TestExactQuantities:
    def run(self) -> Run:
        run = a_run({0: [0.5] * 8, 1: [0.4] * 8})
        run.transcript.built = {0: built(1000, optimizer_state_bytes=800.0), 1: built(250, optimizer_state_bytes=8.0)}
        return run

    def test_size_is_compared_byte_by_byte(self) -> None:
        size = compared(of(self.run()), 1, "size_bytes")
        assert (size.ratio_low, size.ratio, size.ratio_high) == (0.25, 0.25, 0.25)
        assert (size.difference, size.verdict) == (-750, "lower")

    def test_optimizer_state_stands_where_there_is_one(self) -> None:
        assert compared(of(self.run()), 1, "optimizer_state_bytes").ratio == 0.01
        run = self.run()
        run.transcript.built = {0: built(1000), 1: built(1000)}
        results = of(run)
        assert compared(results, 1, "size_bytes").verdict == "no_difference"
        assert "optimizer_state_bytes" not in {m.quantity for m in results.measurements}


class TestPeakMemory:
    def verdict(self, *peaks: int) -> str:
        run = a_run({0: [0.5] * 8, 1: [0.4] * 8})
        run.transcript.peaks = {0: (1000, 1001, 1004), 1: peaks}
        return compared(of(run), 1, "peak_memory_bytes").verdict

    def test_differs_when_no_reading_of_one_comes_near_any_of_the_other(self) -> None:
        assert self.verdict(900, 905, 901) == "lower"
        assert self.verdict(900, 1002, 901) == "no_difference"

    def test_is_not_called_different_below_one_percent(self) -> None:
        assert self.verdict(993, 993, 993) == "no_difference"


class TestLatency:
    def test_is_the_quantile_over_all_units_of_all_rounds(self) -> None:
        run = a_run({0: [0.5] * 8, 1: [0.4] * 8})
        seconds = tuple(i / 100 for i in range(1, 102))  # 0.01 .. 1.01: median 0.51, 95 % at 0.96
        run.transcript.latencies = {
            0: dict.fromkeys(range(8), seconds),
            1: dict.fromkeys(range(8), tuple(s / 2 for s in seconds)),
        }
        results = of(run)
        assert measured(results, 0, "latency_p50_s").mid == pytest.approx(0.51)
        assert measured(results, 0, "latency_p95_s").mid == pytest.approx(0.96)
        assert compared(results, 1, "latency_p95_s").ratio == pytest.approx(0.5)
        assert compared(results, 1, "latency_p50_s").verdict == "lower"


class TestQuality:
    def test_is_compared_example_by_example(self) -> None:
        run = a_run({0: [0.5] * 8, 1: [0.4] * 8})
        right, wrong = (1.0,) * 90 + (0.0,) * 10, (1.0,) * 60 + (0.0,) * 40
        run.transcript.quality = {0: scored(*right), 1: scored(*wrong)}
        results = of(run)
        assert measured(results, 0, "quality").mid == 0.9
        worse = compared(results, 1, "quality")
        assert (worse.difference, worse.ratio) == (pytest.approx(-0.3), pytest.approx(0.6 / 0.9))
        assert worse.verdict == "lower"


class TestFailedVariants:
    def test_are_left_out_and_the_others_are_judged_without_them(self) -> None:
        run = a_run({0: [0.5] * 6, 1: [0.1] * 6, 2: [0.1] * 6})
        run.transcript.failures[2] = "measuring: it broke"
        results = of(run)
        assert {m.position for m in results.measurements} == {0, 1}
        # one variant is left, so 6 rounds are enough again
        assert compared(results, 1, "energy_j_per_unit").verdict == "lower"


class TestRecords:
    def test_have_the_columns_and_quantities_of_the_tables(self) -> None:
        from optimizer.models import measurements as tables

        run = a_run({0: [0.5] * 8, 1: [0.4] * 8})
        run.transcript.built = {0: built(1000, optimizer_state_bytes=80.0), 1: built(500, optimizer_state_bytes=8.0)}
        run.transcript.peaks = {0: (1000,), 1: (900,)}
        run.transcript.latencies = {p: dict.fromkeys(range(8), (0.1, 0.2)) for p in (0, 1)}
        run.transcript.quality = {0: scored(1.0, 0.0), 1: scored(1.0, 1.0)}
        results = of(run)
        assert {m.quantity for m in results.measurements} == set(tables.Quantity.values)
        assert {c.quantity for c in results.comparisons} == set(tables.Quantity.values)
        for record, table in ((Measurement, tables.Measurement), (Comparison, tables.Comparison)):
            columns = {field.name for field in table._meta.get_fields()} - {"id", "variant", "experiment"}
            assert set(record.__slots__) - {"position"} == columns
        assert {c.verdict for c in results.comparisons} <= set(tables.Comparison.Verdict.values)
        assert all(len(m.method) <= 120 for m in results.measurements)

    def test_are_the_same_for_the_same_seed(self) -> None:
        readings = noisy({0: 0.5, 1: 0.4}, 20, np.random.default_rng(3))

        def once(plan: Plan) -> Results:
            return of(a_run(readings, plan=plan))

        assert once(a_plan(seed=1)) == once(a_plan(seed=1))
