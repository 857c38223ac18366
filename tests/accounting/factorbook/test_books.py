"""The catalogue of a place, a team and an hour: the nearest statement counts, and every process sees a change."""

import pytest
from django.db import transaction

from accounting.factorbook import books as books_module
from accounting.factorbook import catalog, own
from accounting.factorbook.books import Books, books, catalog_for
from accounting.factorbook.own_rules import Stated
from accounting.factors import lookup
from accounting.models import OwnFactor, Site, Team
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_site

pytestmark = pytest.mark.django_db


def state(**said: object) -> OwnFactor:
    given = {
        "quantity": "grid_intensity", "key": "FR", "value": 40.0, "low": 30.0, "high": 50.0, "unit": "g/kWh",
        "status": "MODELLED", "source": "RTE", "reason": "asked",
    }  # fmt: skip
    change = own.put(Stated(**(given | said)), actor="ada", now=NOON)
    assert change.after is not None
    return change.after


@pytest.fixture
def place() -> tuple[Site, Team]:
    return a_site(), Team.objects.create(name="Vision", slug="vision")


class TestBooks:
    def test_without_own_factors_are_the_packaged_catalogue_itself(self, django_assert_num_queries) -> None:
        with django_assert_num_queries(1):
            assert catalog_for(at=EIGHT) is catalog()

    def test_answer_every_lookup_with_its_own_fallbacks(self) -> None:
        factor = state()
        state(quantity="pue", key="default", value=1.2, low=1.1, high=1.3, unit="1")
        book = catalog_for(at=EIGHT)
        widened = lookup.grid_intensity(book, "FR-IDF")
        assert widened.id == f"{factor.factor_id}@unknown-part:FR-IDF" and widened.value.mid == 40.0
        assert lookup.pue(book).value.mid == 1.2
        assert lookup.grid_intensity(book, "DE") == lookup.grid_intensity(catalog(), "DE")
        assert lookup.intensity(book, zone="FR").factor.id == factor.factor_id

    def test_go_from_site_to_team_to_organisation(self, place: tuple[Site, Team]) -> None:
        site, team = place
        state()
        state(team_id=team.pk, value=35.0)
        state(site_id=site.pk, value=31.0)
        held = books()

        def intensity(**of: int) -> float:
            return held.at(EIGHT, **of).get("grid_intensity", "FR").value.mid

        assert intensity() == intensity(site_id=site.pk + 1, team_id=team.pk + 1) == 40.0
        assert intensity(team_id=team.pk) == 35.0
        assert intensity(site_id=site.pk) == intensity(site_id=site.pk, team_id=team.pk) == 31.0

    def test_hold_from_the_first_hour_up_to_the_last(self) -> None:
        state(valid_from=EIGHT, valid_to=EIGHT + HOUR)
        held, packaged = books(), catalog().get("grid_intensity", "FR").value.mid
        found = [held.at(EIGHT + k * HOUR).get("grid_intensity", "FR").value.mid for k in (-1, 0, 1)]
        assert found == [packaged, 40.0, packaged]

    def test_see_what_another_process_changed_and_not_what_was_rolled_back(self) -> None:
        before = books()
        assert books() is before
        try:
            with transaction.atomic():
                state()
                assert books().at(EIGHT) is not catalog()
                raise RuntimeError("the connection broke")
        except RuntimeError:
            pass
        assert books().at(EIGHT) is catalog()
        state()
        assert books().at(EIGHT) is not catalog()

    def test_forget_catalogues_rather_than_fill_the_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(books_module, "MOST_KEPT", 3)
        for k in range(0, 8, 2):
            state(valid_from=EIGHT + k * HOUR, valid_to=EIGHT + (k + 1) * HOUR)
        held = Books(catalog(), OwnFactor.objects.in_force())
        mids = [held.at(EIGHT + k * HOUR).get("grid_intensity", "FR").value.mid for k in range(8)]
        assert mids == [40.0, catalog().get("grid_intensity", "FR").value.mid] * 4
        assert len(held._catalogs) <= 3
