"""Ids that ledger rows carry of what was bought or stated: each answers the number behind it."""

from datetime import date

import pytest

from accounting.factorbook.resolve import resolve
from accounting.models import Device, EnergyContract, ExchangeRate, Host
from accounting.reports.provenance import describe
from tests.accounting.ledger.rows import EIGHT, HOUR

pytestmark = pytest.mark.django_db


@pytest.fixture
def ids() -> dict[str, tuple[float, str]]:
    """Ids, and the value and unit that stand behind each."""
    contract = EnergyContract.objects.create(
        name="Wind", kind="ppa", zone="IE", mwh=1.0, vintage=2026, start=EIGHT, end=EIGHT + HOUR, g_per_kwh=12.0
    )
    ExchangeRate.objects.create(currency="USD", into="EUR", day=date(2026, 2, 27), rate=0.9, source="ECB")
    host = Host.objects.create(name="n", server_embodied_kg=800.0)
    rented = {"rental_price_per_h": 2.5, "rental_currency": "USD"}
    device = Device.objects.create(host=host, key="g", kind="gpu", acquired_at=EIGHT, **rented)
    return {
        f"contract:{contract.pk}@annual": (12.0, "g/kWh"),
        "exchange:USD:2026-02-27@3-days-old": (0.9, "EUR/USD"),
        f"host:{host.pk}:server": (800.0, "kg"),
        f"device:{device.pk}:rental": (2.5, "USD/h"),
    }


class TestResolve:
    def test_knows_what_contracts_rates_servers_and_rents_state(self, ids: dict[str, tuple[float, str]]) -> None:
        found = resolve(ids)
        assert {one: (of.row.factor.value.mid, of.row.factor.unit) for one, of in found.items() if of.row} == ids
        assert {line.id: line.factor.unit for line in describe(ids)} == {one: unit for one, (_, unit) in ids.items()}

    def test_says_that_it_knows_nothing_of_what_is_gone_or_never_was(self) -> None:
        ids = ("contract:99@annual", "exchange:USD:2026-02-31", "exchange:usd:x", "host:7:server", "device:9:rental")
        assert all(one.row is None for one in resolve(ids).values())

    def test_asks_once_for_each_kind(self, ids: dict[str, tuple[float, str]], django_assert_num_queries) -> None:
        with django_assert_num_queries(4):
            resolve(ids)
