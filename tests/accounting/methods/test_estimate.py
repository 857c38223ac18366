"""Power without a meter: the curves' own published points, the order of ranges, and metered nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.factors import power_models
from accounting.factors.catalog import load_packaged
from accounting.methods import estimate
from accounting.methods.facility import FacilityEnergy
from accounting.methods.operational import co2e_market_g
from accounting.methods.records import Figure, Range, Status

CATALOG = load_packaged()
CURVE = power_models.teads_curve(CATALOG)
XEON_PLATINUM = power_models.boavizta_xeon_platinum(CATALOG)
loads = st.floats(0, 1)


def number(key: str) -> Figure:
    return power_models.number(CATALOG, key).figure


def idle_share(kind: str) -> Figure:
    return CATALOG.get("idle_share", kind).figure


def exact(value: float, unit: str = "W") -> Figure:
    return Figure(Range.exact(value), unit, Status.MODELLED, ("x",))


class TestCpu:
    def test_linear_goes_from_the_idle_draw_to_tdp(self) -> None:
        # 100 W x (0.1 + 0.9 x 0.5) = 55 W; idle at least 0.05: 100 x 0.525; at most 0.4: 100 x 0.7
        r = estimate.cpu_linear_w(exact(100), 0.5, idle_share=idle_share("cpu")).range
        assert (r.low, r.mid, r.high) == pytest.approx((52.5, 55, 70))

    @pytest.mark.parametrize(("load", "watts"), [(0, 12), (0.1, 32), (0.3, 53.5), (0.5, 75), (0.75, 88.5), (1, 102)])
    def test_curve_passes_through_its_points(self, load: float, watts: float) -> None:
        # 0.3 lies half way between 0.1 and 0.5: (32 + 75) / 2; 0.75 half way between 0.5 and 1: (75 + 102) / 2
        got = estimate.cpu_curve_w(exact(100), load, curve=CURVE)
        assert got.range.mid == pytest.approx(watts) and got.status is Status.MODELLED

    def test_curve_is_as_wide_as_the_points_it_lies_between(self) -> None:
        # 100 W x (0.32 + 0.75) / 2 = 53.5; the points reach down to 0.15 and 0.5, up to 0.4 and 0.9, independently
        got = estimate.cpu_curve_w(exact(100), 0.3, curve=CURVE)
        assert 32.5 < got.range.low < 53.5 < got.range.high < 65
        assert got.factor_ids == ("power_model:teads_curve/10:teads", "power_model:teads_curve/50:teads", "x")

    def test_all_models_together_span_what_each_says(self) -> None:
        # at half load: curve 0.75 (0.5 to 0.9), straight 0.55 (0.525 to 0.7), and 1.2148 of another curve
        idle = idle_share("cpu")
        r = estimate.cpu_share_by_all_models(0.5, curve=CURVE, idle_share=idle, others=[1.2148]).range
        assert (r.low, r.mid, r.high) == pytest.approx((0.5, 0.75, 1.2148))

    def test_log_curve_of_a_xeon_platinum_at_half_load(self) -> None:
        # 171.1813 x ln(0.0354 x (50 + 36.8953)) - 10.1336 = 171.1813 x ln(3.07609) - 10.1336 = 182.22
        got = estimate.cpu_log_w(0.5, **XEON_PLATINUM)
        assert got == pytest.approx(182.22, abs=0.01)

    @given(loads, loads)
    def test_more_load_never_draws_less(self, one: float, other: float) -> None:
        less, more = sorted((one, other))
        for model in (
            lambda at: estimate.cpu_curve_w(exact(100), at, curve=CURVE).range.mid,
            lambda at: estimate.cpu_log_w(at, **XEON_PLATINUM),
            lambda at: estimate.gpu_w(exact(700), at, idle_share=idle_share("gpu")).range.mid,
        ):
            assert model(less) <= model(more) + 1e-9

    @pytest.mark.parametrize("load", [-0.01, 1.01, float("nan")])
    def test_refuses_a_load_that_is_no_ratio(self, load: float) -> None:
        with pytest.raises(ValueError, match="a ratio from 0 to 1"):
            estimate.cpu_curve_w(exact(100), load, curve=CURVE)
        with pytest.raises(ValueError, match="a ratio from 0 to 1"):
            estimate.cpu_log_w(load, **XEON_PLATINUM)

    @pytest.mark.parametrize("at", [(), (0,), (0, 0.9), (0, 0.5, 0.5, 1)])
    def test_refuses_a_curve_that_leaves_loads_out(self, at: tuple[float, ...]) -> None:
        curve = [(load, exact(1, "1")) for load in at]
        with pytest.raises(ValueError, match="rise from load 0 to load 1"):
            estimate.cpu_curve_w(exact(100), 0.5, curve=curve)

    def test_refuses_coefficients_without_a_draw(self) -> None:
        with pytest.raises(ValueError, match="do not fit"):
            estimate.cpu_log_w(0.5, a=100, b=0.0001, c=0, d=0)

    def test_refuses_an_idle_share_above_the_full_draw(self) -> None:
        with pytest.raises(ValueError, match="idle share"):
            estimate.gpu_w(exact(100), 0.5, idle_share=exact(1.1, "1"))


class TestGpuMemoryNode:
    def test_gpu_at_half_utilization(self) -> None:
        # 400 W x (0.155 + 0.845 x 0.5) = 231 W; low 400 x 0.55, high 400 x 0.625
        r = estimate.gpu_w(exact(400), 0.5, idle_share=idle_share("gpu")).range
        assert (r.low, r.mid, r.high) == pytest.approx((220, 231, 250))

    def test_memory_by_its_capacity(self) -> None:
        # 1000 GB x 0.3725 = 372.5 W, where CodeCarbon says about 40 and Cloud Carbon Footprint 392
        r = estimate.memory_w(1000, number("memory_w_per_gb")).range
        assert (r.low, r.mid, r.high) == pytest.approx((40, 372.5, 392))
        with pytest.raises(ValueError, match="installed capacity"):
            estimate.memory_w(-1, number("memory_w_per_gb"))

    def test_node_from_what_its_gpus_drew(self) -> None:
        # 10 kWh x 1.45 = 14.5 kWh; 12.5 to 16.5
        r = estimate.node_from_gpu_energy(exact(10, "kWh"), number("node_over_gpu")).kwh.range
        assert (r.low, r.mid, r.high) == pytest.approx((12.5, 14.5, 16.5))

    def test_an_idle_node_still_draws(self) -> None:
        # 700 W x 1.255 x 0.33 = 289.9 W a GPU: 2.3 kW a node, as the meters show before and after a run
        idle = idle_share("node")
        draw = number("node_draw_one_node/nvidia-h100-sxm")
        got = estimate.node_from_tdp_w(exact(700), draw, utilization=0, idle_share=idle).range.mid
        assert got == pytest.approx(289.905) and 8 * got == pytest.approx(2319.24)

    def test_energy_counts_every_device_hour(self) -> None:
        assert estimate.energy_of(exact(400), exact(1000, "h")).kwh.range.mid == 400  # 400 W x 1000 h / 1000


class TestMarketBased:
    ENERGY = FacilityEnergy(exact(30, "kWh"))

    def test_takes_the_suppliers_factor_before_the_residual_mix(self) -> None:
        got = co2e_market_g(self.ENERGY, exact(20, "g/kWh"), exact(500, "g/kWh"))
        assert got is not None and got.range.mid == 600  # 30 kWh x 20 g/kWh

    def test_falls_to_the_residual_mix(self) -> None:
        got = co2e_market_g(self.ENERGY, None, exact(500, "g/kWh"))
        assert got is not None and got.range.mid == 15_000  # 30 kWh x 500 g/kWh

    def test_is_unknown_without_either(self) -> None:
        assert co2e_market_g(self.ENERGY, None, None) is None

    def test_a_green_contract_of_nought_is_not_unknown(self) -> None:
        got = co2e_market_g(self.ENERGY, exact(0, "g/kWh"), exact(500, "g/kWh"))
        assert got is not None and got.range.mid == 0
