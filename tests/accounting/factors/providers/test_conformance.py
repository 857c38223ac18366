"""Every provider keeps the same promises: whole UTC hours, gaps, flags, clear refusals, politeness."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from accounting.factors.catalog import load_packaged
from accounting.factors.providers.base import EmissionBasis, HourValue, NoKey, Signal, WrongSchema
from accounting.factors.providers.client import Refused, Response, TryLater
from accounting.factors.providers.registry import PRECEDENCE, providers
from tests.accounting.factors.providers.cases import CASES, HOUR, MIDNIGHT, Case, Clock, Scripted, ask, client

KEYED = [name for name, case in CASES.items() if case.provider.key_variable]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    yield CASES[request.param]


def of_first_series(values: list[HourValue]) -> dict[int, HourValue]:
    return {(v.hour - MIDNIGHT) // HOUR: v for v in values if v.series == values[0].series}


class TestValues:
    def test_are_of_whole_utc_hours_inside_the_ask_and_rise(self, case: Case) -> None:
        values = case.fetch()
        hours = [value.hour for value in values]
        assert hours == sorted(hours) and all(h.utcoffset() == timedelta(0) and h.minute == 0 for h in hours)
        assert min(hours) >= MIDNIGHT and max(hours) < MIDNIGHT + 4 * HOUR  # the end is not asked for

    def test_come_to_what_was_worked_by_hand_in_g_per_kwh(self, case: Case) -> None:
        got = {hour: value.g_per_kwh for hour, value in of_first_series(case.fetch()).items()}
        assert got == pytest.approx(case.g_per_kwh)

    def test_leave_a_gap_where_an_hour_is_not_fully_told(self, case: Case) -> None:
        assert 2 not in of_first_series(case.fetch())

    def test_keep_what_the_provider_calls_estimated(self, case: Case) -> None:
        estimated = {hour: v for hour, v in of_first_series(case.fetch()).items() if v.is_estimated}
        assert set(estimated) == case.estimated
        assert all(value.estimation_method for value in estimated.values())

    def test_say_of_which_kind_they_are(self, case: Case) -> None:
        signals = {value.series.signal for value in case.fetch()}
        assert signals == {Signal.MARGINAL if case.provider.name == "watttime" else Signal.AVERAGE}


class TestRefusals:
    @pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"[]", b'{"error": "no"}', b'{"data": [1]}'])
    def test_name_what_is_wrong_with_an_answer_of_another_form(self, case: Case, body: bytes) -> None:
        broken = replace(case, answers={**case.answers, list(case.answers)[-1]: body})
        with pytest.raises(WrongSchema, match=r"(?i)json|object|xml|expected|no "):
            broken.fetch()

    def test_never_take_an_answer_for_another_place(self, case: Case) -> None:
        elsewhere = replace(case, area="ELSEWHERE")
        with pytest.raises(WrongSchema, match="ELSEWHERE"):
            elsewhere.fetch()

    @pytest.mark.parametrize("name", sorted(set(CASES) - {"eia", "entsoe"}))  # a mean of factors cannot leave them
    def test_never_take_a_value_that_is_no_grids(self, name: str) -> None:
        case = CASES[name]
        path = list(case.answers)[-1]
        text = case.answers[path].decode().replace("1000.0", "99999999").replace(" 40,", " 99999999,")
        broken = replace(case, answers={**case.answers, path: text.replace(" 100,", " 99999999,").encode()})
        with pytest.raises(WrongSchema, match="no grid's intensity"):
            broken.fetch()

    @pytest.mark.parametrize("name", KEYED)
    def test_say_which_variable_is_missing_without_a_key_and_ask_nobody(self, name: str) -> None:
        case, transport = CASES[name], Scripted({})
        with pytest.raises(NoKey, match=case.provider.key_variable):
            case.provider.fetch(ask(case.area), key="", client=client(transport))
        assert transport.asked == []

    @pytest.mark.parametrize("name", KEYED)
    @pytest.mark.parametrize("status", [401, 403])
    def test_say_that_a_key_is_not_accepted_and_never_repeat_it(self, name: str, status: int) -> None:
        case = CASES[name]
        transport = Scripted({"https://": Response(status, b"denied secret-token")})
        with pytest.raises(Refused) as refused:
            case.provider.fetch(ask(case.area), key=case.key, client=client(transport))
        assert "the key" in str(refused.value) and "secret-token" not in str(refused.value)


class TestPoliteness:
    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_waits_as_long_as_the_provider_says(self, case: Case, status: int) -> None:
        clock, transport = Clock(), Scripted({"https://": Response(status, b"", {"retry-after": "120"})})
        asker = client(transport, clock)
        with pytest.raises(TryLater) as first:
            case.provider.fetch(ask(case.area), key=case.key, client=asker)
        assert first.value.wait_s == 120.0
        clock.s = 119.0
        with pytest.raises(TryLater):
            case.provider.fetch(ask(case.area), key=case.key, client=asker)
        assert len(transport.asked) == 1  # the second was not even sent

    def test_asks_one_https_host_only(self, case: Case) -> None:
        transport = Scripted(case.answers)
        case.provider.fetch(ask(case.area), key=case.key, client=client(transport))
        hosts = {url.split("/")[2] for url, _ in transport.asked}
        assert len(hosts) == 1 and all(url.startswith("https://") for url, _ in transport.asked)


class TestRegistry:
    def test_has_a_case_here_and_a_place_in_the_order_for_every_provider(self) -> None:
        known = providers(load_packaged())
        assert set(known) == set(CASES) and set(known) | {"csv"} == set(PRECEDENCE)
        assert all(provider.title and provider.area_help and provider.url for provider in known.values())


class TestMixes:
    @pytest.mark.parametrize("name", ["eia", "entsoe"])
    def test_answer_both_bases_of_the_same_hours_kept_apart(self, name: str) -> None:
        values = CASES[name].fetch()
        by_basis = {basis: [v.hour for v in values if v.series.basis == basis] for basis in EmissionBasis}
        assert by_basis[EmissionBasis.DIRECT] == by_basis[EmissionBasis.LIFECYCLE]

    def test_life_cycle_comes_from_its_own_factors(self) -> None:
        # hour 0 of EIA: half gas at 490, half nuclear at 12
        (value,) = [v for v in CASES["eia"].fetch() if v.hour == MIDNIGHT and v.series.basis == "lifecycle"]
        assert value.g_per_kwh == pytest.approx(251.0)
