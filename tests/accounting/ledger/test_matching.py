"""Claims on contracts: the same whatever the order of building, converging, and never one MWh twice."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from accounting.ledger.matching import note_hours, note_year, settle
from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.models import (
    ContractHour,
    Device,
    DirtyHour,
    EnergyContract,
    Host,
    InstrumentUse,
    LedgerHour,
    Site,
    SiteTerms,
    StaleMatch,
)
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_site, ledger, post, wipe

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=1)

HOME, ABROAD = "BR", "CL"  # nobody publishes a residual mix there: what no contract covers stays unknown


def a_contract(mwh: float, **fields: object) -> EnergyContract:
    said = {"name": "Wind", "kind": "ppa", "zone": HOME, "vintage": 2026, "start": EIGHT, "end": EIGHT + 2 * HOUR}
    return EnergyContract.objects.create(mwh=mwh, **(said | fields))


def a_place(slug: str, mode: str, *, zone: str = HOME, watts: float = 10_000.0, **terms: object) -> Site:
    """A site whose one machine draws an even power from 08 to 12 h. PUE 1, nothing known of the residual mix."""
    site = a_site(slug, **({"grid_zone": zone, "pue": 1.0, "market_matching": mode} | terms))
    host = Host.objects.create(name=slug, site=site)
    device = Device.objects.create(host=host, key="node", kind="node", acquired_at=EIGHT, embodied_kg=0.0)
    post(device, range(0, 4 * 3600 + 1, 60), watts)
    return site


def uses() -> list[tuple[object, ...]]:
    return sorted(InstrumentUse.objects.values_list("contract", "site", "mode", "start", "end", "kwh", "share"))


def claimed_kwh(site: Site | None = None) -> float:
    rows = InstrumentUse.objects.filter(**({"site": site} if site else {}))
    return sum(rows.values_list("kwh", flat=True))


def market_kwh(site: Site) -> list[float]:
    rows = LedgerHour.objects.filter(site=site, hour__lt=NOON).order_by("hour")
    return [row.market_kwh for row in rows]


class TestOrder:
    def test_rebuilding_in_any_order_gives_the_same_claims_and_ledger(self) -> None:
        a_contract(0.015)
        a_contract(0.02, site=None, start=EIGHT, end=EIGHT + 4 * HOUR)
        a_place("lyon", "annual", residual_g_per_kwh=500.0)
        a_place("nice", "hourly", residual_g_per_kwh=300.0, watts=7_000.0)
        marks = list(DirtyHour.objects.values_list("device_id", "hour"))
        rebuild_dirty(now=LATER)
        expected = ledger(), uses()
        assert len(expected[1]) > 4
        for seed in range(3):
            wipe()
            InstrumentUse.objects.all().delete()
            random.Random(seed).shuffle(marks)
            for mark in marks:
                DirtyHour.objects.mark([mark], now=LATER)
                rebuild_dirty(now=LATER)  # matched after every single hour
            assert (ledger(), uses()) == expected

    def test_rebuilding_everything_changes_nothing(self) -> None:
        a_contract(0.015)
        a_place("lyon", "annual")
        rebuild_everything(now=LATER)
        before = ledger(), uses()
        rebuild_everything(now=LATER)
        assert (ledger(), uses()) == before

    def test_settles_and_then_has_nothing_to_do(self) -> None:
        a_contract(0.015)
        a_place("lyon", "hourly")
        rebuild_dirty(now=LATER)
        assert rebuild_dirty(now=LATER) == 0 and settle(now=LATER) == 0
        note_hours([EIGHT])
        assert settle(now=LATER) == 0 and not StaleMatch.objects.exists()


class TestBoundaries:
    def test_two_sites_share_a_contract_by_what_they_use(self) -> None:
        # 20 kWh over 40 and 20 kWh of the year, a third of each: 13.33 and 6.67
        a_contract(0.02)
        lyon, nice = a_place("lyon", "annual"), a_place("nice", "annual", watts=5_000.0)
        rebuild_dirty(now=LATER)
        assert (claimed_kwh(lyon), claimed_kwh(nice)) == pytest.approx((40 / 3, 20 / 3))

    def test_a_mwh_claimed_by_the_hour_is_not_claimed_by_the_year_too(self) -> None:
        # 30 kWh, 15 an hour. Nice, by the hour, takes 10 of each; Lyon, by the year, the 10 that are left.
        a_contract(0.03)
        lyon, nice = a_place("lyon", "annual"), a_place("nice", "hourly")
        rebuild_dirty(now=LATER)
        assert (claimed_kwh(nice), claimed_kwh(lyon)) == pytest.approx((20.0, 10.0))

    def test_by_the_hour_only_the_same_grid_zone_counts(self) -> None:
        a_contract(0.02, zone="US-TX")
        texas, california = a_place("austin", "hourly", zone="US-TX"), a_place("davis", "hourly", zone="US-CA")
        rebuild_dirty(now=LATER)
        assert (claimed_kwh(texas), claimed_kwh(california)) == (pytest.approx(20.0), 0.0)

    def test_by_the_year_the_country_counts_and_another_one_does_not(self) -> None:
        a_contract(0.02, zone="US-TX")
        california, lyon = a_place("davis", "annual", zone="US-CA"), a_place("lyon", "annual")
        rebuild_dirty(now=LATER)
        assert (claimed_kwh(california), claimed_kwh(lyon)) == (pytest.approx(20.0), 0.0)

    def test_a_contract_of_one_site_covers_no_other(self) -> None:
        lyon, nice = a_place("lyon", "annual"), a_place("nice", "annual")
        a_contract(0.1, site=nice)
        rebuild_dirty(now=LATER)
        assert (claimed_kwh(lyon), claimed_kwh(nice)) == (0.0, pytest.approx(40.0))

    def test_another_vintage_covers_nothing(self) -> None:
        year = {"start": datetime(2025, 1, 1, tzinfo=UTC), "end": datetime(2026, 1, 1, tzinfo=UTC)}
        a_contract(0.1, vintage=2025, **year)
        a_place("lyon", "annual")
        rebuild_dirty(now=LATER)
        assert not uses()

    def test_a_certificate_covers_nothing_until_it_is_retired(self) -> None:
        lot = a_contract(0.02, kind="certificate")
        lyon = a_place("lyon", "annual")
        rebuild_dirty(now=LATER)
        assert not uses() and market_kwh(lyon) == [0.0] * 4
        EnergyContract.objects.filter(pk=lot.pk).update(retired=True)
        note_year(2026)
        rebuild_dirty(now=LATER)
        assert market_kwh(lyon) == pytest.approx([5.0] * 4)

    def test_no_grid_mean_stands_in_for_what_nobody_knows(self) -> None:
        # 20 of 40 kWh are covered; of the rest nothing is known
        a_contract(0.02)
        lyon = a_place("lyon", "annual", zone="ZZ-nowhere")
        nice = a_place("nice", "annual")
        rebuild_dirty(now=LATER)
        assert market_kwh(lyon) == [0.0] * 4 and sum(market_kwh(nice)) == pytest.approx(20.0)


class TestProfile:
    def test_generation_by_the_hour_goes_before_an_even_spread(self) -> None:
        contract = a_contract(0.02)
        ContractHour.objects.create(contract=contract, hour=EIGHT, kwh=4.0)
        lyon = a_place("lyon", "hourly")
        rebuild_dirty(now=LATER)
        assert market_kwh(lyon) == pytest.approx([4.0, 0.0, 0.0, 0.0])


class TestTheRest:
    def test_within_the_year_the_supplier_goes_before_the_residual_mix(self) -> None:
        lyon = a_place("lyon", "annual", supplier_g_per_kwh=100.0, residual_g_per_kwh=500.0)
        rebuild_dirty(now=LATER)
        rows = LedgerHour.objects.filter(site=lyon, hour__lt=NOON)
        assert [row.co2e_market_g for row in rows] == pytest.approx([1000.0] * 4)

    def test_by_the_hour_what_is_not_matched_takes_the_residual_mix(self) -> None:
        lyon = a_place("lyon", "hourly", supplier_g_per_kwh=100.0, residual_g_per_kwh=500.0)
        rebuild_dirty(now=LATER)
        assert LedgerHour.objects.filter(site=lyon, hour=EIGHT).get().co2e_market_g == pytest.approx(5000.0)


class TestTheRunningDay:
    def test_takes_only_what_the_days_before_left(self) -> None:
        # Yesterday's 40 kWh take 30 of 30: nothing is left for today, and the days before are not restated for it.
        a_contract(0.03)
        lyon = a_place("lyon", "annual")
        device = Device.objects.get()
        post(device, range(0, 3601, 60), 10_000.0, start=EIGHT + timedelta(days=1))
        today = EIGHT + timedelta(days=1, hours=2)
        rebuild_dirty(now=today)
        assert sum(market_kwh(lyon)) == pytest.approx(30.0)
        assert LedgerHour.objects.get(hour=EIGHT + timedelta(days=1)).market_kwh == 0.0
        assert {row[3].date() for row in uses()} == {date(2026, 1, 1)}

    def test_is_settled_with_the_others_once_it_is_over(self) -> None:
        # 60 kWh for 40 kWh yesterday and 40 today: today takes the 20 that are left; tomorrow all hours share 60 of 80.
        a_contract(0.06)
        lyon = a_place("lyon", "annual")
        device = Device.objects.get()
        post(device, range(0, 4 * 3600 + 1, 60), 10_000.0, start=EIGHT + timedelta(days=1))
        rebuild_dirty(now=EIGHT + timedelta(days=1, hours=5))
        assert sum(market_kwh(lyon)) == pytest.approx(40.0) and claimed_kwh() == pytest.approx(60.0)
        tomorrow = EIGHT + timedelta(days=2)
        DirtyHour.objects.mark([(device.pk, tomorrow)], now=tomorrow)
        rebuild_dirty(now=tomorrow)
        assert sum(market_kwh(lyon)) == pytest.approx(30.0) and claimed_kwh() == pytest.approx(60.0)
        settled = uses()
        rebuild_everything(now=tomorrow)
        assert uses() == settled


class TestTerms:
    def test_a_day_keeps_the_rule_it_began_with(self) -> None:
        a_contract(0.02)
        lyon = a_place("lyon", "annual")
        SiteTerms.objects.create(site=lyon, valid_from=EIGHT + HOUR, grid_zone=HOME, pue=1.0, market_matching="hourly")
        rebuild_dirty(now=LATER)
        assert {row[2] for row in uses()} == {"annual"} and market_kwh(lyon) == pytest.approx([5.0] * 4)

    def test_a_machine_that_moves_takes_its_claims_along(self) -> None:
        a_contract(0.02)
        lyon, nice = a_place("lyon", "annual"), a_site("nice", grid_zone=ABROAD, pue=1.0, market_matching="annual")
        rebuild_dirty(now=LATER)
        assert claimed_kwh(lyon) == pytest.approx(20.0)
        Host.objects.filter(site=lyon).update(site=nice)
        rebuild_everything(now=LATER)
        assert not uses() and market_kwh(nice) == [0.0] * 4


class TestAWholeYear:
    def test_is_settled_month_by_month_and_ends_as_in_one_go(self, monkeypatch) -> None:
        a_contract(0.03)
        a_place("lyon", "annual")
        a_place("nice", "hourly")
        rebuild_dirty(now=LATER)
        expected = ledger(), uses()
        InstrumentUse.objects.all().delete()
        StaleMatch.objects.bulk_create(StaleMatch(day=date(2026, 1, 1) + timedelta(days=n)) for n in range(100))
        monkeypatch.setattr("accounting.ledger.matching._DAYS_AT_ONCE", 7)
        rebuild_dirty(now=LATER)
        assert (ledger(), uses()) == expected and not StaleMatch.objects.exists()
