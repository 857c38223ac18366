"""Where an hour's intensity is found, nearest first, and that the answer says so."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from accounting.factorbook import catalog
from accounting.factorbook.sites import site_factors
from accounting.factorbook.terms import SiteFactors
from accounting.methods.records import Status
from accounting.models import GridHour, Site
from accounting.reports.provenance import describe
from accounting.reports.rates import carbon_rate
from tests.accounting.ledger.rows import EIGHT, HOUR, a_site, tell

pytestmark = pytest.mark.django_db
GOOGLE = {"cloud_provider": "gcp", "cloud_region": "europe-west1"}
AMAZON = {"cloud_provider": "aws", "cloud_region": "us-east-1"}


def told(g: float, zone: str = "FR", hour: datetime = EIGHT, **fields: Any) -> GridHour:
    usual = {"signal": "average", "emission_basis": "lifecycle", "flow": "consumption", "provider": "electricity-maps"}
    return GridHour.objects.create(zone=zone, hour=hour, value_g_per_kwh=g, fetched_at=hour + HOUR, **(usual | fields))


def factors(site: Site | None, hour: datetime = EIGHT) -> SiteFactors:
    place = (site.pk if site else None, hour)
    return site_factors([place])[place]


class TestSteps:
    @pytest.mark.parametrize(
        ("terms", "step", "first_id"),
        [
            ({"grid_zone": "DE"}, "yearly zone", "intensity:DE:2025"),
            (GOOGLE, "cloud region", "intensity:cloud:gcp:europe-west1:2024"),
            (AMAZON, "subdivision", "intensity:US-VA:2023@cloud:aws:us-east-1"),
            ({"grid_zone": "FR-IDF"}, "country", "intensity:FR:2025@unknown-part:FR-IDF"),
            ({"grid_zone": "LI"}, "continent", "intensity:continent:europe:2023@unknown-part:LI"),
            ({}, "world", "intensity:world:2025"),
        ],
    )  # fmt: skip
    def test_fall_from_the_year_of_the_zone_to_the_world(self, terms: dict[str, str], step: str, first_id: str) -> None:
        found = factors(a_site("somewhere", **terms))
        assert (found.intensity_step, found.intensity_g_per_kwh.factor_ids) == (step, (first_id,))

    @pytest.mark.parametrize(
        ("year", "first_id", "status"),
        [
            (2021, "intensity:FR:2021", Status.MODELLED),
            (2024, "intensity:FR:2024", Status.MODELLED),
            (2018, "intensity:FR:2019@for-year:2018", Status.DEFAULT),
        ],
    )
    def test_take_the_year_of_the_hour_and_say_so_where_it_is_not_known(
        self, year: int, first_id: str, status: Status
    ) -> None:
        site = a_site("paris", grid_zone="FR", valid_from=EIGHT.replace(year=2017))
        intensity = factors(site, EIGHT.replace(year=year)).intensity_g_per_kwh
        assert (intensity.factor_ids, intensity.status) == ((first_id,), status)

    def test_take_the_worlds_year_without_a_site(self) -> None:
        assert factors(None, EIGHT.replace(year=2022)).intensity_g_per_kwh.factor_ids == ("intensity:world:2022",)

    def test_begin_with_telemetry_then_the_hour_of_the_zone(self) -> None:
        site = a_site("paris", grid_zone="FR")
        told(40.0)
        assert factors(site).intensity_step == "hourly zone"
        tell(site, EIGHT, grid_intensity_g_per_kwh=33.0)
        found = factors(site)
        assert (found.intensity_step, found.intensity_g_per_kwh.range.mid) == ("telemetry", 33.0)

    def test_name_both_where_telemetry_held_for_a_part_of_the_hour(self) -> None:
        site = a_site("paris", grid_zone="FR")
        told(40.0)
        tell(site, EIGHT + timedelta(minutes=45), grid_intensity_g_per_kwh=80.0)
        found = factors(site)
        assert found.intensity_step == "telemetry + hourly zone"
        assert found.intensity_g_per_kwh.range.mid == pytest.approx(0.75 * 40 + 0.25 * 80)

    def test_of_no_site_are_the_world(self) -> None:
        told(40.0)
        assert factors(None).intensity_step == "world"

    def test_outlive_a_region_that_the_table_has_lost(self) -> None:
        assert factors(a_site("old", cloud_provider="aws", cloud_region="atlantis-1")).intensity_step == "world"


class TestHourlyZone:
    def test_carries_its_range_and_the_ids_of_value_and_tolerance(self) -> None:
        told(40.0)
        intensity = factors(a_site("paris", grid_zone="FR")).intensity_g_per_kwh
        # 40 g/kWh, within 10 %
        assert (intensity.range.low, intensity.range.mid, intensity.range.high) == pytest.approx((36.0, 40.0, 44.0))
        assert intensity.factor_ids == ("grid:electricity-maps:FR:2026-03-02T08Z", "tolerance:grid_intensity/hourly")
        assert intensity.status is Status.MODELLED

    def test_is_wider_and_says_so_where_the_provider_calls_it_estimated(self) -> None:
        told(40.0, is_estimated=True)
        intensity = factors(a_site("paris", grid_zone="FR")).intensity_g_per_kwh
        assert (intensity.range.low, intensity.range.high) == pytest.approx((30.0, 52.0))
        assert intensity.factor_ids[0] == "grid:electricity-maps:FR:2026-03-02T08Z@estimated"
        assert intensity.status is Status.MODELLED

    def test_never_takes_a_marginal_value(self) -> None:
        told(400.0, signal="marginal")
        told(400.0, signal="marginal", emission_basis="direct", provider="watttime")
        for basis in ("", "direct"):
            assert (
                factors(a_site(f"paris-{basis}", grid_zone="FR", emission_basis=basis)).intensity_step == "yearly zone"
            )

    def test_never_mixes_bases(self, settings: Any) -> None:
        site, own = a_site("paris", grid_zone="FR"), a_site("lyon", grid_zone="FR", emission_basis="direct")
        told(40.0)
        told(25.0, emission_basis="direct")
        assert [factors(s).intensity_g_per_kwh.range.mid for s in (site, own)] == [40.0, 25.0]
        assert factors(own).intensity_g_per_kwh.factor_ids[0].endswith("@direct")
        settings.GREENAI = {**settings.GREENAI, "emission_basis": "direct"}
        assert factors(site).intensity_g_per_kwh.range.mid == 25.0

    def test_takes_what_an_organisation_imported_before_what_a_service_told(self) -> None:
        told(40.0)
        told(50.0, provider="csv")
        told(60.0, provider="entsoe", flow="production")
        assert factors(a_site("paris", grid_zone="FR")).intensity_g_per_kwh.range.mid == 50.0

    def test_of_a_generation_mix_is_wider_and_says_production(self) -> None:
        told(40.0, provider="entsoe", flow="production")
        intensity = factors(a_site("paris", grid_zone="FR")).intensity_g_per_kwh
        assert intensity.factor_ids == (
            "grid:entsoe:FR:2026-03-02T08Z@production", "tolerance:grid_intensity/hourly-mix"
        )  # fmt: skip

    def test_of_another_hour_or_the_country_around_is_not_taken(self) -> None:
        told(40.0, hour=EIGHT - HOUR)
        told(300.0, zone="US")
        assert factors(a_site("paris", grid_zone="FR")).intensity_step == "yearly zone"
        assert factors(a_site("california", grid_zone="US-CA")).intensity_step == "yearly zone"

    def test_costs_one_query_for_many_sites_and_hours(self, django_assert_num_queries: Any) -> None:
        sites = [a_site(f"s{n}", grid_zone="FR") for n in range(5)]
        places = [(site.pk, EIGHT + k * HOUR) for site in sites for k in range(4)]
        for k in range(4):
            told(40.0 + k, hour=EIGHT + k * HOUR)
        # terms, slugs, grid hours, hourly prices, tariffs, claims; readings of each site
        with django_assert_num_queries(7 + len(sites)):
            found = site_factors(places)
        assert {factors.intensity_step for factors in found.values()} == {"hourly zone"}


class TestCloudTerms:
    def test_give_pue_water_and_price_of_the_region_where_the_site_says_nothing(self) -> None:
        found = factors(a_site("cloud", cloud_provider="aws", cloud_region="eu-west-3"))
        assert all("aws" in ids[0] for ids in (found.pue.factor_ids, found.wue_l_per_kwh.factor_ids))
        assert found.price_per_kwh.factor_ids == (catalog().get("price_zone", "FR").id,)
        assert found.ewif_l_per_kwh.factor_ids == (catalog().get("ewif", "FR").id,)

    def test_go_behind_what_the_site_states(self) -> None:
        site = a_site("cloud", cloud_provider="aws", cloud_region="eu-west-3", pue=1.7, electricity_price_per_kwh=0.2)
        found = factors(site)
        assert found.pue.range.mid == 1.7 and found.price_per_kwh.range.mid == 0.2

    def test_a_zone_without_a_known_price_keeps_the_currencys(self) -> None:
        found = factors(a_site("tokyo", grid_zone="JP"))
        assert found.price_per_kwh.factor_ids == (catalog().get("price", "EUR").id,)


class TestStale:
    """Live figures only: the hour that runs, shown by the newest that is known."""

    def rate(self, *, hours_ago: int) -> Any:
        site = a_site("paris", grid_zone="FR")
        told(40.0, hour=EIGHT - hours_ago * HOUR)
        return carbon_rate(site, now=EIGHT + timedelta(minutes=10))

    def test_shows_the_newest_value_as_a_default_with_a_wide_range(self) -> None:
        rate = self.rate(hours_ago=6)
        intensity = rate.intensity_g_per_kwh
        assert (intensity.low, intensity.mid, intensity.high) == pytest.approx((24.0, 40.0, 53.2))
        assert (intensity.status, rate.stale_hour) == ("DEFAULT", EIGHT - 6 * HOUR)
        assert intensity.factor_ids[0] == "grid:electricity-maps:FR:2026-03-02T02Z@stale"

    def test_shows_no_value_older_than_that(self) -> None:
        rate = self.rate(hours_ago=7)
        assert (rate.intensity_step, rate.stale_hour) == ("yearly zone", None)

    def test_ends_with_the_hours_own_value(self) -> None:
        told(50.0)
        rate = self.rate(hours_ago=1)
        assert (rate.intensity_g_per_kwh.mid, rate.stale_hour) == (50.0, None)

    def test_never_reaches_the_ledger(self) -> None:
        site = a_site("paris", grid_zone="FR")
        told(40.0, hour=EIGHT - HOUR)
        assert factors(site).intensity_step == "yearly zone"


class TestProvenance:
    def test_lists_the_hours_of_a_series_as_one_line(self) -> None:
        ids = [f"grid:csv:FR:2026-03-02T{hour:02d}Z" for hour in range(24)] + ["grid:csv:FR:2026-03-03T00Z@estimated"]
        whole, estimated = describe(ids)
        assert whole.of == "FR 2026-03-02T00Z to 2026-03-02T23Z, 24 hours" and whole.source == "csv, hour by hour"
        assert (estimated.id, estimated.source) == (ids[-1], "csv, hour by hour (estimated)")
