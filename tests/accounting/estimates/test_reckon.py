"""A run's quantities: worked by hand, and held to what must be true of any run."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.estimates.answer import answer
from accounting.estimates.run import LEAST, QUANTITIES
from accounting.factors import parts
from accounting.factors.catalog import Catalog, Row, load_packaged
from accounting.methods.records import Factor, Range, Status
from tests.golden.test_estimates import SEED

CATALOG = load_packaged()


def ask(**stated: Any) -> dict[str, Any]:
    return answer(CATALOG, [stated], currency="EUR")["runs"][0]


def mids(**stated: Any) -> dict[str, float]:
    got = ask(**stated)
    assert "error" not in got, got["error"]
    return {name: got[name]["mid"] for name in QUANTITIES if got[name] is not None}


def error(**stated: Any) -> tuple[str, str]:
    got = ask(**stated)
    assert all(got[name] is None for name in QUANTITIES)
    return got["error"]["code"], got["error"]["field"]


def from_nought(most: float) -> st.SearchStrategy[float]:
    return st.just(0.0) | st.floats(LEAST, most)


class TestEnergy:
    def test_given_it_energy_is_a_meter_reading_used_exactly(self) -> None:
        got = ask(it_energy_kwh=10, pue=1.2)
        assert got["it_energy_kwh"] == {
            "low": 10.0, "mid": 10.0, "high": 10.0, "unit": "kWh", "status": "MEASURED",
            "method": "it_energy_kwh given", "factors": [],
        }  # fmt: skip
        assert got["facility_energy_kwh"]["mid"] == 12 and got["facility_energy_kwh"]["status"] == "MODELLED"

    def test_given_facility_energy_is_never_multiplied_again(self) -> None:
        # 30 kWh / 3.0 = 10 kWh of IT; 30 kWh x 50 g/kWh = 1.5 kg
        got = ask(facility_energy_kwh=30, pue=3.0, intensity_g_per_kwh=50)
        assert (got["it_energy_kwh"]["mid"], got["facility_energy_kwh"]["mid"]) == (10, 30)
        assert got["co2e_location_kg"]["mid"] == 1.5 and got["facility_energy_kwh"]["status"] == "MEASURED"
        assert got["it_energy_kwh"]["method"] == "facility_energy_kwh / pue given"

    def test_facility_energy_without_a_pue_has_a_range_of_it_energy(self) -> None:
        got = ask(facility_energy_kwh=15.6, zone="FR")
        assert got["it_energy_kwh"]["mid"] == pytest.approx(10) and got["it_energy_kwh"]["status"] == "DEFAULT"
        assert got["it_energy_kwh"]["low"] < 10 < got["it_energy_kwh"]["high"]
        assert got["facility_energy_kwh"]["low"] == got["facility_energy_kwh"]["high"] == 15.6

    def test_facility_energy_beside_a_draw_makes_the_pue(self) -> None:
        got = mids(facility_energy_kwh=30, power_w=10_000, hours=1, count=1)
        assert (got["it_energy_kwh"], got["facility_energy_kwh"]) == (10, 30)

    def test_both_energies_are_used_as_they_are(self) -> None:
        got = ask(it_energy_kwh=10, facility_energy_kwh=30)
        assert (got["it_energy_kwh"]["mid"], got["facility_energy_kwh"]["mid"]) == (10, 30)
        assert not any(warning.startswith("pue:") for warning in got["warnings"])

    def test_power_is_of_one_device_and_the_utilization_does_not_change_it(self) -> None:
        # 500 W x 8 x 2 h = 8 kWh
        got = ask(power_w=500, count=8, hours=2, utilization=0.5, pue=1)
        assert got["it_energy_kwh"]["mid"] == 8 and got["it_energy_kwh"]["method"] == "power_w x count x hours"
        assert any("utilization: not used" in warning for warning in got["warnings"])

    def test_device_hours_may_be_given_at_once(self) -> None:
        assert mids(power_w=500, gpu_hours=16)["it_energy_kwh"] == 8

    def test_from_the_device_alone(self) -> None:
        # 700 W x 1.255 x 8 x 10 h = 70.28 kWh, 1.05 to 1.45 of the TDP
        got = ask(device="NVIDIA H100 80GB HBM3", count=8, hours=10)["it_energy_kwh"]
        assert (got["low"], got["mid"], got["high"]) == pytest.approx((58.8, 70.28, 81.2))
        assert got["status"] == "MODELLED" and "utilization not given" in got["method"]
        assert got["factors"] == [
            "power_model:node_draw_one_node/nvidia-h100-sxm:mlperf-v4", "tdp:nvidia-h100-sxm:2025",
        ]  # fmt: skip

    def test_a_name_that_leaves_the_variant_open_says_so_and_is_narrow_for_whole_nodes_alone(self) -> None:
        node, card = (ask(device="H100", count=count, hours=10) for count in (8, 1))
        assert (node["it_energy_kwh"]["status"], card["it_energy_kwh"]["status"]) == ("MODELLED", "DEFAULT")
        for got in (node, card):
            assert any("leaves the variant open: nvidia-h100-sxm of 700 W" in w for w in got["warnings"])
        assert node["it_energy_kwh"]["high"] / node["it_energy_kwh"]["low"] < 1.5
        # one may be a PCIe card of 332.5 W: 8.785 x exp(-sqrt(ln(700 / 332.5)^2 + ln(1.255 / 1.05)^2)) = 4.0863 kWh
        assert card["it_energy_kwh"]["low"] == pytest.approx(4.0863, abs=1e-3)

    def test_a_load_moves_it_between_idle_and_busy(self) -> None:
        # 70.28 x (0.33 + 0.67 x 0.5) = 46.7362
        assert mids(device="H100 SXM", count=8, hours=10, utilization=0.5)["it_energy_kwh"] == pytest.approx(46.7362)

    def test_a_cpu_is_known_by_its_name(self) -> None:
        # 225 W x 0.75 at half load x 1.33 x 2 x 10 h = 4.48875 kWh
        got = mids(device="AMD EPYC 7742 64-Core Processor", count=2, hours=10, utilization=0.5)
        assert got["it_energy_kwh"] == pytest.approx(4.48875)

    def test_nothing_that_gives_energy_is_refused_by_name(self) -> None:
        assert error() == error(zone="FR") == ("missing", "it_energy_kwh")
        assert error(device="H100") == error(power_w=3) == ("missing", "hours")
        assert error(hours=3) == ("missing", "device")
        assert error(device="H1000", hours=3) == ("unknown_device", "device")
        assert "did you mean 'h100'" in ask(device="H1000", hours=3)["error"]["detail"]


class TestContradictions:
    @pytest.mark.parametrize(("kwh", "warned"), [(10, False), (10.5, False), (10.6, True), (9.4, True), (20, True)])
    def test_energy_against_power_and_hours(self, kwh: float, warned: bool) -> None:
        got = ask(it_energy_kwh=kwh, power_w=1000, count=1, hours=10, pue=1)
        told = [w for w in got["warnings"] if w.startswith("it_energy_kwh:") and "differ by" in w]
        assert bool(told) == warned and got["it_energy_kwh"]["mid"] == kwh
        assert all("power_w x count x hours" in w for w in told)

    def test_facility_energy_against_power_and_hours(self) -> None:
        got = ask(facility_energy_kwh=30, pue=1.5, power_w=10_000, count=1, hours=1)
        assert any(w.startswith("facility_energy_kwh:") and "differ by 100 %" in w for w in got["warnings"])
        assert got["it_energy_kwh"]["mid"] == 20

    def test_both_energies_against_the_pue(self) -> None:
        def told(pue: float) -> bool:
            got = ask(it_energy_kwh=10, facility_energy_kwh=30, pue=pue)
            return any(w.startswith("pue:") and "facility_energy_kwh is used" in w for w in got["warnings"])

        assert told(2.5) and not told(3.0) and not told(2.9)

    def test_a_building_that_draws_less_than_its_machines_is_refused(self) -> None:
        assert error(it_energy_kwh=10, facility_energy_kwh=9) == ("out_of_range", "facility_energy_kwh")
        assert any("a pue below 1" in w for w in ask(it_energy_kwh=10, facility_energy_kwh=9.9)["warnings"])

    def test_device_hours_against_count_and_hours(self) -> None:
        got = ask(power_w=1000, gpu_hours=100, count=8, hours=10)
        assert any(w.startswith("gpu_hours:") for w in got["warnings"]) and got["it_energy_kwh"]["mid"] == 100

    @pytest.mark.parametrize(("kwh", "warned"), [(70, False), (30, False), (230, False), (70_000, True), (0.07, True)])
    def test_energy_that_such_devices_cannot_draw(self, kwh: float, warned: bool) -> None:
        # 8 x H100 SXM draw 58.8 to 81.2 kWh in 10 h
        told = ask(it_energy_kwh=kwh, device="H100 SXM", count=8, hours=10)["warnings"]
        assert any(w.startswith("it_energy_kwh:") and "check the unit" in w for w in told) == warned

    def test_more_hours_than_a_lifetime(self) -> None:
        got = ask(power_w=1, hours=100, lifetime_hours=50)
        assert any(w.startswith("lifetime_hours:") for w in got["warnings"])

    def test_a_zone_beside_a_cloud_region_elsewhere(self) -> None:
        # FR's grid with Virginia's cooling: what counts for which is said
        elsewhere = ask(it_energy_kwh=1, zone="FR", cloud_provider="aws", cloud_region="us-east-1")
        assert any(w.startswith("zone: FR is not where aws:us-east-1 lies") for w in elsewhere["warnings"])
        nearby = ask(it_energy_kwh=1, zone="US-CA", cloud_provider="aws", cloud_region="us-east-1")
        assert not any(w.startswith("zone:") for w in nearby["warnings"])

    @pytest.mark.parametrize(("facility_kwh", "warned"), [(10.0, False), (10.5, True), (1000.0, True)])
    def test_a_building_that_draws_many_times_what_its_machines_do(self, facility_kwh: float, warned: bool) -> None:
        got = ask(it_energy_kwh=1, facility_energy_kwh=facility_kwh, pue=10)
        assert any("no building has such a pue" in words for words in got["warnings"]) is warned

    def test_a_zone_beside_another_country(self) -> None:
        got = ask(it_energy_kwh=1, zone="FR", country="DE")
        assert any(w.startswith("country:") for w in got["warnings"])
        assert any(factor.startswith("intensity:FR:") for factor in got["co2e_location_kg"]["factors"])


class TestPlace:
    @pytest.mark.parametrize(
        ("place", "factor"),
        [
            ({"zone": "FR"}, "intensity:FR:"),
            ({"zone": "us-ca"}, "intensity:US-CA:"),
            ({"country": "France"}, "intensity:FR:"),
            ({"country": "USA"}, "intensity:US:"),
            ({"country": "United Kingdom"}, "intensity:GB:"),
            ({"zone": "DEU"}, "intensity:DE:"),
            ({"cloud_provider": "aws", "cloud_region": "us-east-1"}, "intensity:US-VA:"),
            ({"cloud_provider": "Google Cloud", "cloud_region": "us-central1"}, "intensity:cloud:gcp:us-central1:"),
        ],
    )
    def test_finds_the_intensity(self, place: dict[str, str], factor: str) -> None:
        got = ask(it_energy_kwh=1, **place)["co2e_location_kg"]
        assert any(one.startswith(factor) for one in got["factors"])  # of whatever year is the newest
        assert "intensity_g_per_kwh of the catalogue" in got["method"]

    def test_an_unknown_part_of_a_country_is_a_labelled_fallback(self) -> None:
        got = ask(it_energy_kwh=1, pue=1, zone="FR-IDF")
        assert got["co2e_location_kg"]["status"] == "DEFAULT"
        (factor,) = got["co2e_location_kg"]["factors"]
        assert factor.startswith("intensity:FR:") and factor.endswith("@unknown-part:FR-IDF")
        assert any(w.startswith("intensity_g_per_kwh: not given") for w in got["warnings"])

    @pytest.mark.parametrize(
        ("place", "field", "hint"),
        [
            ({"zone": "FFR"}, "zone", "did you mean 'FR'"),
            ({"country": "Frence"}, "country", "did you mean 'france'"),
            ({"cloud_provider": "aws", "cloud_region": "us-east-11"}, "cloud_region", "did you mean 'us-east-1'"),
            ({"cloud_provider": "acme", "cloud_region": "x"}, "cloud_provider", "aws, azure, gcp"),
        ],
    )
    def test_what_is_no_place_is_refused_with_the_nearest(self, place: dict[str, str], field: str, hint: str) -> None:
        got = ask(it_energy_kwh=1, **place)["error"]
        assert (got["code"], got["field"]) == ("unknown_place", field) and hint in got["detail"]

    def test_half_a_cloud_region_is_refused(self) -> None:
        assert error(it_energy_kwh=1, cloud_region="us-east-1") == ("missing", "cloud_provider")
        assert error(it_energy_kwh=1, cloud_provider="aws") == ("missing", "cloud_region")

    def test_a_year_that_is_not_known_is_told(self) -> None:
        told = [ask(it_energy_kwh=1, zone="FR", year=year)["warnings"] for year in (2023, 1999)]
        assert [any(w.startswith("year:") for w in warnings) for warnings in told] == [False, True]


class TestCarbon:
    def test_total_is_location_and_embodied_whatever_the_market_says(self) -> None:
        got = mids(**SEED)
        assert got["co2e_total_kg"] == pytest.approx(got["co2e_location_kg"] + got["embodied_kg"])
        without = {key: value for key, value in SEED.items() if key != "market_intensity_g_per_kwh"}
        assert mids(**without) | {"co2e_market_kg": got["co2e_market_kg"]} == got

    def test_an_unknown_market_figure_is_null(self) -> None:
        assert ask(it_energy_kwh=1, zone="ZA")["co2e_market_kg"] is None

    def test_a_contract_of_nought_is_not_unknown(self) -> None:
        assert ask(it_energy_kwh=1, market_intensity_g_per_kwh=0)["co2e_market_kg"]["mid"] == 0

    def test_a_year_has_its_own_intensity_and_residual_mix(self) -> None:
        got = ask(it_energy_kwh=10, pue=1, zone="DE", year=2024)
        assert got["co2e_location_kg"]["factors"] == ["intensity:DE:2024"]
        # AIB 2024: 724.56 g/kWh x 10 kWh
        assert got["co2e_market_kg"]["mid"] == pytest.approx(7.2456)
        assert got["co2e_market_kg"]["factors"] == ["residual:DE:2024"]
        assert not any(warning.startswith("year:") for warning in got["warnings"])

    def test_a_cloud_region_in_a_us_state_has_the_residual_mix_of_its_grid(self) -> None:
        got = ask(it_energy_kwh=10, pue=1, cloud_provider="aws", cloud_region="us-west-2")
        assert got["co2e_market_kg"]["factors"] == ["residual:US-NWPP:2023@subregion-of:US-OR"]

    def test_a_residual_mix_stands_for_a_place_that_has_one(self) -> None:
        mix = Factor("residual_mix:XK:2023", Range(400, 500, 600), "g/kWh", Status.MODELLED, "s", licence="facts")
        rows = [*CATALOG, Row(mix, "residual_mix", "XK", "p", next(iter(CATALOG)).valid_from, None, "n")]
        run = {"it_energy_kwh": 10, "pue": 1, "country": "Kosovo"}
        got = answer(Catalog(rows), [run], currency="EUR")["runs"][0]["co2e_market_kg"]
        assert got["mid"] == 5 and got["method"].endswith("residual mix of the catalogue")
        assert got["factors"] == ["residual_mix:XK:2023"]

    def test_sci_is_null_without_a_functional_unit(self) -> None:
        assert ask(it_energy_kwh=1)["sci_g_per_unit"] is None

    def test_the_market_never_enters_sci(self) -> None:
        one, other = (mids(**SEED | {"market_intensity_g_per_kwh": g})["sci_g_per_unit"] for g in (0, 900))
        assert one == other


class TestEmbodied:
    GIVEN = {"power_w": 1, "count": 4, "hours": 100, "lifetime_hours": 40_000}

    def test_of_the_devices_and_their_share_of_the_server(self) -> None:
        # (150 kg + 800 kg / 8) x 4 x 100 h / 40000 h = 2.5 kg
        given_kg = {"embodied_kg_per_device": 150, "embodied_server_kg": 800, "devices_per_server": 8}
        got = ask(**self.GIVEN, **given_kg)["embodied_kg"]
        assert got["low"] == got["mid"] == got["high"] == pytest.approx(2.5) and got["status"] == "MODELLED"

    def test_with_a_use_ratio_the_hours_in_use_bear_the_others(self) -> None:
        # used half of its life, an hour in use bears two: 2.5 / 0.5 = 5 kg
        given_kg = {"embodied_kg_per_device": 150, "embodied_server_kg": 800, "devices_per_server": 8}
        assert mids(**self.GIVEN, **given_kg, use_ratio=0.5)["embodied_kg"] == pytest.approx(5)

    def test_a_stated_device_gets_no_server_and_says_so(self) -> None:
        # 150 kg x 400 h / 40000 h = 1.5 kg
        got = ask(**self.GIVEN, embodied_kg_per_device=150)
        assert got["embodied_kg"]["mid"] == pytest.approx(1.5)
        assert any(w.startswith("embodied_server_kg: not given beside") for w in got["warnings"])

    def test_a_stated_server_excludes_the_devices_which_come_from_the_catalogue(self) -> None:
        # (164 kg of an H100 + 800 kg / 8) x 400 h / 40000 h = 2.64 kg
        got = ask(**self.GIVEN, device="H100 SXM", embodied_server_kg=800, devices_per_server=8)
        assert got["embodied_kg"]["mid"] == pytest.approx(2.64)
        assert "embodied:gpu/h100:nvidia-hgx-h100" in got["embodied_kg"]["factors"]

    def test_from_the_catalogue_by_device(self) -> None:
        # (164 kg + 5700 kg of a GPU server without its GPUs / 8) x 80 h / 35040 h = 2.001142 kg
        got = ask(device="H100 SXM", count=8, hours=10)["embodied_kg"]
        assert got["mid"] == pytest.approx(2.001142, abs=1e-6) and got["status"] == "DEFAULT"

    def test_of_an_accelerator_without_a_published_footprint_goes_by_its_parts_as_in_the_ledger(self) -> None:
        got = ask(device="MI300X", count=8, hours=10)["embodied_kg"]
        by_parts = parts.gpu(CATALOG, "MI300X")
        assert by_parts is not None and set(by_parts.factor_ids) < set(got["factors"])
        assert got["mid"] == pytest.approx((by_parts.range.mid + 5700 / 8) * 80 / 35040)

    def test_without_hours_stands_for_the_time_that_draws_the_energy(self) -> None:
        # 70.28 kWh is what 80 h of an H100's share of a node draw
        by_hours = mids(device="H100 SXM", gpu_hours=80)
        by_energy = ask(device="H100 SXM", it_energy_kwh=by_hours["it_energy_kwh"])
        assert by_energy["embodied_kg"]["mid"] == pytest.approx(by_hours["embodied_kg"])
        assert any(w.startswith("hours: not given") for w in by_energy["warnings"])


class TestWaterAndCost:
    def test_on_site_water_follows_it_energy_and_off_site_the_buildings(self) -> None:
        # 10 kWh x 0.5 = 5 L whatever the PUE; 10 x PUE x 2 L/kWh = 20 and 60 L
        one, three = (mids(it_energy_kwh=10, pue=pue, wue_l_per_kwh=0.5, ewif_l_per_kwh=2) for pue in (1, 3))
        assert one["water_onsite_l"] == three["water_onsite_l"] == 5
        assert (one["water_offsite_l"], three["water_offsite_l"]) == (20, 60)

    def test_an_unknown_price_is_null_and_not_nought(self) -> None:
        got = answer(CATALOG, [{"it_energy_kwh": 1, "zone": "FR"}], currency="JPY")["runs"][0]
        assert got["cost"] is None and any(w.startswith("price_per_kwh:") for w in got["warnings"])

    def test_a_given_price_is_in_the_ledgers_currency(self) -> None:
        got = answer(CATALOG, [{"it_energy_kwh": 1, "pue": 1, "price_per_kwh": 30}], currency="JPY")["runs"][0]
        assert (got["cost"]["mid"], got["cost"]["unit"]) == (30, "JPY")


class TestStatusAndDrivers:
    def test_what_is_made_of_given_inputs_only_is_no_default_and_exact(self) -> None:
        got = ask(**SEED)
        for name in QUANTITIES:
            assert got[name]["status"] != "DEFAULT" and got[name]["low"] == got[name]["high"], name
            assert got[name]["factors"] == []
        assert got["drivers"] == [] and got["warnings"] == []

    def test_drivers_name_what_makes_the_total_wide(self) -> None:
        got = ask(device="H100 SXM", count=8, hours=10, zone="FR", pue=1.2)
        assert got["drivers"][0]["source"].startswith("intensity:FR:")
        assert math.fsum(driver["share"] for driver in got["drivers"]) == pytest.approx(1)


positive = st.floats(0.01, 1000)


class TestLaws:
    @given(hours=positive, power=positive, pue=st.floats(1, 10))
    def test_two_halves_make_the_whole(self, hours: float, power: float, pue: float) -> None:
        stated = SEED | {"power_w": power, "pue": pue}
        whole, half = mids(**stated | {"hours": hours}), mids(**stated | {"hours": hours / 2})
        for name in set(QUANTITIES) - {"sci_g_per_unit"}:
            assert 2 * half[name] == pytest.approx(whole[name])

    @pytest.mark.parametrize(
        "field",
        ["count", "hours", "power_w", "pue", "intensity_g_per_kwh", "market_intensity_g_per_kwh", "wue_l_per_kwh",
         "ewif_l_per_kwh", "embodied_kg_per_device", "embodied_server_kg", "price_per_kwh"],
    )  # fmt: skip
    def test_more_of_an_input_never_makes_less_of_anything(self, field: str) -> None:
        base = SEED | {"count": 2, "embodied_server_kg": 10, "hours": 2}
        less, more = mids(**base), mids(**base | {field: base[field] * 2})
        assert all(less[name] <= more[name] for name in QUANTITIES) and less != more

    @pytest.mark.parametrize("field", ["lifetime_hours", "use_ratio", "devices_per_server"])
    def test_more_life_and_more_neighbours_make_less_embodied(self, field: str) -> None:
        base = SEED | {"lifetime_hours": 1000, "use_ratio": 0.4, "devices_per_server": 4, "embodied_server_kg": 10}
        less, more = mids(**base), mids(**base | {field: base[field] * 2})
        assert more["embodied_kg"] < less["embodied_kg"]

    @pytest.mark.parametrize(
        ("stated", "field"),
        [
            ({"it_energy_kwh": 1, "power_w": 1e-300}, "power_w"),
            ({"it_energy_kwh": 5e-324, "functional_unit": {"name": "x", "count": 1e-9}}, "it_energy_kwh"),
            ({"it_energy_kwh": 1, "expected": {"cost": 5e-324}}, "expected.cost"),
        ],
    )
    def test_next_to_nothing_is_refused_by_name(self, stated: dict[str, Any], field: str) -> None:
        assert error(**stated) == ("out_of_range", field)

    def test_a_ratio_beyond_all_numbers_is_null(self) -> None:
        units = {"name": "x", "count": 1e24}
        tiny = {"it_energy_kwh": 1e-30, "pue": 1, "intensity_g_per_kwh": 1e-30, "embodied_kg_per_device": 0}
        got = ask(**tiny, functional_unit=units, expected={"sci_g_per_unit": 1e30, "co2e_location_kg": 1e30})
        assert json.loads(json.dumps(got, allow_nan=False))["mismatches"]

    @given(st.integers(1, 600), st.integers(1, 600))
    def test_more_devices_never_draw_less(self, one: int, other: int) -> None:
        few, many = (mids(device="H100 SXM", count=n, hours=10) for n in sorted((one, other)))
        assert few["it_energy_kwh"] <= many["it_energy_kwh"] * (1 + 1e-9)

    @given(
        it=from_nought(1e13), pue=st.floats(1, 10), g=from_nought(2000), kg=from_nought(1e9),
        life=st.floats(1, 1e7), use=st.floats(1e-6, 1), units=st.floats(1e-9, 1e24),
    )  # fmt: skip
    def test_any_input_within_its_limits_is_answered(
        self, it: float, pue: float, g: float, kg: float, life: float, use: float, units: float
    ) -> None:
        got = ask(
            it_energy_kwh=it, pue=pue, intensity_g_per_kwh=g, embodied_kg_per_device=kg, lifetime_hours=life,
            use_ratio=use, functional_unit={"name": "x", "count": units}, expected={"co2e_total_kg": it},
        )  # fmt: skip
        assert "error" not in got
        for name in QUANTITIES:
            assert got[name] is None or got[name]["low"] <= got[name]["mid"] <= got[name]["high"]
