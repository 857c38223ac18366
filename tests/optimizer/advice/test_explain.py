import pytest

from accounting.methods.records import Range
from optimizer.advice.explain import ENERGY_KWH, MASS_G, loss_words, range_words, saving_words
from optimizer.advice.records import Saving


def a_saving(energy_kwh):
    return Saving(1e6, energy_kwh, Range(30.0, 31.25, 40.0), Range(0.04, 0.045, 0.05))


class TestRangeWords:
    @pytest.mark.parametrize(
        ("figure", "units", "words"),
        [
            (Range(0.075, 0.15, 0.3), ENERGY_KWH, "150 Wh (75.0 to 300)"),
            # 6.12e-6 kWh x 3.6e6 J/kWh = 22.0 J
            (Range(3.91e-6, 6.12e-6, 8.76e-6), ENERGY_KWH, "22.0 J (14.1 to 31.5)"),
            (Range(1234.0, 12345.0, 98765.0), MASS_G, "12.3 kg (1.23 to 98.8)"),
            (Range.exact(0.0), MASS_G, "0 mg (0 to 0)"),
        ],
    )
    def test_uses_the_unit_that_fits_the_larger_end(self, figure, units, words):
        assert range_words(figure, units) == words

    def test_never_says_milliwatt_hours_which_would_be_read_as_megawatt_hours(self):
        assert range_words(Range.exact(0.000_025), ENERGY_KWH) == "0.0250 Wh (0.0250 to 0.0250)"

    def test_leaves_the_range_out_where_it_is_asked_to(self):
        assert range_words(Range(-0.2, 0.1, 0.3), ENERGY_KWH, bare=True) == "100 Wh"


class TestSavingWords:
    def test_names_energy_carbon_and_cost(self):
        words = saving_words(a_saving(Range(0.1, 0.15, 0.2)), per="month", currency="EUR")
        assert words == (
            "Per month it should save 150 Wh (100 to 200), 31.2 g (30.0 to 40.0) of CO₂e "
            "and 0.0450 EUR (0.0400 to 0.0500)."
        )

    def test_promises_nothing_where_the_interval_spans_zero(self):
        words = saving_words(a_saving(Range(-0.1, 0.05, 0.2)), per="month", currency="EUR")
        assert words == "Whether it saves energy is not shown: per month, anything from 100 Wh more to 200 Wh less."

    def test_says_plainly_when_it_draws_more(self):
        words = saving_words(a_saving(Range(-0.3, -0.2, -0.1)), per="month", currency="EUR")
        assert words == "It draws more energy: 200 Wh (100 to 300) more per month."


class TestLossWords:
    @pytest.mark.parametrize(
        ("loss", "words"),
        [
            (Range.exact(0.0), "keeps its accuracy"),
            (Range.exact(2.0), "loses 2.00 points of accuracy"),
            (Range(-1.5, -0.5, 0.5), "gains 0.50 points of accuracy (95 % interval: a gain of 1.50 to a loss of 0.50)"),
            (Range(0.2, 1.0, 1.5), "loses 1.00 point of accuracy (95 % interval: a loss of 0.20 to 1.50)"),
            (Range(-1.5, -0.5, -0.2), "gains 0.50 points of accuracy (95 % interval: a gain of 0.20 to 1.50)"),
            (Range(-0.001, 0.002, 0.4), "keeps its accuracy (95 % interval: a loss of 0.00 to 0.40)"),
        ],
    )
    def test_says_what_becomes_of_quality(self, loss, words):
        assert loss_words(loss, "accuracy") == words
