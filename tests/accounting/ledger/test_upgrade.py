"""After an upgrade only what it changed is restated, with the reason in words, and a kill in between loses nothing."""

from dataclasses import replace

import pytest

from accounting.factorbook import catalog
from accounting.factors.catalog import Catalog, Row
from accounting.ledger import upgrade
from accounting.ledger.rebuild import rebuild_dirty
from accounting.ledger.restate import settle
from accounting.methods.records import Factor, Range, Status
from accounting.models import DirtyHour, LedgerHour, RestatedDay, Restatement, SeenCatalogue
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, post

pytestmark = pytest.mark.django_db


def with_value(row: Row, value: Range) -> Row:
    return replace(row, factor=replace(row.factor, value=value))


def installed(monkeypatch: pytest.MonkeyPatch, change) -> None:
    """Another release's catalogue: `change` answers a row's successor, or None where it is gone."""
    rows = [after for row in catalog() if (after := change(row)) is not None]
    install(monkeypatch, rows)


def install(monkeypatch: pytest.MonkeyPatch, rows: list[Row]) -> None:
    other = Catalog(rows)
    monkeypatch.setattr("accounting.ledger.upgrade.catalog", lambda: other)
    monkeypatch.setattr("accounting.factorbook.books.catalog", lambda: other)


def made() -> None:
    while rebuild_dirty(now=NOON):
        pass
    settle(now=NOON)


@pytest.fixture
def places() -> dict[str, int]:
    """A French and a German machine, an hour each, made with what is installed."""
    pks = {}
    for slug, zone in (("paris", "FR-IDF"), ("berlin", "DE")):
        device = a_device(site=a_site(slug, grid_zone=zone), retired_at=EIGHT + HOUR, retirement="passed_on")
        post(device, range(0, 3600, 60), 1000.0)
        pks[slug] = device.pk
    upgrade.restate_upgrade(now=NOON)
    made()
    upgrade.restate_upgrade(now=NOON)
    assert not Restatement.objects.exists()
    return pks


class TestUpgradeOfTheFactors:
    def test_restates_the_hours_that_a_changed_row_moved_and_says_from_what_to_what(self, places, monkeypatch) -> None:
        def change(row: Row) -> Row:
            return with_value(row, Range(10.0, 20.0, 90.0)) if row.factor.id == "intensity:FR:2025" else row

        old = catalog().get("grid_intensity", "FR").value.mid
        installed(monkeypatch, change)
        restatement = upgrade.restate_upgrade(now=NOON)
        assert set(DirtyHour.objects.values_list("device", flat=True)) == {places["paris"]}
        assert restatement.reason == f"the packaged factor intensity:FR:2025 changed from {old:g} to 20 g/kWh"
        assert (restatement.cause, restatement.factor_ids) == ("packaged_factors", ["intensity:FR:2025"])
        made()
        row = LedgerHour.objects.get(device=places["paris"])
        assert row.co2e_location_g == pytest.approx(row.facility_energy_kwh * 20.0)
        assert Restatement.objects.get().state == "done"
        assert upgrade.restate_upgrade(now=NOON) is None

    def test_restates_what_a_new_row_answers_for_more_exactly(self, places, monkeypatch) -> None:
        value = Factor("intensity:FR-IDF:2025", Range(10.0, 20.0, 30.0), "g/kWh", Status.MODELLED, "RTE")
        france = next(row for row in catalog() if row.factor.id == "intensity:FR:2025")
        install(monkeypatch, [*catalog(), replace(france, factor=value, key="FR-IDF")])
        restatement = upgrade.restate_upgrade(now=NOON)
        assert restatement.reason == "1 packaged factors are new"
        assert set(DirtyHour.objects.values_list("device", flat=True)) == {places["paris"]}

    def test_that_moved_no_hour_leaves_no_restatement(self, places, monkeypatch) -> None:
        installed(monkeypatch, lambda row: None if row.factor.id == "intensity:PL:2023" else row)
        assert upgrade.restate_upgrade(now=NOON) is None
        assert not Restatement.objects.exists() and not DirtyHour.objects.exists()
        assert "intensity:PL:2023" not in SeenCatalogue.objects.get().rows


class TestUpgradeOfTheMethods:
    def test_restates_every_hour_of_another_method(self, places, monkeypatch) -> None:
        monkeypatch.setattr("accounting.ledger.upgrade.METHOD", "2099.1")
        monkeypatch.setattr("accounting.ledger.save.METHOD", "2099.1")
        method = LedgerHour.objects.values_list("method", flat=True).first()
        restatement = upgrade.restate_upgrade(now=NOON)
        assert restatement.reason == f"methods {method} → 2099.1" and restatement.hours == 2
        assert (restatement.method_before, restatement.method_after) == (method, "2099.1")
        made()
        assert set(LedgerHour.objects.values_list("method", flat=True)) == {"2099.1"}
        before, after = (RestatedDay.objects.filter(after=which).count() for which in (False, True))
        assert before == after == 2

    def test_goes_on_where_a_kill_left_it(self, places, monkeypatch) -> None:
        monkeypatch.setattr("accounting.ledger.upgrade.METHOD", "2099.1")
        finish = upgrade._finish
        monkeypatch.setattr("accounting.ledger.upgrade._finish", lambda *_, **__: None)
        upgrade.restate_upgrade(now=NOON)
        assert Restatement.objects.get().state == "marking"
        monkeypatch.setattr("accounting.ledger.upgrade._finish", finish)
        restatement = upgrade.restate_upgrade(now=NOON)
        assert (restatement.state, restatement.hours) == ("pending", 2)
        assert Restatement.objects.count() == 1 and RestatedDay.objects.count() == 2

    def test_of_a_ledger_from_before_restatements_tells_by_its_rows(self, places) -> None:
        SeenCatalogue.objects.all().delete()
        LedgerHour.objects.filter(device=places["paris"]).update(method="2026.1")
        restatement = upgrade.restate_upgrade(now=NOON)
        assert restatement.reason == f"methods 2026.1 → {upgrade.METHOD}"
        assert set(DirtyHour.objects.values_list("device", flat=True)) == {places["paris"]}


class TestChangedSettings:
    def test_restate_every_hour_and_say_from_what_to_what(self, places, settings) -> None:
        settings.GREENAI = settings.GREENAI | {
            "max_gap_s": 30.0
        }  # readings come each minute: all of them are holes now
        assert upgrade.restate_upgrade(now=NOON).hours == 2
        made()
        one = Restatement.objects.get()
        assert one.reason == "the setting max_gap_s changed from 120.0 to 30.0"
        assert (one.state, one.cause) == ("done", "methods")
        before, after = (sum(one.days.filter(after=a).values_list("it_energy_kwh", flat=True)) for a in (False, True))
        assert before > 1.9 and after == 0.0
        assert upgrade.restate_upgrade(now=NOON) is None

    def test_that_no_figure_follows_restate_nothing(self, places, settings) -> None:
        settings.GREENAI = settings.GREENAI | {"lease_s": 5.0}
        assert upgrade.restate_upgrade(now=NOON) is None and not DirtyHour.objects.exists()
