"""What an hour costs, through the real ledger: the step that gives the price, rent, carbon, currencies, restating."""

from datetime import date, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from accounting.factorbook.price_files import read_prices, read_rates
from accounting.factorbook.price_rows import Touched, drop_tariff, save_prices, save_rates, save_tariff
from accounting.ledger.marking import restate_priced
from accounting.ledger.rebuild import rebuild_dirty
from accounting.methods.tariff import Band, TariffRefused
from accounting.models import Device, DirtyHour, ExchangeRate, Job, LedgerHour, PriceHour, Site, SiteTerms, Tariff
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, hold, post

pytestmark = pytest.mark.django_db


def restate(touched: Touched, *, now: datetime) -> None:
    restate_priced(touched, reason="the market said so", actor="ada", now=now)


EVER = frozenset(range(1, 8)), frozenset(range(1, 13))
PEAK = [Band("night", *EVER, 0, 570, 0.10), Band("day", *EVER, 570, 1440, 0.30)]  # by day from 09:30


def a_kilowatt_hour(device: Device, *, hours: int = 1) -> None:
    """1 kW for an hour, or some: 1 kWh of IT energy each, and as much at the wall with a PUE of 1."""
    post(device, range(0, 3600 * hours + 1, 60), 1000.0)


def a_row(hour: datetime = EIGHT, **where: object) -> LedgerHour:
    rebuild_dirty(now=NOON)
    return LedgerHour.objects.get(hour=hour, **where)


def told(row: LedgerHour, prefix: str) -> list[str]:
    return [factor_id for factor_id in row.factor_ids if factor_id.startswith(prefix)]


class TestWhichPrice:
    def test_an_imported_price_goes_before_a_tariff_and_a_tariff_before_the_terms(self) -> None:
        site = a_site(pue=1.0, electricity_price_per_kwh=0.25, price_zone="FR")
        machine = a_device(site=site)
        a_kilowatt_hour(machine)
        assert a_row().cost == pytest.approx(0.25) and told(a_row(), "site:paris:price")
        site_rows = save_tariff(site, name="Blue", currency="EUR", valid_from=EIGHT, valid_to=None, bands=PEAK)[1]
        restate(site_rows, now=NOON)
        assert a_row().cost == pytest.approx(0.10) and told(a_row(), "tariff:paris:night@2026-03-02")
        restate(save_prices(read_prices("zone,hour,price_per_kwh,currency\nFR,2026-03-02T08:00Z,0.07,EUR",
                                            sites=frozenset()).lines), now=NOON)  # fmt: skip
        assert a_row().cost == pytest.approx(0.07) and told(a_row(), "price-hour:FR")
        restate(save_prices(read_prices("site,hour,price_per_kwh,currency\nparis,2026-03-02T08:00Z,-0.02,EUR",
                                            sites=frozenset({"paris"})).lines), now=NOON)  # fmt: skip
        assert a_row().cost == pytest.approx(-0.02) and told(a_row(), "price-hour:paris")

    def test_a_market_zones_prices_hold_only_where_the_terms_name_it(self) -> None:
        a_kilowatt_hour(a_device(site=a_site(pue=1.0, grid_zone="FR", electricity_price_per_kwh=0.25)))
        PriceHour.objects.create(zone="FR", hour=EIGHT, price_per_kwh=0.07, currency="EUR")
        assert a_row().cost == pytest.approx(0.25)

    def test_a_place_has_its_own_typical_price_else_the_currencys(self) -> None:
        a_kilowatt_hour(a_device(site=a_site(pue=1.0, grid_zone="FR")))
        assert told(a_row(), "price:FR:2024") and a_row().cost == pytest.approx(0.0942)

    def test_a_tariff_goes_by_the_clock_at_the_site(self) -> None:
        # 08:00 UTC is 09:00 in Paris: half the hour at 0.10, half at 0.30
        site = a_site(pue=1.0)
        Site.objects.update(time_zone="Europe/Paris")
        a_kilowatt_hour(a_device(site=site))
        save_tariff(site, name="Blue", currency="EUR", valid_from=EIGHT, valid_to=None, bands=PEAK)
        assert a_row().cost == pytest.approx(0.20)
        assert told(a_row(), "tariff:") == ["tariff:paris:day@2026-03-02", "tariff:paris:night@2026-03-02"]

    def test_a_tariff_that_ended_gives_way_to_the_terms(self) -> None:
        site = a_site(pue=1.0, electricity_price_per_kwh=0.25)
        machine = a_device(site=site)
        a_kilowatt_hour(machine, hours=2)
        save_tariff(site, name="Blue", currency="EUR", valid_from=EIGHT, valid_to=EIGHT + HOUR, bands=PEAK)
        assert (a_row().cost, a_row(EIGHT + HOUR).cost) == pytest.approx((0.10, 0.25))

    def test_no_price_at_all_is_not_a_price_of_nought(self, settings) -> None:
        settings.GREENAI = {**settings.GREENAI, "currency": "JPY"}
        a_kilowatt_hour(a_device(site=a_site(pue=1.0)))
        row = a_row()
        assert (row.cost, row.unpriced_kwh) == pytest.approx((0.0, 1.0)) and not told(row, "price")

    def test_nothing_is_left_unpriced_where_a_price_is_stated_as_nought(self) -> None:
        a_kilowatt_hour(a_device(site=a_site(pue=1.0, electricity_price_per_kwh=0.0)))
        assert (a_row().cost, a_row().unpriced_kwh) == (0.0, 0.0)


class TestCurrencies:
    def test_a_stated_price_is_brought_into_the_ledgers_currency_by_the_rate_of_the_day(self) -> None:
        # 0.30 USD/kWh x 0.9 EUR/USD
        a_kilowatt_hour(a_device(site=a_site(pue=1.0, electricity_price_per_kwh=0.30, price_currency="USD")))
        ExchangeRate.objects.create(currency="USD", into="EUR", day=date(2026, 3, 2), rate=0.9, source="ECB")
        assert a_row().cost == pytest.approx(0.27) and told(a_row(), "exchange:") == ["exchange:USD:2026-03-02"]

    def test_an_older_rate_says_how_old_it_is(self) -> None:
        a_kilowatt_hour(a_device(site=a_site(pue=1.0, electricity_price_per_kwh=0.30, price_currency="USD")))
        ExchangeRate.objects.create(currency="USD", into="EUR", day=date(2026, 2, 27), rate=0.9, source="ECB")
        assert told(a_row(), "exchange:") == ["exchange:USD:2026-02-27@3-days-old"]

    @pytest.mark.parametrize("day", [date(2026, 2, 22), date(2026, 3, 3)], ids=["8 days old", "of tomorrow"])
    def test_without_a_rate_the_cost_is_unknown_and_never_one_to_one(self, day: date) -> None:
        a_kilowatt_hour(a_device(site=a_site(pue=1.0, electricity_price_per_kwh=0.30, price_currency="USD")))
        ExchangeRate.objects.create(currency="USD", into="EUR", day=day, rate=0.9, source="ECB")
        assert (a_row().cost, a_row().unpriced_kwh) == pytest.approx((0.0, 1.0))

    def test_a_rate_into_another_currency_than_the_ledgers_is_not_used(self) -> None:
        a_kilowatt_hour(a_device(site=a_site(pue=1.0, electricity_price_per_kwh=0.30, price_currency="USD")))
        ExchangeRate.objects.create(currency="USD", into="GBP", day=date(2026, 3, 2), rate=0.8, source="BoE")
        assert a_row().unpriced_kwh == pytest.approx(1.0)


class TestRentAndCarbon:
    def test_rent_is_due_for_every_hour_in_service_used_or_not(self) -> None:
        # 2 EUR/h: a job holds the device for 15 of 60 minutes, 0.5 EUR are its, 1.5 EUR nobody's
        machine = a_device(site=a_site(pue=1.0), rental_price_per_h=2.0)
        hold(Job.objects.create(key="train"), machine, EIGHT, EIGHT + timedelta(minutes=15))
        a_kilowatt_hour(machine)
        assert (a_row(job__key="train").cost, a_row(job=None).cost) == pytest.approx((0.5, 1.5))
        assert a_row(job=None).rental_cost == pytest.approx(1.5)

    def test_electricity_is_inside_the_rent_unless_it_is_said_not_to_be(self) -> None:
        site = a_site(pue=1.0, electricity_price_per_kwh=0.25)
        a_kilowatt_hour(a_device("all-in", site=site, rental_price_per_h=2.0))
        a_kilowatt_hour(a_device("bare", site=site, rental_price_per_h=2.0, rental_includes_electricity=False))
        all_in, bare = a_row(device__key="all-in"), a_row(device__key="bare")
        assert (all_in.cost, bare.cost) == pytest.approx((2.0, 2.25))
        assert (all_in.rental_cost, bare.rental_cost) == (2.0, 2.0) and all_in.unpriced_kwh == 0.0

    def test_a_rent_without_a_rate_is_unknown_in_idle_hours_too(self) -> None:
        machine = a_device(site=a_site(pue=1.0), rental_price_per_h=2.0, rental_currency="USD")
        DirtyHour.objects.mark([(machine.pk, EIGHT)], now=NOON)
        row = a_row()
        assert (row.cost, row.rental_cost, row.unpriced_s) == (0.0, 0.0, 3600.0)

    def test_a_price_on_carbon_counts_operational_location_based_grams(self) -> None:
        # France 2023 or later: whatever the grid has, its grams x 80 EUR/t, beside 0.25 EUR of electricity
        site = a_site(pue=1.0, grid_zone="FR", electricity_price_per_kwh=0.25, carbon_price_per_t=80.0)
        a_kilowatt_hour(a_device(site=site))
        row = a_row()
        assert row.carbon_cost == pytest.approx(row.co2e_location_g * 80e-6) and row.carbon_cost > 0
        assert row.cost == pytest.approx(0.25 + row.carbon_cost) and told(row, "site:paris:carbon_price")

    def test_a_price_below_nought_and_a_price_on_carbon_add_up_with_their_range(self) -> None:
        site = a_site(pue=1.0, grid_zone="FR", carbon_price_per_t=80.0)
        PriceHour.objects.create(site=site, hour=EIGHT, price_per_kwh=-0.002, currency="EUR")
        a_kilowatt_hour(a_device(site=site))
        row = a_row()
        assert row.cost == pytest.approx(row.carbon_cost - 0.002)
        assert row.cost_low < row.cost < row.cost_high

    def test_what_an_idle_hour_costs_names_the_rent_it_rests_on(self) -> None:
        machine = a_device(site=a_site(pue=1.0), rental_price_per_h=2.0)
        DirtyHour.objects.mark([(machine.pk, EIGHT)], now=NOON)
        assert told(a_row(), f"device:{machine.pk}:rental")


class TestWhatRestates:
    @pytest.fixture
    def ledger(self) -> Site:
        """A site and a neighbour, with hours from 08:00 to 11:00."""
        for slug in ("paris", "lyon"):
            site = a_site(
                slug, pue=1.0, electricity_price_per_kwh=0.25, price_currency="USD" if slug == "paris" else ""
            )
            a_kilowatt_hour(a_device(site=site), hours=4)
        rebuild_dirty(now=NOON)
        return Site.objects.get(slug="paris")

    def marked(self) -> set[tuple[str, datetime]]:
        rows = DirtyHour.objects.filter(hour__lt=NOON)
        return {(slug, hour) for slug, hour in rows.values_list("device__host__site__slug", "hour")}

    def test_imported_prices_touch_their_hours_alone(self, ledger: Site) -> None:
        text = "site,hour,price_per_kwh,currency\nparis,2026-03-02T09:00Z,0.1,EUR\nparis,2026-03-02T12:00+01:00,0.2,EUR"
        restate(save_prices(read_prices(text, sites=frozenset({"paris"})).lines), now=NOON)
        assert self.marked() == {("paris", EIGHT + HOUR), ("paris", EIGHT + 3 * HOUR)}

    def test_a_tariff_touches_the_hours_until_the_next_one(self, ledger: Site) -> None:
        save_tariff(ledger, name="later", currency="EUR", valid_from=EIGHT + 3 * HOUR, valid_to=None, bands=PEAK)
        _, touched = save_tariff(
            ledger, name="first", currency="EUR", valid_from=EIGHT + HOUR, valid_to=None, bands=PEAK
        )
        restate(touched, now=NOON)
        assert self.marked() == {("paris", EIGHT + n * HOUR) for n in (1, 2)}
        rebuild_dirty(now=NOON)
        restate(drop_tariff(Tariff.objects.get(name="first")), now=NOON)
        assert self.marked() == {("paris", EIGHT + n * HOUR) for n in (1, 2)}

    def test_a_rate_touches_a_week_of_the_sites_and_devices_that_need_it(self, ledger: Site) -> None:
        rates = "currency,day,rate\nUSD,2026-03-02,0.9\nUSD,2026-03-12,0.8"
        restate(save_rates(read_rates(rates, into="EUR").lines), now=NOON)
        assert self.marked() == {("paris", EIGHT + n * HOUR) for n in range(4)}
        rebuild_dirty(now=NOON)
        restate(save_rates(read_rates("currency,day,rate\nCHF,2026-03-02,1.05", into="EUR").lines), now=NOON)
        restate(save_rates(read_rates("currency,day,rate\nUSD,2026-02-20,0.7", into="EUR").lines), now=NOON)
        assert self.marked() == set()

    def test_the_same_file_twice_leaves_one_row_an_hour_with_the_later_price(self, ledger: Site) -> None:
        for price in ("0.1", "0.3"):
            text = f"site,hour,price_per_kwh,currency\nparis,2026-03-02T09:00Z,{price},EUR"
            save_prices(read_prices(text, sites=frozenset({"paris"})).lines)
        assert PriceHour.objects.get().price_per_kwh == 0.3

    def test_a_tariff_with_a_hole_is_refused_whole(self, ledger: Site) -> None:
        with pytest.raises(TariffRefused, match="no band holds"):
            save_tariff(ledger, name="x", currency="EUR", valid_from=EIGHT, valid_to=None, bands=PEAK[:1])
        assert not Tariff.objects.exists()

    def test_the_command_keeps_a_file_and_says_what_restates(self, ledger: Site, tmp_path, capsys) -> None:
        file = tmp_path / "ecb.csv"
        file.write_text("currency,day,rate,source\nUSD,2026-03-02,0.9,ECB\n")
        call_command("import_prices", "rates", str(file))
        assert "1 rows are kept; 4 device-hours will be restated." in capsys.readouterr().out
        rebuild_dirty(now=NOON)
        # 4 kWh x 0.25 USD x 0.9
        assert sum(LedgerHour.objects.filter(site=ledger).values_list("cost", flat=True)) == pytest.approx(0.9)

    def test_the_command_keeps_nothing_of_a_file_with_an_error(self, ledger: Site, tmp_path) -> None:
        file = tmp_path / "ecb.csv"
        file.write_text("currency,day,rate,source\nUSD,2026-03-02,0.9,ECB\nUSD,2 March,0.9,ECB\n")
        with pytest.raises(CommandError, match=r"line 3: '2 March' is not a day"):
            call_command("import_prices", "rates", str(file))
        assert not ExchangeRate.objects.exists()


class TestTermsInForce:
    def test_each_hour_keeps_the_price_it_began_with(self) -> None:
        site = a_site(pue=1.0, electricity_price_per_kwh=0.25)
        at = EIGHT + HOUR
        SiteTerms.objects.create(site=site, valid_from=at, pue=1.0, electricity_price_per_kwh=0.5)
        machine = a_device(site=site)
        a_kilowatt_hour(machine, hours=2)
        assert (a_row().cost, a_row(at).cost) == pytest.approx((0.25, 0.5))
