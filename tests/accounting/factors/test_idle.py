"""The idle draw of a device, from its own TDP or its model's."""

import pytest

from accounting.factors.catalog import load_packaged
from accounting.factors.idle import idle_draw_w
from accounting.methods.records import Status

BOOK = load_packaged()


class TestIdleDraw:
    def test_is_the_share_of_the_tdp_that_its_driver_states(self) -> None:
        # 0.155 x 700 W = 108.5 W, from 0.10 x 700 = 70 W to 0.25 x 700 = 175 W
        got = idle_draw_w(BOOK, kind="gpu", model="", tdp_w=700.0)
        assert got is not None and got.factor_ids == ("idle_share:gpu:acme",) and got.status is Status.MODELLED
        assert (got.range.low, got.range.mid, got.range.high) == pytest.approx((70.0, 108.5, 175.0))

    def test_finds_the_tdp_by_the_models_name(self) -> None:
        got = idle_draw_w(BOOK, kind="gpu", model="NVIDIA H100 80GB HBM3", tdp_w=None)
        assert got is not None and got.range.mid == pytest.approx(108.5) and len(got.factor_ids) == 2

    @pytest.mark.parametrize(
        ("kind", "model", "tdp_w"), [("gpu", "", None), ("gpu", "no such card", None), ("memory", "", 20.0)]
    )
    def test_is_not_known_without_a_share_or_a_tdp(self, kind: str, model: str, tdp_w: float | None) -> None:
        assert idle_draw_w(BOOK, kind=kind, model=model, tdp_w=tdp_w) is None
