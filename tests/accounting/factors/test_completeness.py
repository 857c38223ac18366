"""What the catalogue must hold at least, counted; and nothing stands without its provenance."""

from datetime import date

import pytest

from accounting.factors import lookup, parts
from accounting.factors.accelerators import match_accelerator
from accounting.factors.catalog import Row, load_packaged
from accounting.factors.cpus import cpu_rows
from accounting.factors.places import cloud_regions
from accounting.methods.records import Status

CATALOG = load_packaged()
ROWS = list(CATALOG)
REGIONS = list(cloud_regions().values())
YEARS = range(2019, 2025)
COOLING = ("cooling_tower", "adiabatic", "air_cooled_chiller", "free_air", "dry_cooler")
MUST_KNOW = (
    "V100", "T4", "A10", "A100", "L4", "L40S", "H100", "H200", "GH200", "B200", "B300", "MI250X", "MI300X", "MI325X",
    "TPU v2", "TPU v3", "TPU v4", "TPU v5e", "TPU v5p", "TPU v6e", "Trainium", "Trainium2", "Gaudi2", "Gaudi3",
    "Apple M1", "Apple M2 Ultra", "Apple M3 Max", "Apple M4 Max", "RTX 3090", "RTX 4090", "RTX 5090",
)  # fmt: skip
PARTS = (
    "cpu_base", "cpu_die_per_mm2", "ram_base", "ram_per_gb", "ssd_base", "ssd_per_gb", "hdd", "mainboard", "psu",
    "psu_per_kg", "chassis", "assembly", "gpu_die_per_mm2", "gpu_vram_per_gb", "gpu_board", "gpu_cooling_per_w",
    "gpu_assembly",
)  # fmt: skip


def zones(quantity: str, prefix: str = "") -> list[str]:
    """Countries, or the parts of one where a prefix such as `US-` is given."""
    return [zone for zone in CATALOG.keys(quantity) if (zone.startswith(prefix) if prefix else len(zone) == 2)]


class TestGrid:
    @pytest.mark.parametrize("year", YEARS)
    def test_is_known_for_two_hundred_countries_in_each_year(self, year: int) -> None:
        assert sum(year in CATALOG.years("grid_intensity", zone) for zone in zones("grid_intensity")) >= 195
        assert len(zones("grid_intensity")) >= 200

    @pytest.mark.parametrize(
        ("prefix", "count", "years"),
        [("US-", 51, [2016, 2023]), ("CA-", 13, [2023]), ("CN-", 30, [2023]), ("SE-", 4, [2025]), ("NO-", 5, [2025])],
    )
    def test_is_known_for_the_parts_of_large_and_northern_countries(
        self, prefix: str, count: int, years: list[int]
    ) -> None:
        found = zones("grid_intensity", prefix)
        assert len(found) == count
        assert all(set(years) <= set(CATALOG.years("grid_intensity", zone)) for zone in found)

    def test_has_water_and_a_residual_mix_by_country(self) -> None:
        assert len(zones("ewif")) >= 200
        assert len(zones("residual_mix")) >= 25 and len(zones("residual_mix", "US-")) >= 26

    def test_has_prices_by_country_and_state(self) -> None:
        assert len(zones("price_zone")) >= 30 and len(zones("price_zone", "US-")) >= 50


class TestClouds:
    def test_are_more_than_a_hundred_regions_each_with_intensity_overhead_and_water(self) -> None:
        assert len(REGIONS) > 100
        for region in REGIONS:
            found = lookup.intensity(CATALOG, provider=region.provider, region=region.name)
            assert found.step not in (lookup.Step.CONTINENT, lookup.Step.WORLD)
            assert lookup.cloud_pue(CATALOG, region).value.mid < lookup.pue(CATALOG).value.mid
            assert lookup.cloud_wue(CATALOG, region).unit == "L/kWh"

    @pytest.mark.parametrize("year", [2019, 2021, 2026])
    def test_never_fall_back_to_a_continent_in_another_year_either(self, year: int) -> None:
        for region in REGIONS:
            found = lookup.intensity(CATALOG, provider=region.provider, region=region.name, year=year)
            assert found.step not in (lookup.Step.CONTINENT, lookup.Step.WORLD)

    def test_of_google_have_a_carbon_free_share(self) -> None:
        google = [region for region in REGIONS if region.provider == "gcp"]
        assert sum(lookup.cloud_cfe(CATALOG, region) is not None for region in google) >= 40


class TestDevices:
    @pytest.mark.parametrize("name", MUST_KNOW)
    def test_people_train_on_have_a_power_and_a_memory(self, name: str) -> None:
        match = match_accelerator(name)
        assert match is not None
        tdp = lookup.accelerator_tdp(CATALOG, name)
        assert tdp is not None and 5 < tdp.value.low <= tdp.value.mid <= tdp.value.high
        assert name.startswith("Apple") or lookup.accelerator_memory(CATALOG, name) is not None

    def test_are_sixty_accelerators_and_four_thousand_cpus(self) -> None:
        assert len(CATALOG.keys("accelerator_tdp")) >= 60 and len(CATALOG.keys("accelerator_memory")) >= 60
        assert len(CATALOG.keys("die_mm2")) >= 50 and len(cpu_rows()) > 4000

    @pytest.mark.parametrize("key", PARTS)
    def test_are_made_of_parts_whose_footprint_has_a_range(self, key: str) -> None:
        value = parts.component(CATALOG, key).value
        assert 0 < value.low < value.mid < value.high

    def test_dice_belong_to_known_accelerators(self) -> None:
        assert set(CATALOG.keys("die_mm2")) <= set(CATALOG.keys("accelerator_tdp"))


class TestCooling:
    @pytest.mark.parametrize("kind", COOLING)
    def test_has_an_overhead_and_a_water_use_of_each_kind(self, kind: str) -> None:
        pue, wue = (CATALOG.get(quantity, kind) for quantity in ("cooling_pue", "cooling_wue"))
        assert 1 < pue.value.low < pue.value.mid < pue.value.high < 2
        assert wue.value.low < wue.value.high and wue.unit == "L/kWh" and pue.status is Status.DEFAULT

    def test_with_water_saves_electricity(self) -> None:
        tower, dry = (CATALOG.get("cooling_pue", kind).value.mid for kind in ("cooling_tower", "air_cooled_chiller"))
        wet, none = (CATALOG.get("cooling_wue", kind).value.mid for kind in ("cooling_tower", "air_cooled_chiller"))
        assert tower < dry and wet > none


class TestProvenance:
    @pytest.mark.parametrize("quantity", sorted({row.quantity for row in ROWS}))
    def test_of_every_row_says_what_how_sure_from_where_when_and_by_what_right(self, quantity: str) -> None:
        rows = [row for row in ROWS if row.quantity == quantity]
        assert [row.factor.id for row in rows if not _is_whole(row)] == []

    def test_a_source_not_read_is_no_exact_figure_of_a_place(self) -> None:
        narrow = [
            row.factor.id
            for row in ROWS
            if "second-hand:" in row.note and row.quantity in ("grid_intensity", "residual_mix", "cooling_pue", "price")
            and row.factor.value.high < 1.1 * row.factor.value.low
        ]  # fmt: skip
        assert narrow == []


def _is_whole(row: Row) -> bool:
    factor = row.factor
    said = all((factor.id, factor.unit, factor.source, factor.url, factor.licence, row.page, row.note))
    return said and factor.year is not None and row.valid_from <= date(factor.year, 1, 1)
