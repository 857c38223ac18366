"""What a person changes restates: what stood is kept, and the page says why and what it came to."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.ledger.restate import settle
from accounting.models import Device, Host, LedgerHour, Restatement, Site, Tariff
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, ledger, post, tell, wipe
from tests.accounting.reports import rows
from tests.golden.test_market_based import a_contract, four_hours

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=1)
SAID = {"name": "Nordsee", "kind": "ppa", "zone": "IE", "mwh": "0.04", "vintage": "2026", "g_per_kwh": "0"}


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(rows.an_administrator())
    return client


def remade() -> None:
    rebuild_dirty(now=LATER)
    settle(now=LATER)


def moved(column: str) -> tuple[float, float]:
    """Before and after, over all days of the one restatement, which is done."""
    one = Restatement.objects.get()
    assert one.state == Restatement.State.DONE and one.actor == "root"
    return tuple(sum(one.days.filter(after=after).values_list(column, flat=True)) for after in (False, True))


def whole() -> dict[str, list[tuple[Any, ...]]]:
    wipe()
    rebuild_everything(now=LATER)
    return ledger()


def four_retired_hours(mode: str) -> None:
    four_hours(mode)
    Device.objects.update(retired_at=NOON)


class TestContracts:
    @pytest.mark.parametrize("mode", ["annual", "hourly"])
    def test_entered_restate_what_they_cover_and_say_why(self, admin: Client, mode: str) -> None:
        four_retired_hours(mode)
        remade()
        admin.post(reverse("contract-new"), SAID | {"start": "2026-03-02T08:00", "end": "2026-03-02T10:00"})
        assert Restatement.objects.get().state == Restatement.State.MARKING
        remade()
        # 120 kWh at 500 g, of which the contract's 40 come to nothing
        assert moved("co2e_market_g") == pytest.approx((60_000.0, 40_000.0))
        one = Restatement.objects.get()
        assert one.reason == "contract Nordsee (2026) was entered: 0.04 MWh in IE" and one.cause == "contract"
        hours = 4 if mode == "annual" else 2
        assert (one.hours, one.first_hour, one.last_hour) == (hours, EIGHT, EIGHT + (hours - 1) * HOUR)
        assert ledger() == whole()

    def test_that_move_nothing_leave_no_restatement(self, admin: Client) -> None:
        four_retired_hours("annual")
        remade()
        admin.post(reverse("contract-new"), SAID | {"zone": "FR"})
        remade()
        assert not Restatement.objects.exists()

    @pytest.mark.parametrize("mode", ["annual", "hourly"])
    def test_removed_restate_also_where_another_takes_over(self, admin: Client, mode: str) -> None:
        first = a_contract(20.0, g_per_kwh=100.0)
        a_contract(10.0, name="Second", g_per_kwh=200.0, start=EIGHT + HOUR, end=EIGHT + 3 * HOUR)
        a_contract(20.0, name="Third", g_per_kwh=10.0)
        four_retired_hours(mode)
        remade()
        before = sum(row.co2e_market_g for row in LedgerHour.objects.all())
        admin.post(reverse("contract-delete", args=[first.pk]))
        for _ in range(3):  # as the task goes: a few hours at a time
            rebuild_dirty(now=LATER, limit=1)
            settle(now=LATER)
        remade()
        after = sum(row.co2e_market_g for row in LedgerHour.objects.all())
        assert after != pytest.approx(before)
        assert moved("co2e_market_g") == pytest.approx((before, after))
        assert ledger() == whole()

    def test_corrected_say_what_was(self, admin: Client) -> None:
        contract = a_contract(20.0)
        four_retired_hours("annual")
        remade()
        said = SAID | {"name": "Wind", "g_per_kwh": "100", "start": "2026-03-02T08:00", "end": "2026-03-02T10:00"}
        admin.post(reverse("contract", args=[contract.pk]), said)
        remade()
        assert moved("co2e_market_g") == pytest.approx((40_000.0, 44_000.0))
        assert Restatement.objects.get().reason == "Emits, g CO₂e/kWh of contract Wind (2026) corrected"

    def test_given_hours_of_generation_or_imported_restate_once(self, admin: Client) -> None:
        contract = a_contract(20.0)
        four_retired_hours("hourly")
        remade()
        file = SimpleUploadedFile("x.csv", b"hour,kwh\n2026-03-02T08:00Z,30\n")
        admin.post(reverse("contract-profile", args=[contract.pk]), {"file": file})
        remade()
        assert moved("co2e_market_g") == pytest.approx((40_000.0, 45_000.0))
        text = "name,kind,zone,mwh,vintage\nA,ppa,IE,1,2026\nB,ppa,IE,2,2026\n"
        admin.post(reverse("contract-import"), {"text": text, "confirmed": "1"})
        remade()
        assert Restatement.objects.first().reason == "2 contracts were imported"
        assert ledger() == whole()


@pytest.fixture
def paris() -> Site:
    """1 kW for two hours at 0.20 EUR/kWh, PUE 1."""
    site = a_site("paris", grid_zone="FR", electricity_price_per_kwh=0.2, pue=1.0)
    post(a_device(site=site, retired_at=EIGHT + 2 * HOUR), range(0, 7201, 60), 1000.0)
    remade()
    return site


def band(price: str) -> dict[str, object]:
    one = {"name": "flat", "days": "Mon-Sun", "months": "", "start": "00:00", "end": "24:00", "price": price}
    return {"bands-TOTAL_FORMS": 1, "bands-INITIAL_FORMS": 0, **{f"bands-0-{name}": of for name, of in one.items()}}


class TestPrices:
    def test_imported_restate_their_hours_and_taken_back_once_more(self, admin: Client, paris: Site) -> None:
        text = "site,hour,price_per_kwh,currency\nparis,2026-03-02T08:00Z,0.5,EUR\n"
        admin.post(reverse("price-import", args=["hours"]), {"text": text, "confirmed": "1"})
        remade()
        assert moved("cost") == pytest.approx((0.4, 0.7), rel=1e-3)
        assert Restatement.objects.get().reason == "1 hourly prices were imported"
        admin.post(reverse("price-drop"), {"site": paris.pk})
        remade()
        assert Restatement.objects.first().reason == "hourly prices of paris were taken back"
        assert Restatement.objects.first().site == paris
        assert ledger() == whole()

    def test_of_a_tariff_restate_when_stated_moved_and_taken_back(self, admin: Client, paris: Site) -> None:
        said = {"site": paris.pk, "name": "Blue", "currency": "EUR", "valid_from": "2026-03-02T09:00", **band("0.4")}
        assert admin.post(reverse("tariff-new"), said).status_code == 302
        remade()
        assert moved("cost") == pytest.approx((0.4, 0.6), rel=1e-3)
        tariff = Tariff.objects.get()
        admin.post(reverse("tariff", args=[tariff.pk]), said | {"valid_from": "2026-03-02T08:00"})
        remade()
        assert Restatement.objects.first().reason == "tariff Blue of paris was corrected"
        admin.post(reverse("tariff-drop", args=[Tariff.objects.get().pk]))
        remade()
        assert [one.reason for one in Restatement.objects.all()] == [
            "tariff Blue of paris was taken back",
            "tariff Blue of paris was corrected",
            "tariff Blue of paris was stated",
        ]
        assert ledger() == whole()

    def test_in_another_currency_restate_with_a_rate_from_the_command_too(self, paris: Site, tmp_path: Any) -> None:
        paris.terms.update(price_currency="USD")
        rebuild_everything(now=LATER)
        file = tmp_path / "rates.csv"
        file.write_text("currency,day,rate\nUSD,2026-03-02,0.5\n")
        call_command("import_prices", "rates", str(file))
        remade()
        one = Restatement.objects.get()
        assert (one.reason, one.actor, one.cause) == ("1 exchange rates were imported", "import_prices", "prices")
        assert sum(row.cost for row in LedgerHour.objects.all()) == pytest.approx(0.2, rel=1e-3)


class TestPlaces:
    def test_of_a_host_restate_its_hours(self, admin: Client, paris: Site) -> None:
        lund = a_site("lund", grid_zone="SE", electricity_price_per_kwh=0.1, pue=1.0)
        host = Host.objects.get()
        admin.post(reverse("host", args=[host.pk]), {"site": lund.pk})
        remade()
        one = Restatement.objects.get()
        assert (one.reason, one.state, one.hours) == ("node-1 was placed at lund", "done", 2)
        assert moved("it_energy_kwh") == pytest.approx((2.0, 0.0), rel=1e-3)  # of the site it left: now elsewhere
        assert ledger() == whole()

    def test_left_behind_are_restated_where_cooling_is_laid_on_what_all_draw(self, admin: Client) -> None:
        hall = a_site("hall", grid_zone="FR")
        stays = a_device(site=hall, retired_at=EIGHT + 2 * HOUR)
        leaves = Device.objects.create(
            host=Host.objects.create(name="node-2", site=hall), key="gpu-1", kind="gpu", acquired_at=EIGHT,
            retired_at=EIGHT + 2 * HOUR,
        )  # fmt: skip
        for minutes in range(0, 120, 15):
            tell(hall, EIGHT + timedelta(minutes=minutes), cooling_power_w=1000.0)
        for device in (stays, leaves):
            post(device, range(0, 7201, 60), 1000.0)
        remade()
        admin.post(reverse("host", args=[leaves.host_id]), {"site": a_site("lund", grid_zone="SE").pk})
        remade()
        assert ledger() == whole()

    def test_that_say_the_same_again_restate_nothing(self, admin: Client, paris: Site) -> None:
        admin.post(reverse("host", args=[Host.objects.get().pk]), {"site": paris.pk})
        remade()
        assert not Restatement.objects.exists()

    def test_by_another_clock_restate_their_tariffs(self, admin: Client, paris: Site) -> None:
        Tariff.objects.create(site=paris, name="Blue", currency="EUR", valid_from=EIGHT)
        said = {"site-name": "paris", "site-slug": "paris", "site-time_zone": "Europe/Paris"}
        assert admin.post(reverse("site", args=[paris.pk]), said).status_code == 302
        one = Restatement.objects.get()
        assert one.reason == "the tariffs of paris are read by the clock of Europe/Paris" and one.hours == 2


class TestGridHours:
    TEXT = "# unit: g/kWh\n# basis: lifecycle\ndatetime,zone,value\n2026-03-02T08:00Z,FR,400\n"

    def test_imported_on_the_page_restate_and_say_which_file(self, admin: Client, paris: Site) -> None:
        file = SimpleUploadedFile("march.csv", self.TEXT.encode())
        page = admin.post(reverse("grid-import"), {"file": file})
        admin.post(reverse("grid-import-confirm"), {"checked": page.context["checked"]})
        remade()
        before, after = moved("co2e_location_g")
        assert after > before and Restatement.objects.get().reason == "hours of march.csv were imported"
        assert ledger() == whole()

    def test_imported_by_the_command_do_so_too_and_the_same_file_again_does_not(
        self, paris: Site, tmp_path: Any
    ) -> None:
        file = tmp_path / "march.csv"
        file.write_text(self.TEXT)
        for _ in range(2):
            call_command("grid_import", file=file)
            remade()
        one = Restatement.objects.get()
        assert (one.actor, one.cause, one.hours) == ("grid_import", "grid_hours", 1)
