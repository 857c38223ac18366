"""What a kilowatt-hour means now, and where the numbers come from."""

import json

import pytest

from accounting.factorbook import catalog
from accounting.models import Site, SiteTerms
from accounting.reports.provenance import describe
from accounting.reports.queries import carbon_rate
from tests.accounting.reports.rows import DAY, HOUR, NINE, NOW

pytestmark = pytest.mark.django_db


class TestCarbonRate:
    def test_of_a_site_nobody_described_is_the_worlds_and_says_so(self) -> None:
        rate = carbon_rate(Site.objects.create(name="x", slug="x"), now=NOW)
        world = catalog().get("grid_intensity", "world")
        assert (rate.intensity_g_per_kwh.mid, rate.intensity_g_per_kwh.status) == (world.value.mid, "DEFAULT")
        assert rate.intensity_g_per_kwh == carbon_rate(None, now=NOW).intensity_g_per_kwh

    def test_follows_the_terms_that_hold_in_the_running_hour(self) -> None:
        site = Site.objects.create(name="x", slug="x")
        SiteTerms.objects.create(site=site, valid_from=NINE - DAY, grid_zone="FR", pue=1.2)
        SiteTerms.objects.create(site=site, valid_from=NINE + HOUR, grid_zone="PL", pue=1.9)
        rate = carbon_rate(site, now=NOW)
        assert rate.intensity_g_per_kwh.mid == catalog().get("grid_intensity", "FR").value.mid
        assert rate.pue.mid == pytest.approx(1.2) and rate.pue.low < rate.pue.mid < rate.pue.high

    def test_goes_into_a_json_column_and_back(self) -> None:
        kept = json.loads(json.dumps(carbon_rate(None, now=NOW).as_json()))
        assert kept["pue"]["mid"] == carbon_rate(None, now=NOW).pue.mid
        assert kept["price_per_kwh"]["status"] == "DEFAULT"


class TestDescribe:
    def test_names_value_and_source_of_a_packaged_factor(self) -> None:
        (line,) = describe(["intensity:FR:2025"])
        assert line.factor == catalog().get("grid_intensity", "FR")
        assert (line.quantity, line.of, line.url) == ("Grid intensity", "FR", line.factor.url)

    def test_calls_a_countrys_mean_for_an_unknown_part_a_default(self) -> None:
        (line,) = describe(["intensity:FR:2023@unknown-part:FR-IDF"])
        assert (line.of, line.status) == ("FR for FR-IDF", "DEFAULT")

    def test_lists_what_a_site_said_and_what_the_catalogue_lost(self) -> None:
        lines = describe(["site:lyon:pue@2026-01-01", "gone:thing"])
        assert [line.source for line in lines] == ["Not in the catalogue any more", "As stated in the site's terms"]

    def test_an_unknown_price_is_none_with_the_reason(self, settings) -> None:
        settings.GREENAI = {**settings.GREENAI, "currency": "JPY"}
        rate = carbon_rate(None, now=NOW)
        assert rate.price_per_kwh is None and rate.price_step == ""
        assert rate.price_note == "no typical price in JPY is known: state the site's price"
        assert json.loads(json.dumps(rate.as_json()))["price_per_kwh"] is None
