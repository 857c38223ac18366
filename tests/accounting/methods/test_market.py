"""Who claims what of a contract, what the rest emits, and how carbon-free the hours are."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.methods.facility import FacilityEnergy
from accounting.methods.market import (
    CleanHour,
    Covered,
    Supply,
    allocate,
    carbon_free,
    market_intensity,
    operational_market,
)
from accounting.methods.operational import Basis
from accounting.methods.records import Figure, Range, Status
from accounting.methods.sci import FunctionalUnit, MarketInstrumentRefused, sci_g_per_unit

kwh = st.floats(0, 1e9)
CONSUMERS = range(4)
consumption = st.fixed_dictionaries(dict.fromkeys(CONSUMERS, kwh))
supplies = st.lists(st.tuples(kwh, st.frozensets(st.sampled_from(CONSUMERS))), max_size=5).map(
    lambda many: [Supply(number, amount, within) for number, (amount, within) in enumerate(many)]
)


def exact(value: float, *ids: str) -> Figure:
    return Figure(Range.exact(value), "g/kWh", Status.MODELLED, ids)


class TestAllocate:
    def test_spreads_a_contract_over_its_consumers_in_proportion(self) -> None:
        # 30 kWh over 60 and 40 kWh, of which 30 % is covered: 18 and 12. The third stands elsewhere.
        claims = allocate({1: 60.0, 2: 40.0, 3: 50.0}, [Supply(7, 30.0, frozenset({1, 2}))])
        assert [(one.consumer, one.kwh) for one in claims] == [(1, pytest.approx(18)), (2, pytest.approx(12))]

    def test_gives_a_later_contract_what_the_earlier_one_left_open(self) -> None:
        claims = allocate({1: 30.0}, [Supply(1, 20.0, frozenset({1})), Supply(2, 40.0, frozenset({1}))])
        assert [(one.instrument, one.kwh) for one in claims] == [(1, 20.0), (2, 10.0)]

    @given(consumption, supplies)
    def test_claims_nothing_twice_and_covers_nobody_beyond_what_they_used(self, consumed, given_out) -> None:
        claims = allocate(consumed, given_out)
        for supply in given_out:
            claimed = math.fsum(one.kwh for one in claims if one.instrument == supply.instrument)
            assert claimed <= supply.kwh * (1 + 1e-12)
        for consumer, used in consumed.items():
            assert math.fsum(one.kwh for one in claims if one.consumer == consumer) <= used * (1 + 1e-12)
        within = {supply.instrument: supply.may_cover for supply in given_out}
        assert all(one.consumer in within[one.instrument] and one.kwh > 0 for one in claims)

    @given(consumption, supplies)
    def test_does_not_depend_on_the_order_of_the_consumers(self, consumed, given_out) -> None:
        turned = dict(reversed(consumed.items()))
        assert allocate(consumed, given_out) == allocate(turned, given_out)

    @pytest.mark.parametrize("amount", [-1.0, math.nan, math.inf])
    def test_refuses_amounts_that_are_none(self, amount: float) -> None:
        with pytest.raises(ValueError, match="from nought on"):
            allocate({1: amount}, [])

    def test_refuses_an_instrument_that_stands_twice(self) -> None:
        with pytest.raises(ValueError, match="claimed twice"):
            allocate({1: 1.0}, [Supply(7, 1.0, frozenset({1})), Supply(7, 1.0, frozenset({1}))])


class TestMarketIntensity:
    def test_weighs_what_is_covered_and_the_rest(self) -> None:
        # 2/3 at 0 g, 1/3 at 500 g
        got = market_intensity([Covered(2 / 3, exact(0, "contract:1"))], exact(500, "residual:x"))
        assert got and got.share == 1.0 and got.g_per_kwh.range.mid == pytest.approx(500 / 3)
        assert got.g_per_kwh.factor_ids == ("contract:1", "residual:x")

    def test_speaks_of_the_covered_part_alone_where_the_rest_is_unknown(self) -> None:
        got = market_intensity([Covered(0.25, exact(20))], None)
        assert got and (got.share, got.g_per_kwh.range.mid) == (0.25, pytest.approx(20))

    def test_leaves_the_residual_mix_out_where_all_is_covered(self) -> None:
        got = market_intensity([Covered(0.5, exact(0, "a")), Covered(0.5, exact(0, "b"))], exact(500, "residual:x"))
        assert got and got.g_per_kwh.factor_ids == ("a", "b") and got.g_per_kwh.range.mid == 0

    def test_knows_nothing_without_contract_and_residual_mix(self) -> None:
        assert market_intensity([], None) is None

    def test_refuses_to_cover_more_than_there_is(self) -> None:
        with pytest.raises(ValueError, match="more than there is"):
            market_intensity([Covered(0.7, exact(0)), Covered(0.7, exact(0))], None)

    def test_carbon_is_of_the_known_part_of_the_energy(self) -> None:
        # 30 kWh, a quarter of it known, at 20 g: 150 g
        market = market_intensity([Covered(0.25, exact(20))], None)
        energy = FacilityEnergy(Figure(Range(27, 30, 33), "kWh", Status.MEASURED, ("meter",)))
        got = operational_market(energy, market)
        assert (got.g.range.low, got.g.range.mid, got.g.range.high) == pytest.approx((135, 150, 165))

    def test_never_enters_a_software_carbon_intensity(self) -> None:
        energy = FacilityEnergy(Figure(Range.exact(30), "kWh", Status.MEASURED))
        got = operational_market(energy, market_intensity([], exact(500)))
        assert got.basis is Basis.MARKET
        with pytest.raises(MarketInstrumentRefused):
            sci_g_per_unit(got, Figure(Range.exact(1), "g", Status.MODELLED), FunctionalUnit("run", 1))


class TestCarbonFree:
    def test_adds_the_grid_share_of_what_no_contract_covers(self) -> None:
        # 30 kWh with 20 under contract on a grid that is 40 % clean: 20 + 0.4 x 10 = 24
        # 30 kWh with 50 under contract: 30, the surplus of 20 is lost
        # 40 kWh without: 0.4 x 40 = 16.           (24 + 30 + 16) / 100 = 70 %; contracts alone 50 %
        hours = [CleanHour(30, 20, 0.4), CleanHour(30, 50, 0.4), CleanHour(40, 0, 0.4)]
        got = carbon_free(hours)
        assert got and (got.score, got.contracted, got.grid_known) == pytest.approx((0.7, 0.5, 1.0))

    def test_is_the_contracted_part_where_nobody_knows_the_grid(self) -> None:
        got = carbon_free([CleanHour(30, 20), CleanHour(30, 0)])
        assert got and (got.score, got.contracted, got.grid_known) == pytest.approx((1 / 3, 1 / 3, 0.0))

    @given(st.lists(st.builds(CleanHour, st.floats(0.1, 1e6), st.floats(0, 1e6), st.floats(0, 1)), min_size=1))
    def test_lies_between_what_is_contracted_and_all(self, hours) -> None:
        got = carbon_free(hours)
        assert got and got.contracted <= got.score * (1 + 1e-12) and got.score <= 1

    def test_grows_with_the_contract_until_every_hour_is_covered(self) -> None:
        scores = [carbon_free([CleanHour(10, amount, 0.2), CleanHour(20, amount, 0.2)]).score for amount in range(25)]
        assert all(one <= other for one, other in pairwise(scores)) and scores[-1] == 1.0

    def test_of_no_consumption_is_nothing(self) -> None:
        assert carbon_free([CleanHour(0, 5, 0.5)]) is None

    @pytest.mark.parametrize("hour", [CleanHour(1, 0, 1.2), CleanHour(-1, 0), CleanHour(1, -2)])
    def test_refuses_what_cannot_be(self, hour: CleanHour) -> None:
        with pytest.raises(ValueError, match="between 0 and 1"):
            carbon_free([hour])
