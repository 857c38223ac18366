"""What may be stated of a run, and how each slip is refused by name."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.estimates.run import NUMBERS, Refusal, Repeated, Run, read_run


def refused(**stated: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_run(stated)
    return caught.value


class TestReading:
    def test_takes_everything_that_may_be_stated(self) -> None:
        run = read_run(
            {
                "id": "a", "device": " H100 ", "count": 8, "hours": 2, "gpu_hours": 16, "power_w": 500,
                "utilization": 0.5, "it_energy_kwh": 8, "facility_energy_kwh": 9.6, "pue": 1.2, "zone": "FR",
                "cloud_provider": "aws", "cloud_region": "eu-west-3", "country": "FR", "year": 2023,
                "intensity_g_per_kwh": 56, "market_intensity_g_per_kwh": 20, "wue_l_per_kwh": 0.5,
                "ewif_l_per_kwh": 3.6, "embodied_kg_per_device": 164, "embodied_server_kg": 1000,
                "devices_per_server": 8, "lifetime_hours": 35040, "use_ratio": 0.5,
                "functional_unit": {"name": "token", "count": 1000}, "price_per_kwh": 0.2,
                "expected": {"cost": 3, "water_l": None},
            }
        )  # fmt: skip
        assert run.device == "H100" and run.functional_unit is not None and run.functional_unit.count == 1000
        assert run.expected == (("cost", 3.0),) and isinstance(run.year, int)

    def test_null_is_the_same_as_not_stated(self) -> None:
        assert read_run({"pue": None, "zone": None, "functional_unit": None, "expected": None}) == Run()

    def test_device_hours_come_from_the_more_direct_statement(self) -> None:
        assert read_run({"count": 8, "hours": 2}).device_hours == 16
        assert read_run({"count": 8, "hours": 2, "gpu_hours": 20}).device_hours == 20
        assert read_run({"hours": 2}).device_hours == 2 and read_run({"count": 8}).device_hours is None

    def test_devices_that_worked_together_follow_from_their_hours(self) -> None:
        assert read_run({"gpu_hours": 64, "hours": 4}).devices == 16
        assert read_run({"gpu_hours": 64}).devices is None


class TestRefusals:
    @pytest.mark.parametrize("stated", [None, 3, "H100", [1]])
    def test_what_is_no_object_is_no_run(self, stated: object) -> None:
        with pytest.raises(Refusal) as caught:
            read_run(stated)
        assert (caught.value.code, caught.value.field) == ("bad_type", "run")

    def test_an_unknown_key_is_named_with_the_nearest(self) -> None:
        fault = refused(intensity_g_kwh=50)
        assert (fault.code, fault.field) == ("unknown_key", "intensity_g_kwh")
        assert "did you mean 'intensity_g_per_kwh'" in fault.detail

    def test_a_repeated_key_is_named(self) -> None:
        repeated = Repeated({"pue": 1.2})
        repeated.key = "pue"
        with pytest.raises(Refusal, match="'pue' stands twice"):
            read_run(repeated)

    @pytest.mark.parametrize("field", NUMBERS)
    @pytest.mark.parametrize(
        ("value", "code"),
        [(-1, "negative"), (math.nan, "not_finite"), (math.inf, "not_finite"), (10**400, "not_finite"),
         (1e300, "out_of_range"), ("1", "bad_type"), (True, "bad_type"), ([1], "bad_type"), ({}, "bad_type")],
    )  # fmt: skip
    def test_every_number_is_checked(self, field: str, value: object, code: str) -> None:
        fault = refused(**{field: value})
        assert (fault.code, fault.field) == (code, field) and fault.detail.startswith(f"{field}: ")

    @pytest.mark.parametrize(
        ("field", "value"),
        [("intensity_g_per_kwh", 2000.1), ("market_intensity_g_per_kwh", 2001), ("pue", 0.99), ("pue", 10.5),
         ("utilization", 1.01), ("utilization", 85), ("use_ratio", 1.5), ("use_ratio", 0), ("hours", 0),
         ("gpu_hours", 0), ("count", 0), ("count", 0.5), ("devices_per_server", 0), ("lifetime_hours", 0),
         ("year", 1800)],
    )  # fmt: skip
    def test_out_of_range_says_what_the_range_is(self, field: str, value: float) -> None:
        fault = refused(**{field: value})
        assert (fault.code, fault.field) == ("out_of_range", field)
        assert f"to {NUMBERS[field].most:g}" in fault.detail

    @pytest.mark.parametrize(
        ("field", "value"),
        [("intensity_g_per_kwh", 0), ("intensity_g_per_kwh", 2000), ("pue", 1), ("pue", 3.0), ("pue", 10),
         ("utilization", 0), ("utilization", 1), ("count", 1), ("power_w", 0)],
    )  # fmt: skip
    def test_the_ends_of_a_range_are_in_it(self, field: str, value: float) -> None:
        assert getattr(read_run({field: value}), field) == value

    def test_a_percentage_is_recognised(self) -> None:
        assert "for 85 % write 0.85" in refused(utilization=85).detail

    @pytest.mark.parametrize("field", ["count", "devices_per_server", "year"])
    def test_what_is_counted_is_whole(self, field: str) -> None:
        assert refused(**{field: 2000.5 if field == "year" else 2.5}).code == "bad_type"

    @pytest.mark.parametrize("value", ["", "  ", "x" * 201, "a\x00b", "\ud800"])
    def test_text_is_short_and_printable(self, value: str) -> None:
        assert refused(device=value).code == "bad_text"

    @pytest.mark.parametrize(
        ("unit", "code", "field"),
        [
            ("token", "bad_type", "functional_unit"),
            ({"name": "token"}, "missing", "functional_unit.count"),
            ({"count": 3}, "missing", "functional_unit.name"),
            ({"name": "", "count": 3}, "bad_text", "functional_unit.name"),
            ({"name": "token", "count": 0}, "out_of_range", "functional_unit.count"),
            ({"name": "token", "count": 3, "of": "x"}, "unknown_key", "functional_unit.of"),
            ({"name": "token", "count": 3, "basis": "market"}, "market_refused", "functional_unit.basis"),
        ],
    )
    def test_a_functional_unit_needs_a_name_and_a_count(self, unit: object, code: str, field: str) -> None:
        fault = refused(functional_unit=unit)
        assert (fault.code, fault.field) == (code, field)

    @pytest.mark.parametrize(
        ("expected", "code", "field"),
        [
            (3, "bad_type", "expected"),
            ({"co2e_kg": 3}, "unknown_key", "expected.co2e_kg"),
            ({"cost": "3"}, "bad_type", "expected.cost"),
            ({"cost": -3}, "negative", "expected.cost"),
        ],
    )
    def test_expected_names_quantities_of_the_answer(self, expected: object, code: str, field: str) -> None:
        fault = refused(expected=expected)
        assert (fault.code, fault.field) == (code, field)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda x: st.lists(x) | st.dictionaries(st.text(), x),
            max_leaves=8,
        )
    )
    def test_nothing_else_is_ever_raised(self, stated: object) -> None:
        try:
            read_run(stated)
        except Refusal as fault:
            assert fault.code and isinstance(fault.field, str) and fault.detail.isascii()
