"""Which quantity of an answer a factor's id moves."""

import pytest

from accounting.factorbook import catalog
from accounting.reports.quantities import topic_of, topics_of


class TestTopicOf:
    @pytest.mark.parametrize(
        ("factor_id", "topic"),
        [
            ("price-hour:DE-LU", "price"),
            ("tariff:lyon:peak@2026-01-01", "price"),
            ("exchange:USD:2026-02-27@3-days-old", "price"),
            ("site:lyon:carbon_price@2026-01-01", "price"),
            ("price:FR:2024", "price"),
            ("device:7:rental", "price"),
            ("device:7:written-off", "embodied"),
            ("device:7:embodied_kg", "embodied"),
            ("host:3:server", "embodied"),
            ("component:mainboard:boaviztapi-doc", "embodied"),
            ("server:cpu_server_1u:dell-r640", "embodied"),
            ("die:nvidia-l4:2025", "embodied"),
            ("allocation:time-and-use", "embodied"),
        ],
    )
    def test_knows_what_prices_and_making_rest_on(self, factor_id: str, topic: str) -> None:
        assert topic_of(factor_id) == topic

    @pytest.mark.parametrize(
        ("factor_id", "topic"),
        [
            ("residual:BE:2025", "market"),
            ("own:7:residual_mix:BE", "market"),
            ("site:lyon:supplier@2026-01-01", "market"),
            ("site:lyon:residual_mix@2026-01-01", "market"),
            ("contract:3@hourly", "market"),
            ("own:7:price_zone:FR", "price"),
            ("own:7:cloud_grid_intensity:gcp:europe-west1", "intensity"),
            ("own:7:cloud_pue:aws", "pue"),
            ("own:7:cloud_wue:aws", "wue"),
            ("own:7:continent_ewif:europe", "ewif"),
            ("own:7:embodied_server:cpu_server_1u", "embodied"),
            ("own:7:tolerance:gpu/measured", "energy"),
            ("own:7:tolerance:pue/declared", "pue"),
            ("own:7:tolerance:price/declared", "price"),
            ("telemetry:lyon:water", "wue"),
            ("telemetry:lyon:cooling_power@beyond-pue-10", "pue"),
            ("grid:csv:FR:2026-03-02T08Z@estimated", "intensity"),
        ],
    )
    def test_knows_what_sites_contracts_and_own_factors_speak_of(self, factor_id: str, topic: str) -> None:
        assert topic_of(factor_id) == topic

    def test_knows_both_sides_of_an_accelerators_power_and_that_memory_is_made(self) -> None:
        assert topics_of("tdp:nvidia-l4:2025") == ("energy", "embodied")
        assert topics_of("memory:nvidia-l4:2025") == ("embodied",)

    def test_knows_every_id_of_the_catalogue_that_a_ledger_row_may_cite(self) -> None:
        speeds = ("accelerator_bandwidth", "accelerator_fp16", "cooling_pue", "cooling_wue")
        assert [row.factor.id for row in catalog() if not topic_of(row.factor.id) and row.quantity not in speeds] == []
