"""Whatever people change in whatever order: the ledger ends where a rebuild of everything ends, and parts add up."""

import random
from datetime import timedelta

import pytest
from django.db.models import Q, Sum

from accounting.factorbook import price_rows
from accounting.factorbook.own import OwnFactorRefused
from accounting.factorbook.own_rules import Stated
from accounting.factorbook.price_files import PriceLine, RateLine
from accounting.factors.providers import csv_file
from accounting.ledger import gridfeed, matching, own_changes
from accounting.ledger.instants import hour_of
from accounting.ledger.marking import restate_priced
from accounting.ledger.rebuild import mark_in_service, rebuild_dirty, rebuild_everything
from accounting.ledger.restate import Cause, restate, settle
from accounting.methods.tariff import Band
from accounting.models import (
    Device,
    DeviceDay,
    DirtyHour,
    EnergyContract,
    Host,
    InstrumentUse,
    Job,
    LedgerHour,
    Restatement,
    SiteTerms,
    Tariff,
    Team,
    TeamDay,
    TeamHour,
)
from tests.accounting.ledger.rows import COLUMNS, EIGHT, HOUR, NOON, a_site, hold, ledger, post, tell, wipe

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=1)
WHY = {"reason": "drawn by lot", "actor": "ada", "now": LATER}
ALWAYS = frozenset(range(1, 8)), frozenset(range(1, 13))
TERMS = (
    {"grid_zone": "DE", "pue": 1.1},
    {"grid_zone": "IE", "market_matching": "hourly", "residual_g_per_kwh": 400.0},
    {"cloud_provider": "gcp", "cloud_region": "europe-west1", "supplier_g_per_kwh": 90.0},
    {"grid_zone": "FR", "idle_policy": "equal", "price_zone": "FR"},
    {"grid_zone": "FR", "embodied_allocation": "time_and_use", "carbon_price_per_t": 50.0},
)
FACTORS = (
    Stated("grid_intensity", "IE", 90.0, 50.0, 100.0, "g/kWh", "MODELLED", "meter", "audit"),
    Stated("embodied", "gpu", 120.0, 100.0, 140.0, "kg", "MODELLED", "maker", "audit"),
    Stated("residual_mix", "IE", 333.0, 300.0, 400.0, "g/kWh", "MODELLED", "AIB", "audit"),
    Stated("price_zone", "IE", 0.11, 0.1, 0.12, "EUR/kWh", "MODELLED", "bill", "audit"),
    Stated("idle_share", "gpu", 0.2, 0.1, 0.3, "1", "MODELLED", "meter", "audit"),
)


class World:
    """Two sites, six GPUs of three hosts, two teams, and jobs that share devices, for four hours."""

    def __init__(self, seed: int) -> None:
        self.lot = random.Random(seed)
        self.sites = [
            a_site("paris", grid_zone="FR", pue=1.2, electricity_price_per_kwh=0.2, embodied_allocation="time_and_use"),
            a_site("dublin", grid_zone="IE", market_matching="hourly", idle_policy="by_use", price_currency="USD"),
        ]
        self.teams = [Team.objects.create(name=name, slug=name) for name in ("vision", "speech")]
        jobs = [Job.objects.create(key=f"job-{n}", team=team) for n, team in enumerate([*self.teams, None])]
        for n in range(3):
            host = Host.objects.create(name=f"node-{n}", site=self.lot.choice([*self.sites, None]))
            for k, model in enumerate(("NVIDIA L4", "NVIDIA H100 80GB HBM3")):
                self._device(host, f"gpu-{k}", model, jobs)
        for minutes in range(0, 240, 30):
            tell(self.sites[0], EIGHT + timedelta(minutes=minutes), cooling_power_w=500.0)

    def _device(self, host: Host, key: str, model: str, jobs: list[Job]) -> None:
        rent = {"rental_price_per_h": 1.5, "rental_currency": self.lot.choice(["EUR", "USD"])}
        life = {"acquired_at": EIGHT - HOUR, "retired_at": EIGHT + 3 * HOUR + timedelta(minutes=20)}
        more = rent if self.lot.random() < 0.5 else {"served_h_before": 30_000.0}
        device = Device.objects.create(host=host, key=key, kind="gpu", model=model, **life, **more)
        post(device, range(0, 3 * 3600, 120), lambda s: 200.0 + s / 60)
        for job in self.lot.sample(jobs, 2):
            start = EIGHT + timedelta(minutes=self.lot.randint(0, 60))
            hold(job, device, start, start + timedelta(minutes=self.lot.randint(10, 100)))

    def change(self) -> None:
        kinds = (self.factor, self.terms, self.contract, self.tariff, self.rate, self.price, self.host, self.grid)
        self.lot.choice(kinds)()

    def factor(self) -> None:
        try:
            own_changes.save([self.lot.choice(FACTORS)], **WHY)
        except OwnFactorRefused:
            return  # overlaps one that stands

    def terms(self) -> None:
        site, since = self.lot.choice(self.sites), EIGHT + self.lot.randint(-1, 3) * HOUR
        SiteTerms.objects.update_or_create(site=site, valid_from=since, defaults=self.lot.choice(TERMS))
        rows = LedgerHour.objects.filter(Q(site=site) | Q(device__host__site=site), hour__gte=hour_of(since))
        restate(rows, cause=Cause("site_terms", site=site), **WHY)

    def contract(self) -> None:
        standing = EnergyContract.objects.order_by("pk").first()
        if standing and self.lot.random() < 0.4:
            matching.release(standing, **WHY)
            standing.delete()
            return
        start = EIGHT + self.lot.randint(0, 1) * HOUR
        said = {"name": "Wind", "kind": "ppa", "vintage": 2026, "start": start, "end": start + 2 * HOUR}
        zone, site = self.lot.choice(["IE", "FR", "DE"]), self.lot.choice([None, *self.sites])
        made = EnergyContract.objects.create(**said, zone=zone, site=site, mwh=self.lot.uniform(0.0003, 0.005))
        matching.change({2026}, [made], **WHY)

    def tariff(self) -> None:
        standing = Tariff.objects.order_by("pk").first()
        if standing and self.lot.random() < 0.4:
            restate_priced(price_rows.drop_tariff(standing), **WHY)
            return
        bands = [Band("night", *ALWAYS, 0, 570, 0.1), Band("day", *ALWAYS, 570, 1440, 0.3)]
        since, currency = EIGHT + self.lot.randint(0, 2) * HOUR, self.lot.choice(["EUR", "USD"])
        said = {"name": "Blue", "currency": currency, "valid_from": since, "valid_to": None, "bands": bands}
        restate_priced(price_rows.save_tariff(self.lot.choice(self.sites), **said)[1], **WHY)

    def rate(self) -> None:
        day = (EIGHT - timedelta(days=self.lot.randint(0, 9))).date()
        restate_priced(price_rows.save_rates([RateLine("USD", day, self.lot.uniform(0.5, 1.5), "ECB")]), **WHY)

    def price(self) -> None:
        hour = EIGHT + self.lot.randint(0, 3) * HOUR
        of_site, of_zone = ("paris", ""), ("", "FR")
        line = PriceLine(*self.lot.choice([of_site, of_zone]), hour, self.lot.uniform(-0.1, 0.5), "EUR", "spot")
        restate_priced(price_rows.save_prices([line]), **WHY)

    def host(self) -> None:
        host = self.lot.choice(list(Host.objects.order_by("pk")))
        rows = LedgerHour.objects.filter(device__host=host)
        DirtyHour.objects.mark(rows.order_by().values_list("device_id", "hour").distinct(), now=LATER)
        host.site, host.server_embodied_kg = self.lot.choice([*self.sites, None]), self.lot.choice([None, 800.0])
        host.save()
        restate(rows, cause=Cause("placement"), **WHY)

    def grid(self) -> None:
        hour, zone = self.lot.choice(["08", "09", "10"]), self.lot.choice(["FR", "IE", "DE"])
        head = "# unit: g/kWh\n# basis: lifecycle\ndatetime,zone,value\n"
        found = csv_file.parse(f"{head}2026-03-02T{hour}:00Z,{zone},{self.lot.randint(10, 500)}\n".encode())
        gridfeed.store_hours(csv_file.NAME, found.values, now=LATER, because=gridfeed.Because("drawn by lot", "ada"))


def remade() -> None:
    while rebuild_dirty(now=LATER):
        pass
    settle(now=LATER)


def claims() -> list[tuple[object, ...]]:
    return sorted(InstrumentUse.objects.values_list("contract", "site", "mode", "start", "end", "kwh", "share"))


@pytest.fixture(params=range(3))
def changed(request: pytest.FixtureRequest) -> World:
    world = World(request.param)
    mark_in_service(now=LATER)
    remade()
    for _ in range(16):
        world.change()
        if world.lot.random() < 0.6:
            remade()
    remade()
    return world


class TestAnySequenceOfChanges:
    def test_ends_where_a_rebuild_of_everything_ends_and_every_restatement_with_it(self, changed: World) -> None:
        assert Restatement.objects.exists() and not Restatement.objects.exclude(state="done").exists()
        stood, claimed = ledger(), claims()
        wipe()
        rebuild_everything(now=LATER)
        assert ledger() == stood and claims() == claimed

    def test_leaves_every_column_adding_up_from_hours_to_days_and_devices(self, changed: World) -> None:
        numbers = [name for name in COLUMNS if name not in ("id", "status")]
        sums = {name: Sum(name) for name in numbers}
        hours, *others = (table.objects.aggregate(**sums) for table in (LedgerHour, TeamHour, TeamDay, DeviceDay))
        for rolled_up in others:
            assert rolled_up == pytest.approx(hours, rel=1e-9, abs=1e-9)

    def test_never_leaves_more_idle_unpriced_claimed_or_spoken_for_than_there_is(self, changed: World) -> None:
        for row in LedgerHour.objects.all():
            assert 0 <= row.idle_kwh <= row.it_energy_kwh * (1 + 1e-9)
            assert max(row.market_kwh, row.unpriced_kwh) <= row.facility_energy_kwh * (1 + 1e-9)
            assert row.idle_embodied_g == (row.embodied_g if row.job_id is None else 0.0)
        for contract in EnergyContract.objects.all():
            assert sum(contract.uses.values_list("kwh", flat=True)) <= contract.mwh * 1000 * (1 + 1e-9)
