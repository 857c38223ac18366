"""The parts add up to what makers and teardowns say of whole machines."""

import pytest

from accounting.factors import lookup, parts
from accounting.factors.catalog import FactorDataError, load_packaged
from accounting.methods.records import Range

CATALOG = load_packaged()


def _kg(key: str, by: float = 1.0) -> Range:
    return parts.component(CATALOG, key).value.scaled(by)


def _gpu_kg(*, die_mm2: float, vram_gb: float, tdp_w: float) -> Range:
    each = (
        _kg("gpu_die_per_mm2", die_mm2), _kg("gpu_vram_per_gb", vram_gb), _kg("gpu_board"),
        _kg("gpu_cooling_per_w", tdp_w), _kg("gpu_assembly"),
    )  # fmt: skip
    return Range(sum(r.low for r in each), sum(r.mid for r in each), sum(r.high for r in each))


class TestParts:
    def test_of_an_h100_are_an_eighth_of_the_board_they_were_taken_from(self) -> None:
        # 814 x 0.0176 + 80 x 0.853 + 37.7 + 700 x 0.0411 + 15 = 14.33 + 68.24 + 37.7 + 28.77 + 15 = 164.04
        assert _gpu_kg(die_mm2=814, vram_gb=80, tdp_w=700).mid == pytest.approx(1312 / 8, rel=0.002)

    @pytest.mark.parametrize(
        ("model", "published_kg", "within"),
        [
            ("NVIDIA B200", 284.25, 0.05),  # 28.7 + 153.5 + 37.7 + 41.1 + 15 = 276.0; the maker's sheet
            ("NVIDIA A100-SXM4-40GB", 127.6, 0.1),  # 14.5 + 34.1 + 37.7 + 16.4 + 15 = 117.8; a teardown
        ],
    )
    def test_of_another_gpu_come_near_what_was_found_for_it_by_itself(
        self, model: str, published_kg: float, within: float
    ) -> None:
        die = lookup.accelerator_die(CATALOG, model)
        memory, tdp = lookup.accelerator_memory(CATALOG, model), lookup.accelerator_tdp(CATALOG, model)
        assert die and memory and tdp
        got = _gpu_kg(die_mm2=die.value.mid, vram_gb=memory.value.mid, tdp_w=tdp.value.mid)
        assert got.mid == pytest.approx(published_kg, rel=within)

    def test_range_of_a_gpu_holds_bottom_up_models_too(self) -> None:
        h100 = _gpu_kg(die_mm2=814, vram_gb=80, tdp_w=700)
        assert h100.low < 127.6 and h100.high > 318

    def test_of_memory_add_up_to_dells_server(self) -> None:
        # 384 GB x 1.23 + 12 modules x 5.22 = 472.3 + 62.6 = 535 kg; Dell's life cycle assessment has 533
        assert _kg("ram_per_gb", 384).mid + _kg("ram_base", 12).mid == pytest.approx(533, rel=0.01)

    def test_high_of_flash_holds_dells_server(self) -> None:
        # Dell's life cycle assessment has 3373 kg for 8 x 3.84 TB
        drives_kg = _kg("ssd_per_gb", 8 * 3840)
        assert drives_kg.mid < 3373 < drives_kg.high

    def test_that_nobody_measured_are_refused_by_name(self) -> None:
        with pytest.raises(FactorDataError, match="'gpu_soul'"):
            parts.component(CATALOG, "gpu_soul")


class TestServers:
    def test_with_gpus_need_more_beside_the_gpus_than_a_server_without_any(self) -> None:
        gpu, one_u, two_u = (
            parts.server(CATALOG, key).value for key in ("gpu_server_8x_without_gpus", "cpu_server_1u", "cpu_server_2u")
        )
        assert gpu.mid > 2 * two_u.mid and one_u.mid == 1283 and two_u.mid == 1313

    @pytest.mark.parametrize(
        ("key", "total_kg", "manufacturing"),
        [
            ("cpu_server_1u", 7730, 0.166),
            ("cpu_server_2u", 8640, 0.152),
            ("cpu_server_4u", 13300, 0.134),
            ("tower_server", 7810, 0.153),
        ],
    )
    def test_count_the_share_of_the_makers_total_that_is_manufacturing(
        self, key: str, total_kg: float, manufacturing: float
    ) -> None:
        assert parts.server(CATALOG, key).value.mid == pytest.approx(total_kg * manufacturing, abs=0.5)
