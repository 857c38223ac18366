"""Which quantity of an answer a factor's id moves."""

import pytest

from accounting.reports.quantities import topic_of


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
