"""The 24/7 score of sites and teams, from the ledger's hours."""

from datetime import timedelta

import pytest

from accounting.models import ContractHour, EnergyContract, Job, Site, SiteTerms
from accounting.reports import periods
from accounting.reports.carbon_free import site_carbon_free, team_carbon_free
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR, NINE

pytestmark = pytest.mark.django_db
DAY = periods.Period(NINE.replace(hour=0), NINE.replace(hour=0) + timedelta(days=1), "custom", "a day")


def a_place(slug: str, zone: str = "FR", **terms: object) -> Site:
    site = Site.objects.create(name=slug, slug=slug)
    SiteTerms.objects.create(site=site, valid_from=NINE - timedelta(days=30), grid_zone=zone, **terms)
    return site


def a_contract(kwh: dict, *, g_per_kwh: float = 0.0, zone: str = "FR") -> None:
    year = {"vintage": 2026, "start": NINE.replace(month=1, day=1, hour=0), "end": NINE.replace(month=12)}
    contract = EnergyContract.objects.create(name="Wind", kind="ppa", zone=zone, mwh=1.0, g_per_kwh=g_per_kwh, **year)
    ContractHour.objects.bulk_create(ContractHour(contract=contract, hour=h, kwh=k) for h, k in kwh.items())


class TestSite:
    def test_adds_the_grids_share_to_what_contracts_cover_hour_by_hour(self) -> None:
        # 15 kWh at the wall each hour (10 x 1.5). Nine: 6 under contract + 0.4 x 9 = 9.6; ten: 20 offered, 15 taken.
        # 24.6 of 30 = 82 %, 21 of 30 = 70 % under contract
        site = a_place("lyon", grid_cfe_share=0.4)
        device = rows.a_device(site=site)
        for hour in (NINE, NINE + HOUR):
            rows.ledger_hour(device, hour, kwh=10.0)
        a_contract({NINE: 6.0, NINE + HOUR: 20.0})
        got = site_carbon_free(site.pk, DAY)
        assert got and (got.score, got.contracted, got.grid_known) == pytest.approx((0.82, 0.7, 1.0))

    def test_shares_a_contract_with_the_other_sites_of_its_zone_alone(self) -> None:
        lyon, nice, bonn = a_place("lyon"), a_place("nice"), a_place("bonn", "DE")
        for number, site in enumerate((lyon, nice, bonn)):
            rows.ledger_hour(rows.a_device(host=f"node-{number}", site=site), kwh=10.0)
        a_contract({NINE: 15.0})
        assert [site_carbon_free(site.pk, DAY).score for site in (lyon, nice, bonn)] == pytest.approx([0.5, 0.5, 0.0])

    def test_does_not_count_a_contract_that_emits(self) -> None:
        site = a_place("lyon")
        rows.ledger_hour(rows.a_device(site=site), kwh=10.0)
        a_contract({NINE: 15.0}, g_per_kwh=40.0)
        got = site_carbon_free(site.pk, DAY)
        assert got and (got.score, got.grid_known) == (0.0, 0.0)

    def test_of_no_energy_is_nothing(self) -> None:
        assert site_carbon_free(a_place("lyon").pk, DAY) is None


class TestTeam:
    def test_takes_part_in_what_covers_its_site_in_the_hours_it_used(self) -> None:
        # At nine Vision uses 15 of 30 kWh, of which half is covered; at ten it uses nothing and all would be.
        site, vision, speech = a_place("lyon"), rows.a_team("Vision"), rows.a_team("Speech")
        device, other = rows.a_device(site=site), rows.a_device("gpu-1", site=site)
        rows.ledger_hour(device, kwh=10.0, job=Job.objects.create(team=vision, key="v"))
        speaks = Job.objects.create(team=speech, key="s")
        rows.ledger_hour(other, kwh=10.0, job=speaks)
        rows.ledger_hour(other, NINE + HOUR, kwh=10.0, job=speaks)
        a_contract({NINE: 15.0, NINE + HOUR: 15.0})
        assert team_carbon_free(vision.pk, DAY).score == pytest.approx(0.5)
        assert team_carbon_free(speech.pk, DAY).score == pytest.approx(0.75)
