import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.records import Range
from optimizer.advice.explain import saving_words
from optimizer.advice.records import Rates
from optimizer.advice.savings import break_even_units, expected_saving, negated, product

UNKNOWN = Rates(pue=Range.exact(1.5), intensity_g_per_kwh=Range.exact(200.0), price_per_kwh=None)
RATES = Rates(
    pue=Range.exact(1.5), intensity_g_per_kwh=Range.exact(200.0), price_per_kwh=Range.exact(0.3)
)  # fmt: skip
positive = st.floats(0.01, 1e4)


@st.composite
def ranges(draw, low=-1e4, high=1e4):
    return Range(*sorted(draw(st.lists(st.floats(low, high), min_size=3, max_size=3))))


class TestExpectedSaving:
    def test_carries_joules_at_the_device_to_the_meter_the_grid_and_the_bill(self):
        # 0.36 J a unit x 1e6 units = 360 000 J = 0.1 kWh at the devices; x PUE 1.5 = 0.15 kWh;
        # x 200 g/kWh = 30 g; x 0.3 a kWh = 0.045
        saving = expected_saving(Range(0.18, 0.36, 0.72), units=1e6, rates=RATES)
        assert saving.facility_energy_kwh.mid == pytest.approx(0.15)
        assert saving.facility_energy_kwh.low == pytest.approx(0.075)
        assert saving.facility_energy_kwh.high == pytest.approx(0.3)
        assert saving.co2e_g.mid == pytest.approx(30.0)
        assert saving.cost.mid == pytest.approx(0.045)

    def test_an_interval_that_spans_zero_stays_one(self):
        saving = expected_saving(Range(-0.36, 0.036, 0.36), units=1e6, rates=RATES)
        assert saving.facility_energy_kwh.low == pytest.approx(-0.15)
        assert saving.facility_energy_kwh.high == pytest.approx(0.15)
        assert saving.co2e_g.low < 0 < saving.co2e_g.high

    @given(ranges(low=-10.0, high=10.0), positive, positive)
    def test_twice_the_units_save_twice_as_much(self, per_unit, units, pue):
        rates = Rates(Range.exact(pue), RATES.intensity_g_per_kwh, RATES.price_per_kwh)
        once, twice = (expected_saving(per_unit, units=n * units, rates=rates) for n in (1, 2))
        assert twice.co2e_g.mid == pytest.approx(2 * once.co2e_g.mid)
        assert twice.co2e_g.high == pytest.approx(2 * once.co2e_g.high)


class TestProduct:
    def test_deviations_of_both_add_in_squares(self):
        # mid 10 x 2 = 20; down: 10's own 3 x 2 = 6, the factor's 0.8 x 10 = 8, together sqrt(36 + 64) = 10;
        # up: 1.5 x 2 = 3 and 0.4 x 10 = 4, together 5
        assert product(Range(7.0, 10.0, 11.5), Range(1.2, 2.0, 2.4)) == Range(10.0, 20.0, 25.0)

    def test_a_larger_factor_takes_a_loss_further_down(self):
        # mid -10 x 2 = -20; the factor may be 0.4 higher: 4 further down; or 0.8 lower: 8 back up
        assert product(Range.exact(-10.0), Range(1.2, 2.0, 2.4)) == Range(-24.0, -20.0, -12.0)

    def test_refuses_a_factor_below_zero(self):
        with pytest.raises(ValueError, match="below zero"):
            product(Range.exact(1.0), Range(-0.1, 0.0, 0.1))

    @given(ranges(), ranges(low=0.0))
    def test_turning_the_sign_turns_the_interval_round(self, signed, factor):
        there, back = product(signed, factor), product(negated(signed), factor)
        assert (there.low, there.mid, there.high) == pytest.approx((-back.high, -back.mid, -back.low))


class TestBreakEvenUnits:
    def test_one_off_energy_over_what_a_unit_saves(self):
        assert break_even_units(3600.0, Range(0.3, 0.36, 0.4)) == pytest.approx(10_000)  # 3600 / 0.36

    @pytest.mark.parametrize("saving", [Range.exact(0.0), Range(-2.0, -1.0, 0.5)])
    def test_there_is_none_without_a_saving(self, saving):
        assert break_even_units(3600.0, saving) is None


class TestWithoutAPrice:
    def test_the_saving_in_money_is_not_known_and_said_so(self) -> None:
        saving = expected_saving(Range(1.0, 2.0, 3.0), units=1e6, rates=UNKNOWN)
        assert saving.cost is None and saving.co2e_g.mid > 0
        words = saving_words(saving, per="month", currency="JPY")
        assert "What that is in JPY is not known: state the site's price." in words

    def test_a_price_below_nought_makes_a_saving_cost_money(self) -> None:
        # 3.6 MJ = 1 kWh x 1.5 x -0.10
        rates = Rates(Range.exact(1.5), Range.exact(200.0), Range.exact(-0.1))
        saving = expected_saving(Range.exact(3.6e6), units=1, rates=rates)
        assert saving.cost is not None and saving.cost.mid == pytest.approx(-0.15)
