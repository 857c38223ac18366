"""Ours is the ledger of sites in the hours in which their terms say that they are that region."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from accounting.factorbook import catalog
from accounting.factorbook.own_rules import Stated
from accounting.ledger import own_changes
from accounting.ledger.rollups import roll_up
from accounting.models import LedgerHour, OwnFactor, Site, SiteTerms, VendorFootprint, VendorReport
from accounting.reports import reconciliation
from accounting.reports.reconcile import Key, Outcome
from accounting.reports.reconciliation_tables import comparisons_table
from tests.accounting.ledger.rows import a_site
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
THAT_MONTH = date(2026, 3, 1)


def told(region: str = "us-east-1", month: date = THAT_MONTH, **fields: Any) -> VendorFootprint:
    usual = {"scope1_kg": 0.1, "scope2_location_kg": 1.5, "scope3_kg": 0.4, "total_location_kg": 2.0, "scopes": "1,2,3"}
    provider = fields.pop("provider", "aws")
    key = f"{VendorReport.objects.count():064x}"
    report = VendorReport.objects.create(
        provider=provider, file_name="r.csv", sha256=key, imported_by="root", imported_at=NOW
    )
    given = {"model_version": "v3.0.0", **usual, **fields}
    return VendorFootprint.objects.create(report=report, provider=provider, region=region, month=month, **given)


def in_virginia(slug: str = "virginia", **fields: Any) -> Site:
    return a_site(slug, **({"cloud_provider": "aws", "cloud_region": "us-east-1"} | fields))


def lines(year: int = 2026, now: datetime = NOW) -> list[reconciliation.Line]:
    return reconciliation.lines(rows.everything(), year=year, now=now)


def ours_kg(line: reconciliation.Line) -> float | None:
    return line.location.ours_kg and round(line.location.ours_kg.mid, 9)


class TestOurs:
    def test_is_the_ledger_of_the_regions_sites_in_the_month(self) -> None:
        device = rows.a_device(site=in_virginia())
        for hour in (MARCH, MARCH + 9 * rows.DAY, MARCH - HOUR, MARCH + 31 * rows.DAY):
            rows.ledger_hour(device, hour, kwh=4.0)
        rows.ledger_hour(rows.a_device("gpu-9", host="n9", site=a_site("paris", grid_zone="FR")), MARCH)
        told()
        (line,) = lines()
        # two hours of 4 kWh: 2 x (4 x 300 g + 10 g embodied) = 2420 g
        assert ours_kg(line) == 2.42 and (line.sites, line.days, line.of_days) == (("virginia",), 2, 31)
        kg = {cause.key: round(float(cause.kg), 6) for cause in line.location.causes}
        # 0.1; 0.4 - 0.02; nothing missing; 1.5 - 2.4; 2.0 - 2.0
        assert kg == {
            Key.SCOPE_1: 0.1, Key.SCOPE_3: 0.38, Key.COVERAGE: 0.0, Key.INTENSITY: -0.9, Key.ROUNDING: 0.0,
        }  # fmt: skip
        # 8 kWh x 1.5 = 12 kWh at the wall; 2400 g / 12 kWh = 200 g/kWh; theirs 125
        assert line.location.ours_g_per_kwh.mid == pytest.approx(200.0)
        assert line.location.implied_g_per_kwh == pytest.approx(125.0)
        assert line.location.verdict.outcome is Outcome.WITHIN

    def test_adds_up_several_sites_of_one_region(self) -> None:
        for slug in ("a", "b"):
            rows.ledger_hour(rows.a_device(host=slug, site=in_virginia(slug)), MARCH, kwh=1.0)
        told()
        assert ours_kg(lines()[0]) == 0.62 and lines()[0].sites == ("a", "b")

    def test_takes_only_the_hours_in_which_the_terms_name_the_region(self) -> None:
        site = in_virginia()
        device = rows.a_device(site=site)
        moved = MARCH + timedelta(days=10, hours=5, minutes=30)  # the hour that runs keeps the earlier terms
        SiteTerms.objects.create(site=site, valid_from=moved, cloud_provider="aws", cloud_region="us-west-2")
        for hours in (0, 245, 246):  # the first hour of the month, the last before and the first after the move
            rows.ledger_hour(device, MARCH + hours * HOUR, kwh=1.0)
        told()
        told("us-west-2")
        east, west = lines()
        assert (ours_kg(east), ours_kg(west)) == (0.62, 0.31)
        assert (east.of_days, west.of_days) == (11, 21)

    def test_scales_coverage_by_the_time_that_samples_back(self) -> None:
        rows.ledger_hour(rows.a_device(site=in_virginia()), MARCH, kwh=1.0, covered_s=2700.0, missing_s=900.0)
        told()
        coverage = next(cause for cause in lines()[0].location.causes if cause.key is Key.COVERAGE)
        assert float(coverage.kg) == pytest.approx(0.1)  # 0.3 kg x 0.25 / 0.75

    def test_market_based_stands_only_where_all_of_the_energy_has_a_factor(self) -> None:
        device = rows.a_device(site=in_virginia())
        rows.ledger_hour(device, MARCH, kwh=1.0)
        told(scope2_market_kg=0.5, total_market_kg=1.0)
        market = lines()[0].market
        assert market.verdict.outcome is Outcome.NOT_COMPARABLE and market.difference_kg is None
        known = {"co2e_market_g_low": 90.0, "co2e_market_g": 100.0, "co2e_market_g_high": 110.0, "market_kwh": 1.5}
        LedgerHour.objects.update(**known)
        roll_up({(device.pk, MARCH)})
        market = lines()[0].market
        # 1.0 - (0.1 + 0.01) = 0.89
        assert float(market.difference_kg) == 0.89
        assert sum(cause.kg for cause in market.causes) == market.difference_kg


class TestTheirs:
    def test_leaves_out_what_does_not_count_and_other_years(self) -> None:
        told(total_location_kg=2.0)
        told(total_location_kg=9.0, counts=False)
        told(month=date(2025, 3, 1))
        assert [float(line.location.theirs_kg) for line in lines()] == [2.0]
        assert reconciliation.years() == [2026, 2025]

    def test_adds_up_accounts_and_services_and_keeps_what_none_of_them_tells_unknown(self) -> None:
        in_virginia()
        told(account="a", service="EC2", total_location_kg=2.0, scope1_kg=None)
        told(account="b", service="S3", total_location_kg=3.0, scope1_kg=None)
        (line,) = lines()
        assert float(line.location.theirs_kg) == 5.0
        assert Key.SCOPE_1 not in {cause.key for cause in line.location.causes}

    def test_joins_azures_figures_of_single_scopes(self) -> None:
        a_site("dc", cloud_provider="azure", cloud_region="eastus")
        alone = {"total_location_kg": None, "scope1_kg": None, "scope2_location_kg": None, "scope3_kg": None}
        for column, kg in (("scope1_kg", 1.0), ("scope2_location_kg", 5.0), ("scope3_kg", 2.0)):
            told("eastus", provider="azure", model_version="", **(alone | {column: kg}))
        (line,) = lines()
        assert float(line.location.theirs_kg) == 8.0 and line.versions == ()


class TestVerdict:
    def test_names_a_region_that_no_site_is(self) -> None:
        told("eu-west-1")
        in_virginia()
        (line,) = lines()
        assert line.location.verdict.outcome is Outcome.NOT_COMPARABLE and "No site says" in line.location.verdict.words

    def test_waits_until_the_month_is_over(self) -> None:
        rows.ledger_hour(rows.a_device(site=in_virginia()), MARCH)
        told()
        assert "not over" in lines(now=MARCH + 30 * rows.DAY)[0].location.verdict.words
        assert lines(now=MARCH + 31 * rows.DAY)[0].location.verdict.outcome is not Outcome.NOT_COMPARABLE

    def test_says_what_our_intensity_stands_on_when_it_is_another_years(self) -> None:
        rows.ledger_hour(rows.a_device(site=in_virginia()), MARCH, kwh=100.0)
        mean = catalog().get("grid_intensity", "FR")
        LedgerHour.objects.update(factor_ids=[mean.id, "pue:default"])
        roll_up({(LedgerHour.objects.get().device_id, MARCH)})
        told()
        verdict = lines()[0].location.verdict
        assert verdict.outcome is Outcome.OUTSIDE and f"yearly mean of {mean.year}." in verdict.words

    def test_names_an_own_intensity_too_and_by_the_market_the_residual_mix_alone(self) -> None:
        rows.ledger_hour(rows.a_device(site=in_virginia()), MARCH, kwh=100.0)
        said = ("grid_intensity", "US-VA", 30.0, 20.0, 40.0, "g/kWh", "MODELLED", "our meter", "audit")
        stated = Stated(*said, year=2021)
        own_changes.save([stated], reason="audit", actor="ada", now=MARCH)
        mean, mix = catalog().get("grid_intensity", "FR"), catalog().get("residual_mix", "FR")
        ids = [mean.id, mix.id, OwnFactor.objects.get().factor_id, "tolerance:zone_in_country"]
        LedgerHour.objects.update(factor_ids=ids, market_kwh=150.0, co2e_market_g=30_000.0, co2e_market_g_high=30_000.0)
        roll_up({(LedgerHour.objects.get().device_id, MARCH)})
        told(scope2_market_kg=900.0, total_market_kg=901.0)
        (line,) = lines()
        assert f"yearly mean of 2021, {mean.year}." in line.location.verdict.words
        assert line.market.verdict.words.endswith(f"yearly mean of {mix.year}.")


class TestCost:
    def test_asks_the_database_no_more_for_many_months_and_regions(self, django_assert_max_num_queries: Any) -> None:
        for number, region in enumerate(("us-east-1", "us-east-2", "us-west-1", "us-west-2")):
            site = in_virginia(f"s{number}", cloud_region=region)
            rows.ledger_hour(rows.a_device(host=f"n{number}", site=site), MARCH)
            for month in range(1, 5):
                told(region, date(2026, month, 1))
        with django_assert_max_num_queries(6):
            assert len(lines()) == 16


class TestTable:
    def test_has_two_rows_a_line_whose_causes_add_up(self) -> None:
        rows.ledger_hour(rows.a_device(site=in_virginia()), MARCH)
        told()
        table = comparisons_table(lines())
        keys = [column.key for column in table.columns]
        location, market = (dict(zip(keys, row, strict=True)) for row in table.rows)
        causes = [location[f"{key.value}_kg"] for key in Key]
        assert sum(kg for kg in causes if kg is not None) == pytest.approx(location["difference_kg"], abs=1e-9)
        assert (location["basis"], market["basis"], market["difference_kg"]) == ("location", "market", None)
