"""Own factors restate the hours they touch, keep what stood, and go without a trace in the figures."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import Sum

from accounting.factorbook.own import OwnFactorRefused, stated_of
from accounting.factorbook.own_rules import Stated
from accounting.ledger import own_changes
from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.ledger.restate import settle
from accounting.models import (
    Device,
    DeviceSample,
    DirtyHour,
    EnergyHour,
    Job,
    LedgerHour,
    OwnFactor,
    RestatedDay,
    Restatement,
    Site,
    Team,
    TeamDay,
)
from accounting.tasks import rebuild_dirty_hours
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, hold, ledger, post, wipe

pytestmark = pytest.mark.django_db

FRANCE = Stated(
    "grid_intensity", "FR", 40.0, 30.0, 50.0, "g/kWh", "MODELLED", "RTE, our contract's zone", "the auditor asked"
)
OVERHEAD = Stated("pue", "default", 1.2, 1.1, 1.3, "1", "MEASURED", "commissioning report", "measured in May")

SENSOR = replace(OVERHEAD, quantity="tolerance", key="gpu/measured", value=1.0, low=0.98, high=1.02)


def a_place(slug: str = "paris", **terms: object) -> tuple[Site, object]:
    site = a_site(slug, **({"grid_zone": "FR"} | terms))
    device = a_device("gpu-0", site=site, retired_at=EIGHT + 2 * HOUR)
    post(device, range(0, 2 * 3600, 60), 1000.0)
    return site, device


def state(*stated: Stated, **more: object) -> own_changes.Outcome:
    return own_changes.save(stated, reason="the auditor asked", actor="ada", now=NOON, **more)


def remade() -> None:
    while rebuild_dirty(now=NOON):
        pass
    settle(now=NOON)


def whole() -> dict[str, list[tuple[object, ...]]]:
    """What a rebuild of everything, from nothing, says now."""
    wipe()
    rebuild_everything(now=NOON)
    return ledger()


def grams(**where: object) -> float:
    return LedgerHour.objects.filter(**where).aggregate(total=Sum("co2e_location_g"))["total"] or 0.0


class TestStatingAFactor:
    def test_restates_exactly_the_hours_that_it_answers_for(self) -> None:
        _, french = a_place()
        _, german = a_place("berlin", grid_zone="DE")
        remade()
        facility_kwh = LedgerHour.objects.filter(device=french).aggregate(s=Sum("facility_energy_kwh"))["s"]
        restatement = state(FRANCE).restatement
        assert set(DirtyHour.objects.values_list("device", flat=True)) == {french.pk}
        assert restatement.hours == 2 and restatement.state == Restatement.State.PENDING
        before = grams(device=german)
        remade()
        assert grams(device=french) == pytest.approx(facility_kwh * 40.0)
        assert grams(device=german) == before
        own = OwnFactor.objects.get()
        assert all(
            own.factor_id in row.factor_ids for row in LedgerHour.objects.filter(device=french, it_energy_kwh__gt=0)
        )

    @pytest.mark.parametrize(
        "stated",
        [
            FRANCE,
            OVERHEAD,
            replace(FRANCE, key="FR-IDF"),
            replace(FRANCE, quantity="ewif", value=3.0, low=2.0, high=4.0, unit="L/kWh"),
            replace(OVERHEAD, quantity="wue", value=0.3, low=0.2, high=0.4, unit="L/kWh"),
            replace(OVERHEAD, quantity="lifetime", value=50_000.0, low=40_000.0, high=60_000.0, unit="h"),
            replace(OVERHEAD, quantity="embodied", key="gpu", value=120.0, low=100.0, high=140.0, unit="kg"),
            replace(OVERHEAD, quantity="price_zone", key="FR", value=0.11, low=0.1, high=0.12, unit="EUR/kWh"),
            SENSOR,
            replace(OVERHEAD, quantity="tolerance", key="zone_in_country", value=1.0, low=0.9, high=1.1),
            replace(FRANCE, valid_from=EIGHT + HOUR),
            replace(FRANCE, valid_to=EIGHT + HOUR),
            replace(
                OVERHEAD, quantity="tolerance", key="gpu/measured", value=1.0, low=0.9, high=1.1, valid_to=EIGHT + HOUR
            ),
        ],
        ids=lambda s: f"{s.quantity}-{s.key}-{s.valid_from}-{s.valid_to}",
    )
    def test_ends_where_a_rebuild_of_everything_ends_and_goes_without_a_trace(self, stated: Stated) -> None:
        a_place(grid_zone="FR-IDF")
        remade()
        as_it_stood = ledger()
        outcome = state(stated)
        assert outcome.restatement is not None
        remade()
        restated = ledger()
        assert restated != as_it_stood
        assert restated == whole()
        own_changes.withdraw(OwnFactor.objects.get(), reason="was wrong", actor="ada", now=NOON)
        remade()
        assert ledger() == as_it_stood

    def test_of_any_gpu_takes_over_from_one_added_up_from_its_parts(self) -> None:
        a_place()
        Device.objects.update(model="NVIDIA L4")  # nobody published it: its die, memory and power are known
        rebuild_everything(now=NOON)
        assert any(one.startswith("die:") for one in LedgerHour.objects.first().factor_ids)
        of_gpus = replace(OVERHEAD, quantity="embodied", key="gpu", value=120.0, low=100.0, high=140.0, unit="kg")
        assert state(of_gpus).restatement.hours == 2
        remade()
        assert ledger() == whole()

    def test_nearer_to_the_place_takes_over_from_an_own_factor_around_it(self) -> None:
        a_place(grid_zone="FR-IDF")
        remade()
        state(FRANCE)
        remade()
        state(replace(FRANCE, key="FR-IDF", value=35.0))
        remade()
        kwh = LedgerHour.objects.aggregate(s=Sum("facility_energy_kwh"))["s"]
        assert grams() == pytest.approx(kwh * 35.0)
        assert ledger() == whole()

    def test_of_a_zone_that_nobody_knew_takes_over_from_the_world(self) -> None:
        a_place(grid_zone="HALL-9")
        remade()
        assert state(replace(FRANCE, key="HALL-9")).restatement.hours == 2
        remade()
        assert ledger() == whole()

    def test_again_restates_nothing(self) -> None:
        a_place()
        remade()
        state(FRANCE)
        remade()
        outcome = state(FRANCE)
        assert outcome == own_changes.Outcome((), None)
        assert OwnFactor.objects.count() == 1 and not DirtyHour.objects.exists()

    def test_of_nothing_in_the_ledger_leaves_no_restatement(self) -> None:
        a_place()
        remade()
        assert state(replace(FRANCE, key="PL")).restatement is None
        assert not Restatement.objects.exists()

    def test_reaches_sealed_hours_through_their_energy(self) -> None:
        _, device = a_place()
        remade()
        EnergyHour.objects.update(sealed=True)
        DeviceSample.objects.filter(device=device).delete()
        kwh = LedgerHour.objects.aggregate(s=Sum("facility_energy_kwh"))["s"]
        state(FRANCE)
        remade()
        assert grams() == pytest.approx(kwh * 40.0)


class TestScope:
    def test_site_goes_before_team_and_team_before_organisation(self) -> None:
        paris, in_paris = a_place()
        _, in_lyon = a_place("lyon")
        _, in_nice = a_place("nice")
        team = Team.objects.create(name="Vision", slug="vision")
        job = Job.objects.create(key="train", team=team)
        for device in (in_paris, in_lyon):
            hold(job, device, EIGHT, EIGHT + 2 * HOUR)
        remade()
        energy = dict(LedgerHour.objects.values_list("device").annotate(Sum("facility_energy_kwh")))
        state(
            FRANCE,
            replace(FRANCE, value=20.0, low=10.0, team_id=team.pk),
            replace(FRANCE, value=15.0, low=10.0, site_id=paris.pk),
        )
        remade()
        for device, intensity in ((in_paris, 15.0), (in_lyon, 20.0), (in_nice, 40.0)):
            assert grams(device=device) == pytest.approx(energy[device.pk] * intensity)
        assert ledger() == whole()

    def test_team_factor_leaves_the_energy_nobody_held_alone_and_parts_add_up(self) -> None:
        _, device = a_place()
        team = Team.objects.create(name="Vision", slug="vision")
        hold(Job.objects.create(key="train", team=team), device, EIGHT, EIGHT + timedelta(minutes=30))
        remade()
        nobodys, kwh = grams(team=None), LedgerHour.objects.aggregate(s=Sum("it_energy_kwh"))["s"]
        state(replace(FRANCE, team_id=team.pk))
        remade()
        assert grams(team=None) == nobodys
        assert LedgerHour.objects.aggregate(s=Sum("it_energy_kwh"))["s"] == kwh
        assert TeamDay.objects.aggregate(s=Sum("co2e_location_g"))["s"] == pytest.approx(grams())


class TestWhatStoodBefore:
    def test_is_kept_to_the_last_digit_beside_what_it_came_to(self) -> None:
        a_place()
        remade()
        stood = TeamDay.objects.values().get()
        state(FRANCE)
        remade()
        restatement = Restatement.objects.get()
        before, after = (RestatedDay.objects.values().get(after=which) for which in (False, True))
        stands = TeamDay.objects.values().get()
        for column in ("co2e_location_g_low", "co2e_location_g", "co2e_location_g_high", "it_energy_kwh", "cost"):
            assert (before[column], after[column]) == (stood[column], stands[column])
        assert (restatement.state, restatement.reason, restatement.actor) == ("done", "the auditor asked", "ada")
        device = restatement.devices.get()
        assert (device.hours, device.co2e_before_g) == (
            2,
            pytest.approx(stood["co2e_location_g"] + stood["embodied_g"]),
        )
        assert device.co2e_after_g == pytest.approx(stands["co2e_location_g"] + stands["embodied_g"])

    def test_is_not_closed_while_a_marked_hour_waits(self) -> None:
        a_place()
        remade()
        state(FRANCE)
        rebuild_dirty(now=NOON, limit=1)
        assert settle(now=NOON) == 0 and Restatement.objects.get().state == "pending"
        remade()
        assert Restatement.objects.get().state == "done"

    def test_versions_are_kept_and_the_newest_counts(self) -> None:
        a_place()
        remade()
        kwh = LedgerHour.objects.aggregate(s=Sum("facility_energy_kwh"))["s"]
        state(FRANCE)
        remade()
        state(replace(FRANCE, value=45.0, reason="corrected"))
        remade()
        assert grams() == pytest.approx(kwh * 45.0)
        first, second = OwnFactor.objects.order_by("pk")
        assert (first.version, second.version, second.supersedes) == (1, 2, first)
        assert not first.is_in_force and second.is_in_force


class TestRefusals:
    @pytest.mark.parametrize(
        ("wrong", "column"),
        [
            ({"value": 2500.0, "high": 2600.0}, "value"),
            ({"low": 45.0}, "value"),
            ({"value": float("nan")}, "value"),
            ({"unit": "kg/kWh"}, "unit"),
            ({"quantity": "grid_intensitty"}, "quantity"),
            ({"quantity": "pue", "key": "default", "unit": "1", "value": 0.9, "low": 0.9, "high": 1.2}, "low"),
            ({"quantity": "embodied", "key": "gpu/h1000", "unit": "kg"}, "key"),
            ({"reason": "  "}, "reason"),
            ({"source": ""}, "source"),
            ({"url": "javascript:alert(1)"}, "url"),
            ({"valid_from": EIGHT + timedelta(minutes=5)}, "valid_from"),
            ({"valid_from": EIGHT, "valid_to": EIGHT}, "valid_to"),
            ({"key": 'FR"@x'}, "key"),
        ],
    )
    def test_name_the_column(self, wrong: dict[str, object], column: str) -> None:
        with pytest.raises(OwnFactorRefused) as refused:
            state(replace(FRANCE, **wrong))
        assert column in {problem.column for problem in refused.value.problems}
        assert not OwnFactor.objects.exists()

    def test_two_of_one_scope_may_not_overlap(self) -> None:
        state(replace(FRANCE, valid_to=EIGHT + 5 * HOUR))
        with pytest.raises(OwnFactorRefused, match="holds from ever"):
            state(replace(FRANCE, valid_from=EIGHT))
        state(replace(FRANCE, valid_from=EIGHT + 5 * HOUR))
        assert OwnFactor.objects.in_force().count() == 2

    def test_one_wrong_of_several_writes_none(self) -> None:
        with pytest.raises(OwnFactorRefused):
            state(FRANCE, replace(OVERHEAD, value=11.0, high=12.0))
        assert not OwnFactor.objects.exists()

    def test_a_version_that_is_gone_cannot_be_corrected(self) -> None:
        state(FRANCE)
        first = OwnFactor.objects.get()
        state(replace(FRANCE, value=45.0))
        with pytest.raises(OwnFactorRefused, match="reload"):
            state(replace(stated_of(first), value=41.0), corrects=OwnFactor.objects.get(pk=first.pk))


class TestAnySequenceOfChanges:
    @pytest.mark.parametrize("seed", range(6))
    def test_ends_where_a_rebuild_of_everything_ends(self, seed: int) -> None:
        dice = random.Random(seed)
        paris, device = a_place(grid_zone="FR-IDF")
        a_place("berlin", grid_zone="DE")
        team = Team.objects.create(name="Vision", slug="vision")
        hold(Job.objects.create(key="train", team=team), device, EIGHT, EIGHT + timedelta(minutes=90))
        remade()
        scopes = ({}, {"site_id": paris.pk}, {"team_id": team.pk})
        for _ in range(8):
            standing = list(OwnFactor.objects.in_force())
            if standing and dice.random() < 0.35:
                own_changes.withdraw(dice.choice(standing), reason="gone", actor="ada", now=NOON)
            else:
                value = float(dice.randint(20, 60))
                what = dice.choice(
                    [
                        replace(FRANCE, key=dice.choice(["FR", "FR-IDF", "DE"]), value=value, low=10.0, high=90.0),
                        replace(OVERHEAD, value=1.0 + value / 100, low=1.0, high=2.0),
                    ]
                )
                state(replace(what, **dice.choice(scopes)))
            if dice.random() < 0.6:
                remade()
        remade()
        assert not Restatement.objects.exclude(state="done").exists()
        assert ledger() == whole()


class TestTheTask:
    def test_rebuilds_and_closes_what_was_restated(self) -> None:
        a_place()
        rebuild_dirty_hours()
        state(FRANCE)
        rebuild_dirty_hours()
        assert Restatement.objects.get().state == "done" and not DirtyHour.objects.exists()
