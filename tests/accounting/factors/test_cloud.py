"""Cloud regions find their grid, their overhead and their water, and say by which step."""

import pytest

from accounting.factors import lookup
from accounting.factors.catalog import load_packaged
from accounting.factors.lookup import Step
from accounting.factors.places import cloud_regions, continent_of, find_cloud_region
from accounting.methods.records import Factor, Range, Status

CATALOG = load_packaged()
REGIONS = list(cloud_regions().values())
SOURCES = {"aws-regions", "azure-regions", "gcp-region-2024"}


class TestCloudRegions:
    def test_cover_more_than_a_hundred_of_three_providers(self) -> None:
        by_provider = [region.provider for region in REGIONS]
        assert {name: by_provider.count(name) >= 35 for name in by_provider} == dict.fromkeys(
            ("aws", "azure", "gcp"), True
        )
        assert len(REGIONS) > 100

    @pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.key)
    def test_never_fall_back_to_a_continent_or_the_world(self, region: lookup.CloudRegion) -> None:
        found = lookup.intensity(CATALOG, provider=region.provider, region=region.name)
        assert found.step in (Step.CLOUD_REGION, Step.SUBDIVISION, Step.COUNTRY)
        assert "world" not in found.factor.id and region.key in found.factor.id
        assert region.source in SOURCES and region.geography in ("americas", "emea", "apac") and region.place

    @pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.key)
    def test_have_an_overhead_of_their_provider(self, region: lookup.CloudRegion) -> None:
        pue = lookup.cloud_pue(CATALOG, region)
        assert 1.0 <= pue.value.low <= pue.value.mid <= pue.value.high <= 1.7
        assert pue.id.startswith(f"pue:cloud:{region.provider}")

    @pytest.mark.parametrize(
        ("provider", "region", "key"),
        [
            ("Amazon Web Services", "US-East-1", "aws:us-east-1"),
            ("AWS", "eu-west-3", "aws:eu-west-3"),
            ("Microsoft", "East US", "azure:eastus"),
            ("Google Cloud", "europe-west9", "gcp:europe-west9"),
        ],
    )
    def test_are_found_however_they_are_written(self, provider: str, region: str, key: str) -> None:
        found = find_cloud_region(provider, region)
        assert found is not None and found.key == key

    def test_that_are_unknown_are_refused_by_name(self) -> None:
        with pytest.raises(lookup.UnknownCloudRegion, match="'mars-1' of 'aws'"):
            lookup.intensity(CATALOG, provider="aws", region="mars-1")

    def test_take_their_states_intensity_and_say_so(self) -> None:
        found = lookup.intensity(CATALOG, provider="aws", region="us-east-1")
        assert found.step is Step.SUBDIVISION and found.factor.id == "intensity:US-VA:2023@cloud:aws:us-east-1"
        assert found.factor.value.mid == pytest.approx(244.76) and found.factor.status is Status.MODELLED

    def test_take_what_their_provider_publishes_first(self) -> None:
        found = lookup.intensity(CATALOG, provider="gcp", region="us-central1")
        assert found.step is Step.CLOUD_REGION and found.factor.value.mid == pytest.approx(412.72)

    def test_in_a_part_of_a_country_without_figures_take_the_country_more_widely(self) -> None:
        found = lookup.intensity(CATALOG, provider="azure", region="australiaeast")
        assert found.step is Step.COUNTRY and found.factor.status is Status.DEFAULT
        assert found.factor.id == "intensity:AU:2025@unknown-part:AU-NSW@cloud:azure:australiaeast"

    def test_overhead_and_water_are_the_regions_where_published_else_the_geographys(self) -> None:
        virginia, frankfurt = lookup.cloud_region("azure", "eastus"), lookup.cloud_region("aws", "eu-central-1")
        assert lookup.cloud_pue(CATALOG, virginia).value.mid == 1.14
        assert lookup.cloud_wue(CATALOG, virginia).value.mid == 0.14
        assert lookup.cloud_pue(CATALOG, frankfurt).id == "pue:cloud:aws:emea:2023@cloud:aws:eu-central-1"
        assert lookup.cloud_wue(CATALOG, frankfurt).id == "wue:cloud:aws:2024@cloud:aws:eu-central-1"

    def test_carbon_free_share_is_known_for_one_provider_and_not_guessed_for_others(self) -> None:
        cfe = lookup.cloud_cfe(CATALOG, lookup.cloud_region("gcp", "europe-north2"))
        assert cfe is not None and cfe.value.mid == 1.0 and cfe.unit == "1"
        assert lookup.cloud_cfe(CATALOG, lookup.cloud_region("aws", "us-east-1")) is None


class TestIntensityChain:
    def test_what_was_told_of_the_hour_goes_first(self) -> None:
        told = Factor("series:FR:2026-11-21T07", Range(20, 25, 30), "g/kWh", Status.MEASURED, "a provider")
        found = lookup.intensity(CATALOG, zone="FR", provider="aws", region="eu-west-3", hourly=told)
        assert found == lookup.Found(told, Step.HOURLY_ZONE)

    @pytest.mark.parametrize(
        ("zone", "step", "factor_id"),
        [
            ("se-se3", Step.YEARLY_ZONE, "intensity:SE-SE3:2025"),
            ("CN-GD", Step.YEARLY_ZONE, "intensity:CN-GD:2023"),
            ("SE-SE3-STHLM", Step.SUBDIVISION, "intensity:SE-SE3:2025@unknown-part:SE-SE3-STHLM"),
            ("FR-IDF", Step.COUNTRY, "intensity:FR:2025@unknown-part:FR-IDF"),
            ("LI", Step.CONTINENT, "intensity:continent:europe:2023@unknown-part:LI"),
            ("", Step.WORLD, "intensity:world:2025"),
            ("nowhere", Step.WORLD, "intensity:world:2025"),
        ],
    )
    def test_each_step_is_taken_in_turn_and_named(self, zone: str, step: Step, factor_id: str) -> None:
        found = lookup.intensity(CATALOG, zone=zone)
        assert (found.step, found.factor.id) == (step, factor_id)

    def test_a_zone_that_is_known_goes_before_the_region_and_one_that_is_not_after_it(self) -> None:
        known = lookup.intensity(CATALOG, zone="US-CA", provider="gcp", region="us-central1")
        unknown = lookup.intensity(CATALOG, zone="US-XX", provider="gcp", region="us-central1")
        assert (known.step, unknown.step) == (Step.YEARLY_ZONE, Step.CLOUD_REGION)
        assert lookup.intensity(CATALOG, zone="US-XX", provider="gcp", region="x").step is Step.COUNTRY

    def test_ranges_widen_with_every_step_away(self) -> None:
        def spread(zone: str) -> float:
            value = lookup.intensity(CATALOG, zone=zone).factor.value
            return value.high / value.low

        assert spread("FR") < spread("FR-IDF") < spread("LI")

    def test_every_country_of_the_table_lies_on_a_continent(self) -> None:
        zones = [zone for zone in CATALOG.keys("grid_intensity") if zone != lookup.WORLD]
        assert len({zone for zone in zones if "-" not in zone}) >= 200
        assert [zone for zone in zones if continent_of(zone) is None] == []

    def test_canada_and_china_are_known_by_province(self) -> None:
        zones = CATALOG.keys("grid_intensity")
        assert sum(z.startswith("CA-") for z in zones) == 13 and sum(z.startswith("CN-") for z in zones) == 30
        # Quebec 2023: the mix x AR5 medians; hydro 24 and wind 11 dominate, so far below Alberta's gas
        quebec, alberta = (lookup.intensity(CATALOG, zone=z).factor.value.mid for z in ("CA-QC", "CA-AB"))
        assert quebec < 40 < 400 < alberta


class TestAStateForARegion:
    def test_is_wider_than_the_state_for_the_grid_crosses_its_border(self) -> None:
        # Virginia 244.76 (146.85 to 325.53) and 0.575 to 1.85 for the border: down hypot(ln(1/0.6), ln(1/0.575)) =
        # 0.7532, up hypot(ln(1.33), ln(1.85)) = 0.6779: 115.2 to 482.1, with the 396 that others publish inside
        found = lookup.intensity(CATALOG, provider="aws", region="us-east-1").factor.value
        assert (found.low, found.mid, found.high) == pytest.approx((115.2, 244.76, 482.1), abs=0.3)

    def test_leaves_a_country_and_a_published_region_as_they_are(self) -> None:
        paris = lookup.intensity(CATALOG, provider="aws", region="eu-west-3").factor
        assert paris.value == CATALOG.get("grid_intensity", "FR").value
        published = lookup.intensity(CATALOG, provider="gcp", region="us-east4").factor
        assert published.value == CATALOG.get("cloud_grid_intensity", "gcp:us-east4").value
