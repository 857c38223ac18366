"""The whole chain of an estimate by hand: a 10 kW machine whose cooling brings the draw to 30 kW, for one hour."""

import re
from pathlib import Path

import pytest

from accounting.estimates.answer import answer
from accounting.factors.catalog import load_packaged

SEED = {
    "power_w": 10_000, "count": 1, "hours": 1, "pue": 3.0, "intensity_g_per_kwh": 50,
    "market_intensity_g_per_kwh": 20, "wue_l_per_kwh": 0.5, "ewif_l_per_kwh": 1.476,
    "embodied_kg_per_device": 1000, "embodied_server_kg": 0, "devices_per_server": 1, "lifetime_hours": 35_040,
    "price_per_kwh": 0.25, "functional_unit": {"name": "token", "count": 1000},
}  # fmt: skip
ESTIMATED = {
    "it_energy_kwh": 10.0,  # 10000 W x 1 x 1 h / 1000
    "facility_energy_kwh": 30.0,  # 10 x 3.0
    "co2e_location_kg": 1.5,  # 30 x 50 / 1000
    "co2e_market_kg": 0.6,  # 30 x 20 / 1000
    "embodied_kg": 0.02853881279,  # (1000 + 0 / 1) x 1 h / 35040 h
    "co2e_total_kg": 1.52853881279,  # 1.5 + 0.02853881279: location-based, whatever was bought
    "water_onsite_l": 5.0,  # 10 x 0.5, without PUE
    "water_offsite_l": 44.28,  # 30 x 1.476
    "water_l": 49.28,  # 5 + 44.28
    "cost": 7.5,  # 30 x 0.25
    "sci_g_per_unit": 1.52853881279,  # 1528.53881279 g / 1000 tokens
}
UNITS = {"water_onsite_l": "L", "water_offsite_l": "L", "water_l": "L", "cost": "EUR", "sci_g_per_unit": "g/token"}


class TestTenKilowattsCooledToThirty:
    @pytest.mark.parametrize("quantity", ESTIMATED)
    def test_comes_to_what_a_hand_makes_of_it(self, quantity: str) -> None:
        got = answer(load_packaged(), [SEED], currency="EUR")["runs"][0][quantity]
        assert got["mid"] == pytest.approx(ESTIMATED[quantity], rel=1e-9)
        assert got["low"] == got["mid"] == got["high"]  # everything was given
        assert got["unit"] == UNITS.get(quantity, quantity.rpartition("_")[2].replace("kwh", "kWh"))

    @pytest.mark.parametrize("quantity", ESTIMATED)
    def test_is_what_the_methodology_shows(self, quantity: str) -> None:
        text = (Path(__file__).resolve().parents[2] / "docs" / "methodology.md").read_text()
        row = re.search(rf"^\| `{quantity}` \| (\S+) \|", text, re.MULTILINE)
        assert row and float(row[1]) == ESTIMATED[quantity]
