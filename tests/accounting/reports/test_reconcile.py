"""The difference between a provider's figure and ours, taken apart: golden sums, and causes that always add up."""

import math
import random
from decimal import Decimal

import pytest

from accounting.methods.records import Range
from accounting.reports.reconcile import Basis, Comparison, Key, Ours, Outcome, Theirs, compare


def ours(**fields: object) -> Ours:
    """900 kWh at the wall at 400 g/kWh, nine tenths of the time covered, 100 kg embodied."""
    usual = {
        "sites": ("Virginia",),
        "operational_kg": Range(288.0, 360.0, 468.0),
        "embodied_kg": Range(70.0, 100.0, 130.0),
        "facility_kwh": 900.0,
        "coverage": 0.9,
        "days": 31,
        "intensity": ("US-VA, eGRID, 2022",),
        "intensity_years": (2022,),
    }
    return Ours(**(usual | fields))


FULL = Theirs(scope1_kg=50.0, scope2_kg=500.0, scope3_kg=150.0, total_kg=700.4)


def against(theirs: Theirs, mine: Ours | None, basis: Basis = Basis.LOCATION, **said: object) -> Comparison:
    return compare(theirs, mine, basis=basis, **({"month_year": 2026} | said))


def kg(found: Comparison) -> dict[Key, float]:
    return {cause.key: float(cause.kg) for cause in found.causes}


class TestGolden:
    def test_takes_a_difference_apart_as_worked_by_hand(self) -> None:
        # theirs 700.4, ours 360 + 100 = 460: difference 240.4
        # scope 1: 50; scope 3: 150 - 100 = 50
        # coverage: 360 x 0.1 / 0.9 = 40; intensity: 500 - 360 - 40 = 100
        # rounding: 700.4 - (50 + 500 + 150) = 0.4; 50 + 50 + 40 + 100 + 0.4 = 240.4
        found = against(FULL, ours())
        assert float(found.difference_kg) == 240.4
        assert kg(found) == {
            Key.SCOPE_1: 50.0, Key.SCOPE_3: 50.0, Key.COVERAGE: 40.0, Key.INTENSITY: 100.0, Key.ROUNDING: 0.4,
        }  # fmt: skip
        # all of our energy: 900 / 0.9 = 1000 kWh; theirs 500 kg / 1000 kWh = 500 g/kWh, ours 360 kg / 900 kWh = 400
        assert found.implied_g_per_kwh == pytest.approx(500.0)
        assert found.ours_g_per_kwh.mid == pytest.approx(400.0)
        # so that intensity is also 1000 kWh x (500 - 400) g/kWh = 100 kg
        assert kg(found)[Key.INTENSITY] == pytest.approx(1000 * (found.implied_g_per_kwh - 400) / 1000)

    def test_judges_their_scope_2_by_our_range_over_all_of_the_energy(self) -> None:
        # 288 / 0.9 = 320 to 468 / 0.9 = 520: 500 lies within, 520.1 above, 319 below
        found = against(FULL, ours())
        assert found.verdict.outcome is Outcome.WITHIN and "320 to 520 kg" in found.verdict.words
        above = against(Theirs(scope2_kg=520.1), ours())
        assert above.verdict.outcome is Outcome.OUTSIDE and "above" in above.verdict.words
        assert "a yearly mean of 2022" in above.verdict.words
        assert "below" in against(Theirs(scope2_kg=319.0), ours()).verdict.words

    def test_says_both_intensities_and_what_ours_stands_on(self) -> None:
        words = {cause.key: cause.words for cause in against(FULL, ours()).causes}
        assert "500 g/kWh; ours is 400 g/kWh, 320 to 520 (US-VA, eGRID, 2022)" in words[Key.INTENSITY]
        assert "Samples back 90 %" in words[Key.COVERAGE]


class TestTotalOnly:
    def test_leaves_what_cannot_be_told_apart_in_one_cause_and_names_it(self) -> None:
        # 700 - 460 = 240; coverage 40; the rest 200 is scope 1, boundary and intensity together
        found = against(Theirs(total_kg=700.0), ours())
        assert kg(found) == {Key.COVERAGE: 40.0, Key.UNDIVIDED: 200.0}
        assert "scope 1, scope 2 (location-based), scope 3" in found.causes[-1].words
        # 320 + 70 = 390 to 520 + 130 = 650: 700 is above
        assert found.verdict.outcome is Outcome.OUTSIDE and "390 to 650 kg" in found.verdict.words

    def test_a_total_without_scope_3_leaves_our_embodied_without_a_counterpart(self) -> None:
        # 500 - 460 = 40 = -100 embodied + 40 coverage + 100 of scope 1 and intensity
        found = against(Theirs(total_kg=500.0, total_scopes="1,2"), ours())
        assert kg(found) == {Key.SCOPE_3: -100.0, Key.COVERAGE: 40.0, Key.UNDIVIDED: 100.0}
        assert "scope 3" not in found.causes[-1].words and found.verdict.outcome is Outcome.WITHIN

    def test_a_total_far_from_its_scopes_is_no_rounding(self) -> None:
        found = against(Theirs(50.0, 500.0, 150.0, total_kg=900.0), ours())
        assert kg(found)[Key.UNDIVIDED] == 200.0 and "ask the provider" in found.causes[-1].words


class TestScopesOnly:
    def test_are_summed_where_no_total_is_told(self) -> None:
        # 50 + 500 + 150 = 700: no rounding is left
        found = against(Theirs(50.0, 500.0, 150.0), ours())
        assert float(found.difference_kg) == 240.0 and Key.ROUNDING not in kg(found)

    def test_scope_2_alone_is_set_against_our_operational_part(self) -> None:
        found = against(Theirs(scope2_kg=500.0), ours())
        assert kg(found) == {Key.SCOPE_3: -100.0, Key.COVERAGE: 40.0, Key.INTENSITY: 100.0}


class TestProperties:
    def test_causes_add_up_to_the_difference_to_the_last_digit(self) -> None:
        dice = random.Random(7)
        maybe = lambda most: dice.choice((None, dice.uniform(0, most), 10 ** dice.uniform(-6, 8)))  # noqa: E731
        compared = 0
        for _ in range(3000):
            theirs = Theirs(maybe(10), maybe(900), maybe(90), maybe(2000), dice.choice(("1,2,3", "1,2")))
            low, mid, high = sorted(10 ** dice.uniform(-6, 8) for _ in range(3))
            mine = ours(
                operational_kg=Range(low, mid, high),
                embodied_kg=Range.exact(dice.uniform(0, 500)),
                coverage=dice.choice((None, 1.0, dice.uniform(0.001, 1))),
                facility_kwh=dice.choice((0.0, 10 ** dice.uniform(-3, 9))),
            )
            found = against(theirs, mine)
            if found.difference_kg is None:
                assert theirs.total_kg is None and theirs.scope2_kg is None
                continue
            compared += 1
            assert sum((cause.kg for cause in found.causes), Decimal(0)) == found.difference_kg
            assert math.isclose(
                float(found.difference_kg), theirs.figure_kg - mine.total_kg.mid, rel_tol=1e-9, abs_tol=2e-6
            )
            assert len({cause.key for cause in found.causes}) == len(found.causes)
        assert compared > 1500

    def test_full_coverage_leaves_nothing_to_coverage(self) -> None:
        assert kg(against(FULL, ours(coverage=1.0)))[Key.COVERAGE] == 0.0
        assert kg(against(FULL, ours(coverage=None)))[Key.COVERAGE] == 0.0


class TestNotComparable:
    @pytest.mark.parametrize(
        ("theirs", "mine", "said", "words"),
        [
            (FULL, None, {}, "No site says that it is this region"),
            (FULL, ours(), {"complete": False}, "not over"),
            (FULL, ours(days=0, coverage=None, operational_kg=Range.exact(0.0)), {}, "no hour of these sites"),
            (FULL, ours(operational_kg=None), {}, "market-based figure is not known"),
            (FULL, ours(coverage=0.0), {}, "nothing to scale up"),
            (Theirs(unstated_kg=9.0), ours(), {}, "Nobody stated which scopes"),
            (Theirs(scope1_kg=9.0), ours(), {}, "no location-based figure that holds scope 2"),
        ],
    )
    def test_says_why(self, theirs: Theirs, mine: Ours | None, said: dict[str, object], words: str) -> None:
        verdict = against(theirs, mine, **said).verdict
        assert verdict.outcome is Outcome.NOT_COMPARABLE and words in verdict.words
