"""A published figure against ours: the likeliest slip is named, and what agrees is left alone."""

from typing import Any

import pytest

from accounting.estimates.answer import answer
from accounting.factors.catalog import load_packaged

CATALOG = load_packaged()
# 10 kWh of IT, 15 of the building, 6 kg by location, 1.5 kg by market, 0.5 kg of making, 5 + 30 L, 3.00 of money
RUN = {
    "it_energy_kwh": 10, "pue": 1.5, "intensity_g_per_kwh": 400, "market_intensity_g_per_kwh": 100,
    "wue_l_per_kwh": 0.5, "ewif_l_per_kwh": 2, "embodied_kg_per_device": 500, "embodied_server_kg": 0,
    "devices_per_server": 1,    "lifetime_hours": 10_000, "count": 8, "gpu_hours": 10, "price_per_kwh": 0.2,
    "functional_unit": {"name": "token", "count": 1000},
}  # fmt: skip


def ask(expected: dict[str, float], **stated: Any) -> dict[str, Any]:
    return answer(CATALOG, [RUN | stated | {"expected": expected}], currency="EUR")["runs"][0]


class TestCause:
    @pytest.mark.parametrize(
        ("quantity", "published", "cause"),
        [
            ("facility_energy_kwh", 22.5, "pue_twice"),  # 15 x 1.5
            ("facility_energy_kwh", 10.0, "pue_not_applied"),  # 15 / 1.5
            ("it_energy_kwh", 15.0, "pue_in_it_energy"),  # 10 x 1.5
            ("it_energy_kwh", 10_000.0, "wrong_unit"),  # Wh
            ("it_energy_kwh", 3.6e7, "wrong_unit"),  # J
            ("it_energy_kwh", 36.0, "wrong_unit"),  # MJ
            ("it_energy_kwh", 1.25, "per_device"),  # 10 / 8
            ("it_energy_kwh", 80.0, "count_twice"),  # 10 x 8
            ("co2e_location_kg", 9.0, "pue_twice"),  # 6 x 1.5
            ("co2e_location_kg", 4.0, "pue_not_applied"),  # 6 / 1.5
            ("co2e_location_kg", 6000.0, "wrong_unit"),  # g
            ("co2e_location_kg", 0.006, "wrong_unit"),  # t
            ("co2e_location_kg", 13.2277, "wrong_unit"),  # lb: 6 / 0.45359237
            ("co2e_location_kg", 9000.0, "pue_twice"),  # g, and PUE twice
            ("co2e_location_kg", 6.5, "embodied_included"),  # 6 + 0.5
            ("co2e_location_kg", 1.5, "market_for_location"),
            ("co2e_location_kg", 0.75, "per_device"),  # 6 / 8
            ("co2e_location_kg", 750.0, "implausible_intensity"),  # 50 000 g/kWh of the building
            ("co2e_location_kg", 0.02, "implausible_intensity"),  # 1.3 g/kWh
            ("co2e_location_kg", 2.5, "other_intensity"),  # 167 g/kWh
            ("co2e_market_kg", 6.0, "location_for_market"),
            ("co2e_total_kg", 6.0, "embodied_excluded"),
            ("co2e_total_kg", 9.5, "pue_twice"),  # 6 x 1.5 + 0.5
            ("co2e_total_kg", 4.5, "pue_not_applied"),  # 6 / 1.5 + 0.5
            ("embodied_kg", 0.0625, "per_device"),  # 0.5 / 8
            ("water_onsite_l", 7.5, "pue_in_onsite_water"),  # 5 x 1.5
            ("water_l", 52.5, "pue_twice"),  # (5 + 30) x 1.5
            ("water_l", 37.5, "pue_in_onsite_water"),  # 5 x 1.5 + 30
            ("water_l", 25.0, "pue_not_applied"),  # 5 + 30 / 1.5
            ("water_l", 30.0, "onsite_excluded"),
            ("water_l", 9.246, "wrong_unit"),  # gallons: 35 / 3.785411784
            ("cost", 300.0, "wrong_unit"),  # cents
            ("sci_g_per_unit", 9.5, "pue_twice"),  # (6 x 1.5 + 0.5) kg / 1000 tokens
            ("sci_g_per_unit", 6.0, "embodied_excluded"),
            ("cost", 5.1, "unknown"),
        ],
    )
    def test_is_named(self, quantity: str, published: float, cause: str) -> None:
        got = ask({quantity: published})
        (mismatch,) = got["mismatches"]
        assert (mismatch["quantity"], mismatch["expected"]) == (quantity, published)
        assert mismatch["likely_cause"] == cause, mismatch
        assert mismatch["ratio"] == pytest.approx(published / got[quantity]["mid"])
        assert any(w.startswith(f"expected.{quantity}:") and cause in w for w in got["warnings"])

    def test_implied_intensity_is_judged_by_the_published_energy(self) -> None:
        # 30 kg over the published 0.015 kWh of a page that meant MWh
        got = ask({"co2e_location_kg": 30.0, "facility_energy_kwh": 0.015})
        causes = {m["quantity"]: m["likely_cause"] for m in got["mismatches"]}
        assert causes == {"co2e_location_kg": "implausible_intensity", "facility_energy_kwh": "wrong_unit"}


class TestAgreement:
    @pytest.mark.parametrize("published", [15.0, 15.7, 14.4])
    def test_within_five_per_cent_is_no_mismatch(self, published: float) -> None:
        got = ask({"facility_energy_kwh": published})
        assert got["mismatches"] == [] and got["warnings"] == []

    def test_within_our_own_range_is_no_mismatch_unless_a_slip_explains_it(self) -> None:
        # no PUE stated: 10 to 22 kWh; 13 may well be, 24.336 is 10 x 1.56 x 1.56
        stated = {"pue": None}
        assert ask({"facility_energy_kwh": 13.0}, **stated)["mismatches"] == []
        twice = ask({"facility_energy_kwh": 24.336}, **stated)["mismatches"]
        assert [m["likely_cause"] for m in twice] == ["pue_twice"]

    def test_what_is_not_known_here_cannot_be_compared(self) -> None:
        got = ask({"co2e_market_kg": 3.0}, market_intensity_g_per_kwh=None)
        assert got["mismatches"] == [] and any("nothing to compare with" in w for w in got["warnings"])

    def test_nought_against_something(self) -> None:
        (mismatch,) = ask({"co2e_location_kg": 0.0})["mismatches"]
        assert mismatch["ratio"] == 0 and mismatch["likely_cause"] == "implausible_intensity"
        nothing = ask({"co2e_location_kg": 3.0}, intensity_g_per_kwh=0)
        assert nothing["mismatches"][0]["ratio"] is None
