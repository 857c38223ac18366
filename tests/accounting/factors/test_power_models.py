"""The load models' numbers are rows, and the draw of a node follows how many devices work together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.factors import power_models
from accounting.factors.catalog import load_packaged
from accounting.methods.records import Figure, Range, Status

CATALOG = load_packaged()
TDP = Figure(Range.exact(700.0), "W", Status.MODELLED, ("tdp",))
H100 = "nvidia-h100-sxm"


def draw(devices: float | None, accelerator: str = H100) -> Range:
    return power_models.node_draw(CATALOG, accelerator, devices).range


class TestNodeDraw:
    def test_is_that_of_one_node_up_to_its_devices_and_of_many_from_eight_nodes_on(self) -> None:
        assert draw(1) == draw(8) == Range(1.05, 1.255, 1.45)
        assert draw(64) == draw(72) == draw(512) == Range(0.88, 1.065, 1.28)

    def test_lies_straight_between_them_in_the_logarithms(self) -> None:
        # 2 nodes are a third of the way from 1 to 8: 1.255^(2/3) x 1.065^(1/3) = 1.18817
        assert draw(16).mid == pytest.approx(1.255 ** (2 / 3) * 1.065 ** (1 / 3), abs=1e-9)
        assert draw(16).mid == pytest.approx(1.18817, abs=1e-5)

    @given(st.integers(1, 2000), st.integers(1, 2000))
    def test_one_device_more_never_draws_less(self, one: int, other: int) -> None:
        less, more = sorted((one, other))
        for end in ("low", "mid", "high"):
            assert less * getattr(draw(less), end) <= more * getattr(draw(more), end) * (1 + 1e-9)

    def test_is_wider_where_the_count_or_the_accelerator_was_not_metered(self) -> None:
        assert draw(None) == Range(0.95, 1.157, 1.40)
        for devices in (8, 64, None):
            narrow, wide = draw(devices), draw(devices, "nvidia-a100-sxm-40gb")
            assert wide.mid == narrow.mid and wide.low < narrow.low and wide.high > narrow.high

    def test_mid_of_an_unknown_count_lies_half_way(self) -> None:
        assert draw(None).mid == pytest.approx(math.sqrt(1.255 * 1.065), abs=0.001)


class TestNode:
    def test_draws_as_the_metered_ones_where_nothing_is_said_of_the_load(self) -> None:
        # 700 W x 1.255 = 878.5 W a device, 7.03 kW a node
        got = power_models.node_w(CATALOG, H100, TDP, devices=8, load=None)
        assert got.range.mid == pytest.approx(878.5) and got.status is Status.MODELLED
        full = power_models.node_w(CATALOG, H100, TDP, devices=8, load=1.0)
        assert full.range.mid == pytest.approx(878.5)

    def test_draws_a_third_of_it_when_idle(self) -> None:
        # 878.5 x 0.33 = 289.905
        assert power_models.node_w(CATALOG, H100, TDP, devices=8, load=0.0).range.mid == pytest.approx(289.905)


class TestCpuServer:
    def test_is_the_curve_and_the_rest_of_the_server(self) -> None:
        # 200 W x 0.75 at half load x 1.33 = 199.5 W
        tdp = Figure(Range.exact(200.0), "W", Status.MODELLED, ("tdp",))
        got = power_models.cpu_server_w(CATALOG, "AMD EPYC 7702", tdp, load=0.5)
        assert got.range.mid == pytest.approx(199.5) and got.status is Status.MODELLED

    def test_of_unknown_load_is_a_default_from_nearly_idle_to_full(self) -> None:
        tdp = Figure(Range.exact(200.0), "W", Status.MODELLED, ("tdp",))
        known, unknown = (power_models.cpu_server_w(CATALOG, "AMD EPYC 7702", tdp, load=load) for load in (0.5, None))
        assert unknown.range.mid == known.range.mid and unknown.status is Status.DEFAULT
        assert unknown.range.low < known.range.low and unknown.range.high > known.range.high

    def test_a_xeon_platinum_reaches_up_to_boaviztas_curve(self) -> None:
        tdp = Figure(Range.exact(150.0), "W", Status.MODELLED, ("tdp",))
        xeon, other = (
            power_models.cpu_server_w(CATALOG, name, tdp, load=0.5).range
            for name in ("Intel Xeon Platinum 8160", "Intel Xeon Gold 6130")
        )
        assert xeon.mid == other.mid and xeon.high > other.high


class TestRows:
    @pytest.mark.parametrize("row", [row for row in CATALOG if row.quantity == "power_model"], ids=lambda r: r.key)
    def test_every_number_has_a_range_or_a_reason(self, row) -> None:
        exact = row.factor.value.low == row.factor.value.high
        assert not exact or any(words in row.note for words in ("as for a", "the fewest nodes"))
