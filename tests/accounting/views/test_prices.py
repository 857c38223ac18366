"""Prices: a preview first, errors by row, tariffs that cover the week, files that come back as they went."""

from datetime import date

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounting.models import AuditEntry, DirtyHour, ExchangeRate, PriceHour, Site, SiteTerms, Tariff
from tests.accounting.reports import rows
from tests.accounting.reports.rows import HOUR, NINE

pytestmark = pytest.mark.django_db

RATES = "currency,day,rate,source\nUSD,2026-03-09,0.9,ECB\nUSD,2026-03-10,0.91,ECB\n"
HEAD = "site,zone,hour,price_per_kwh,currency,source\n"
HOURS = f"{HEAD}lyon,,2026-03-10T09:00Z,0.2,EUR,spot\n,FR,2026-03-10T09:00Z,-0.01,EUR,\n"


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


@pytest.fixture
def lyon() -> Site:
    site = Site.objects.create(name="Lyon", slug="lyon", time_zone="Europe/Paris")
    for back in range(3):
        rows.ledger_hour(rows.a_device(f"gpu-{back}", site=site), NINE - back * HOUR)
    return site


def address(what: str) -> str:
    return reverse("price-import", args=[what])


def text_of(answer) -> str:
    return b"".join(answer.streaming_content if answer.streaming else [answer.content]).decode()


def kept() -> tuple[list[object], ...]:
    hours = PriceHour.objects.values_list("site", "zone", "hour", "price_per_kwh", "source")
    return list(hours), list(ExchangeRate.objects.values_list("currency", "day", "rate", "source"))


def lines(*bands: tuple[str, ...]) -> dict[str, object]:
    names = ("name", "days", "months", "start", "end", "price")
    said: dict[str, object] = {"bands-TOTAL_FORMS": len(bands), "bands-INITIAL_FORMS": 0}
    for number, band in enumerate(bands):
        said |= {f"bands-{number}-{name}": value for name, value in zip(names, band, strict=True)}
    return said


def tariff(site: Site, *bands: tuple[str, ...], **said: object) -> dict[str, object]:
    common = {"site": site.pk, "name": "Blue", "currency": "eur", "valid_from": "2026-03-10T08:00"}
    return {**common, **lines(*bands), **said}


NIGHT, DAY = ("night", "Mon-Sun", "", "00:00", "06:00", "0.1"), ("day", "Mon-Sun", "", "06:00", "24:00", "0.3")


class TestImport:
    def test_shows_what_it_read_before_it_keeps_anything(self, admin: Client, lyon: Site) -> None:
        page = admin.post(address("hours"), {"file": SimpleUploadedFile("p.csv", HOURS.encode())})
        assert "2 rows to keep" in page.content.decode() and not PriceHour.objects.exists()
        assert admin.post(address("hours"), {"text": page.context["text"], "confirmed": "1"}).status_code == 302
        assert {(row.zone, row.price_per_kwh) for row in PriceHour.objects.all()} == {("", 0.2), ("FR", -0.01)}

    def test_marks_the_hours_of_the_file_and_writes_the_trail(self, admin: Client, lyon: Site) -> None:
        admin.post(address("hours"), {"text": HOURS, "confirmed": "1"})
        assert set(DirtyHour.objects.values_list("hour", flat=True)) == {NINE}
        assert AuditEntry.objects.get(action="prices.hours").detail == {"rows": 2, "restated": 1}

    @pytest.mark.parametrize(
        ("row", "problem"),
        [
            ("paris,,2026-03-10T09:00Z,0.2,EUR,", "no site has the short name &#x27;paris&#x27;: known are lyon"),
            ("lyon,FR,2026-03-10T09:00Z,0.2,EUR,", "give a site or a market zone, one of them"),
            ("lyon,,2026-03-10T09:00,0.2,EUR,", "has no offset"),
            ("lyon,,2026-03-10T09:15Z,0.2,EUR,", "not the start of a UTC hour: give the mean price of each hour"),
            ("lyon,,10 March,0.2,EUR,", "is not an hour like 2026-03-02T08:00Z"),
            ('lyon,,2026-03-10T09:00Z,"0,2",EUR,', "is not a number: write it with a point"),
            ("lyon,,2026-03-10T09:00Z,nan,EUR,", "is not a number"),
            ("lyon,,2026-03-10T09:00Z,0.2,euro,", "is not a currency: three letters"),
            ("lyon,,2026-03-10T10:00+01:00,0.3,EUR,", "this hour has a price already in the file"),
        ],
    )
    def test_says_of_each_row_what_is_wrong_with_it_and_keeps_none(
        self, admin: Client, lyon: Site, row: str, problem: str
    ) -> None:
        text = f"{HEAD}lyon,,2026-03-10T09:00Z,0.2,EUR,spot\n{row}"
        page = admin.post(address("hours"), {"text": text, "confirmed": "1"})
        assert problem in page.content.decode() and "Line 3: " in page.content.decode()
        assert not PriceHour.objects.exists()

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("currency,day\nUSD,2026-03-09", "no column rate"),
            ("currency,day,rate\n", "no rows below the header"),
            ("currency,day,rate\nEUR,2026-03-09,1", "EUR is the ledger&#x27;s own currency"),
            ("currency,day,rate\nUSD,2026-03-09,0", "how many EUR one USD is worth, above nought"),
        ],
    )
    def test_refuses_a_file_of_rates_that_says_nothing_usable(self, admin: Client, text: str, problem: str) -> None:
        assert problem in admin.post(address("rates"), {"text": text, "confirmed": "1"}).content.decode()
        assert not ExchangeRate.objects.exists()

    def test_refuses_what_is_no_text(self, admin: Client) -> None:
        page = admin.post(address("rates"), {"file": SimpleUploadedFile("p.xlsx", b"PK\x03\x04\xff\xfe")})
        assert b"The file is not UTF-8 text" in page.content
        assert b"Choose a file or paste its text" in admin.post(address("rates"), {"text": " "}).content

    @pytest.mark.parametrize(("what", "text"), [("hours", HOURS), ("rates", RATES)])
    def test_its_export_can_be_imported_again(self, admin: Client, lyon: Site, what: str, text: str) -> None:
        admin.post(address(what), {"text": text, "confirmed": "1"})
        before = kept()
        exported = text_of(admin.get(reverse("prices"), {"csv": what}))
        for table in (PriceHour, ExchangeRate):
            table.objects.all().delete()
        assert admin.post(address(what), {"text": exported, "confirmed": "1"}).status_code == 302
        assert kept() == before and any(before)

    def test_hourly_prices_of_a_site_or_a_zone_can_be_taken_back(self, admin: Client, lyon: Site) -> None:
        SiteTerms.objects.create(site=lyon, valid_from=NINE - HOUR, price_zone="FR")
        for dropped in ({"site": lyon.pk}, {"zone": "FR"}):
            admin.post(address("hours"), {"text": HOURS, "confirmed": "1"})
            DirtyHour.objects.all().delete()
            assert admin.post(reverse("price-drop"), dropped).status_code == 302
            assert PriceHour.objects.filter(zone=dropped.get("zone", "")).count() == 0
            assert set(DirtyHour.objects.values_list("hour", flat=True)) == {NINE}
        assert admin.post(reverse("price-drop"), {}).status_code == 404

    def test_a_member_may_look_and_not_import(self, client: Client, lyon: Site) -> None:
        ExchangeRate.objects.create(currency="USD", into="EUR", day=date(2026, 3, 9), rate=0.9, source="ECB")
        client.force_login(rows.a_user(team=rows.a_team()))
        page = client.get(reverse("prices")).content
        assert b"USD" in page and b"/prices/import" not in page
        assert client.post(address("rates"), {"text": RATES, "confirmed": "1"}).status_code == 403

    def test_a_member_does_not_see_the_prices_of_other_sites(self, client: Client, lyon: Site) -> None:
        PriceHour.objects.create(site=lyon, hour=NINE, price_per_kwh=0.123, currency="EUR")
        client.force_login(rows.a_user(team=rows.a_team()))
        assert b"0.123" not in client.get(reverse("prices")).content
        assert "0.123" not in text_of(client.get(reverse("prices"), {"csv": "hours"}))


class TestTariffs:
    def test_is_kept_with_its_bands_and_restates_its_hours(self, admin: Client, lyon: Site) -> None:
        assert admin.post(reverse("tariff-new"), tariff(lyon, NIGHT, DAY)).status_code == 302
        kept = Tariff.objects.get()
        assert (kept.currency, kept.bands.count()) == ("EUR", 2)
        assert set(DirtyHour.objects.values_list("hour", flat=True)) == {NINE, NINE - HOUR}  # not the hour before it

    @pytest.mark.parametrize(
        ("bands", "problem"),
        [
            ([NIGHT], "no band holds on Mon in Jan, 06:00 to 24:00: add one"),
            (
                [NIGHT, DAY, ("x", "Sat", "Jul", "05:00", "07:00", "1")],
                "night and x both hold on Sat in Jul, 05:00 to 06:00",
            ),
            ([("x", "Mon-Sun", "", "22:00", "06:00", "1")], "cut a band at midnight in two"),
            ([("x", "Moo", "", "00:00", "24:00", "1")], "is none of Mon, Tue"),
            ([("x", "Mon", "", "0:00", "25:00", "1")], "is not a time from 00:00 to 24:00"),
            ([("", "", "", "", "", "")], "A tariff has at least one line"),
        ],
    )
    def test_refuses_bands_that_do_not_cover_the_week_once(
        self, admin: Client, lyon: Site, bands: list[tuple[str, ...]], problem: str
    ) -> None:
        page = admin.post(reverse("tariff-new"), tariff(lyon, *bands))
        assert problem in page.content.decode() and not Tariff.objects.exists()

    def test_comes_back_into_its_form_as_it_was_said(self, admin: Client, lyon: Site) -> None:
        winter = ("winter", "Mon-Fri,Sun", "Oct-Mar", "00:00", "24:00", "0.3")
        rest = [
            ("rest", "Mon-Fri,Sun", "Apr-Sep", "00:00", "24:00", "0.2"),
            ("sat", "Sat", "", "00:00", "24:00", "0.1"),
        ]
        admin.post(reverse("tariff-new"), tariff(lyon, winter, *rest))
        shown = admin.get(reverse("tariff", args=[Tariff.objects.get().pk])).context["bands"].initial
        assert [one["days"] for one in shown] == ["Mon-Fri,Sun", "Mon-Fri,Sun", "Sat"]
        assert [one["months"] for one in shown] == ["Jan-Mar,Oct-Dec", "Apr-Sep", ""]

    def test_can_be_taken_back(self, admin: Client, lyon: Site) -> None:
        admin.post(reverse("tariff-new"), tariff(lyon, NIGHT, DAY))
        DirtyHour.objects.all().delete()
        assert admin.post(reverse("tariff-drop", args=[Tariff.objects.get().pk])).status_code == 302
        assert not Tariff.objects.exists() and DirtyHour.objects.count() == 2

    def test_moved_to_another_start_leaves_no_second_one(self, admin: Client, lyon: Site) -> None:
        admin.post(reverse("tariff-new"), tariff(lyon, NIGHT, DAY))
        moved = tariff(lyon, NIGHT, DAY, valid_from="2026-03-10T09:00")
        admin.post(reverse("tariff", args=[Tariff.objects.get().pk]), moved)
        assert [one.valid_from for one in Tariff.objects.all()] == [NINE]

    def test_a_line_that_is_emptied_is_taken_out(self, admin: Client, lyon: Site) -> None:
        admin.post(reverse("tariff-new"), tariff(lyon, NIGHT, DAY))
        whole = ("flat", "Mon-Sun", "", "00:00", "24:00", "0.2")
        said = tariff(lyon, whole, ("", "", "", "", "", "")) | {"bands-INITIAL_FORMS": 2}
        admin.post(reverse("tariff", args=[Tariff.objects.get().pk]), said)
        assert [band.name for band in Tariff.objects.get().bands.all()] == ["flat"]

    def test_another_time_zone_of_the_site_restates_what_its_tariffs_priced(self, admin: Client, lyon: Site) -> None:
        admin.post(reverse("tariff-new"), tariff(lyon, NIGHT, DAY))
        DirtyHour.objects.all().delete()
        said = {"site-name": "Lyon", "site-time_zone": "Europe/Paris"}
        admin.post(reverse("site", args=[lyon.pk]), said)
        assert not DirtyHour.objects.exists()
        admin.post(reverse("site", args=[lyon.pk]), said | {"site-time_zone": "Europe/London"})
        assert set(DirtyHour.objects.values_list("hour", flat=True)) == {NINE, NINE - HOUR}

    def test_exports_a_line_a_band(self, admin: Client, lyon: Site) -> None:
        admin.post(reverse("tariff-new"), tariff(lyon, NIGHT, DAY))
        head, *body = text_of(admin.get(reverse("prices"), {"csv": "tariffs"})).splitlines()
        assert head.startswith("site,tariff,valid_from") and len(body) == 2
        assert body[0].endswith("night,Mon Tue Wed Thu Fri Sat Sun,"
                                "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec,00:00,06:00,0.1,EUR")  # fmt: skip


class TestSitePage:
    def test_says_which_step_gave_the_price(self, admin: Client, lyon: Site) -> None:
        assert "typical price" in admin.get(reverse("site", args=[lyon.pk])).content.decode()
        SiteTerms.objects.create(site=lyon, valid_from=NINE, electricity_price_per_kwh=0.2)
        assert "stated in the site&#x27;s terms" in admin.get(reverse("site", args=[lyon.pk])).content.decode()

    def test_says_why_a_price_is_not_known(self, admin: Client, lyon: Site) -> None:
        SiteTerms.objects.create(site=lyon, valid_from=NINE, electricity_price_per_kwh=0.2, price_currency="USD")
        page = admin.get(reverse("site", args=[lyon.pk])).content.decode()
        assert "no exchange rate from USD to EUR is known" in page and "state the site’s price" in page

    def test_sets_ways_to_cool_side_by_side(self, admin: Client, lyon: Site) -> None:
        now = timezone.now().replace(minute=0, second=0, microsecond=0)
        rows.ledger_hour(rows.a_device("now", site=lyon), now, kwh=1000.0)
        outcomes = {one.name: one for one in admin.get(reverse("site", args=[lyon.pk])).context["cooling"]}
        tower, dry = outcomes["Evaporative: chillers with cooling towers"], outcomes["Dry: air-cooled chillers"]
        # 1000 kWh x 1.25 and x 1.8 L/kWh; 1000 kWh x 1.38 and x 0.05 L/kWh
        assert (tower.facility_energy_kwh.range.mid, tower.water_onsite_l.range.mid) == pytest.approx((1250, 1800))
        assert (dry.facility_energy_kwh.range.mid, dry.water_onsite_l.range.mid) == pytest.approx((1380, 50))
        exported = text_of(admin.get(reverse("site", args=[lyon.pk]), {"csv": "cooling"})).splitlines()
        assert exported[0].startswith("cooling,facility_energy_kwh_low") and len(exported) == 1 + len(outcomes)


class TestDeviceAndHost:
    def test_a_device_says_what_accrued_and_what_is_left(self, admin: Client, lyon: Site) -> None:
        device = rows.a_device("old", site=lyon, embodied_kg=100.0, lifetime_h=20.0)
        text = admin.get(reverse("device", args=[device.pk])).content.decode()
        assert "Used up" in text and "100 kg" in text

    def test_keeps_rent_a_second_life_and_what_became_of_it(self, admin: Client, lyon: Site) -> None:
        device = rows.a_device("old", site=lyon)
        said = {
            "model": "x", "kind": "gpu", "acquired_at": "2026-01-01T00:00", "retired_at": "2026-02-01T00:00",
            "retirement": "passed_on", "served_h_before": "100", "rental_price_per_h": "2.5", "rental_currency": "usd",
        }  # fmt: skip
        assert admin.post(reverse("device-edit", args=[device.pk]), said).status_code == 302
        device.refresh_from_db()
        assert (device.retirement, device.served_h_before, device.rental_price_per_h) == ("passed_on", 100.0, 2.5)
        assert (device.rental_currency, device.rental_includes_electricity) == ("USD", False)

    def test_a_host_says_what_it_is_made_of_in_one_way(self, admin: Client, lyon: Site) -> None:
        host = lyon.hosts.get()
        both = {"site": lyon.pk, "server_embodied_kg": "900", "part_mainboards": "1"}
        assert b"in one way" in admin.post(reverse("host", args=[host.pk]), both).content
        assert b"not how much" in admin.post(reverse("host", args=[host.pk]), {"part_ssds": "2"}).content
        said = {"site": lyon.pk, "part_mainboards": "1", "part_psu_kg": "6"}
        assert admin.post(reverse("host", args=[host.pk]), said).status_code == 302
        host.refresh_from_db()
        assert host.server_parts == {"mainboards": 1.0, "psu_kg": 6.0}
        assert DirtyHour.objects.count() == 3
