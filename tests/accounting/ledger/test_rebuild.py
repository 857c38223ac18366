"""Dirty hours into ledger rows: hour edges, sources, jobs, holes, places, and the same totals in any order."""

import random
from datetime import timedelta

import pytest
from django.db.models import Sum

from accounting.ledger import rebuild
from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.models import DeviceSample, DirtyHour, EnergyHour, Job, LedgerHour, Project, SiteTerms, Team
from tests.accounting.ledger.rows import (
    AGENT,
    EIGHT,
    HOUR,
    METER,
    MODEL,
    NOON,
    a_device,
    a_site,
    hold,
    ledger,
    post,
    tell,
    wipe,
)

pytestmark = pytest.mark.django_db


def kwh(**where: object) -> float:
    return LedgerHour.objects.filter(**where).aggregate(total=Sum("it_energy_kwh"))["total"] or 0.0


class TestHourEdges:
    def test_splits_the_interval_that_crosses_the_hour(self) -> None:
        # 360 W flat from 08:59:00 to 09:01:00: 60 s each side, 21 600 J = 0.006 kWh each.
        device = a_device()
        post(device, [3540, 3660], 360.0)
        rebuild_dirty(now=NOON)
        assert kwh(hour=EIGHT) == pytest.approx(0.006) and kwh(hour=EIGHT + HOUR) == pytest.approx(0.006)

    def test_a_late_reading_changes_what_lies_on_both_sides_of_it(self) -> None:
        # 0 W, 100 W, 0 W at 0, 60, 120 s: (50 + 50) x 60 = 6000 J. Then 100 W at 30 s too: 1500 + 3000 + 3000 = 7500 J.
        device = a_device()
        post(device, [0, 120], 0.0)
        post(device, [60], 100.0)
        rebuild_dirty(now=NOON)
        assert kwh() * 3.6e6 == pytest.approx(6000)
        post(device, [30], 100.0)
        rebuild_dirty(now=NOON)
        assert kwh() * 3.6e6 == pytest.approx(7500)

    def test_gives_a_hole_of_several_hours_to_each_of_them(self) -> None:
        # Readings at 08:30 and 11:30 only: ingest marks 08 and 11, the ledger finds 09 and 10.
        device = a_device()
        post(device, [1800], 100.0)
        post(device, [12_600], 100.0)
        rebuild_dirty(now=NOON)
        missing = dict(EnergyHour.objects.values_list("hour").annotate(Sum("missing_s")))
        assert missing == {EIGHT: 1800.0, EIGHT + HOUR: 3600.0, EIGHT + 2 * HOUR: 3600.0, EIGHT + 3 * HOUR: 1800.0}
        assert not DirtyHour.objects.exists()

    def test_a_counter_fills_a_hole_evenly(self) -> None:
        # 3 h between readings, 10.8 MJ = 3 kWh: 0.5, 1, 1 and 0.5 kWh, and nothing missing.
        device = a_device()
        post(device, [1800], counter=lambda s: 0.0)
        post(device, [12_600], counter=lambda s: 10.8e6)
        rebuild_dirty(now=NOON)
        by_hour = LedgerHour.objects.order_by("hour").values_list("hour").annotate(Sum("it_energy_kwh"))
        assert [round(x, 9) for _, x in by_hour] == [0.5, 1.0, 1.0, 0.5]
        assert EnergyHour.objects.aggregate(s=Sum("missing_s"))["s"] == 0.0


class TestSources:
    def test_counts_the_better_source_and_fills_its_hole_with_the_worse(self) -> None:
        # The meter says 100 W for 0-600 s and 1200-1800 s, the agent 50 W for 0-1800 s:
        # 2 x 600 s x 100 W + 600 s x 50 W = 150 000 J
        device = a_device()
        post(device, [*range(0, 601, 60), *range(1200, 1801, 60)], 100.0, source=METER)
        post(device, range(0, 1801, 60), 50.0, source=AGENT)
        rebuild_dirty(now=NOON)
        assert kwh() * 3.6e6 == pytest.approx(150_000)
        row = EnergyHour.objects.get()
        assert row.source == METER and row.covered_s == 1800.0 and row.missing_s == 0.0

    def test_a_modelled_reading_is_wider_and_says_so(self) -> None:
        device = a_device()
        post(device, range(0, 601, 60), 100.0, source=MODEL, measured=False)
        rebuild_dirty(now=NOON)
        row = LedgerHour.objects.get()
        assert row.energy_status == "MODELLED" and row.measured_kwh == 0.0
        assert row.it_energy_kwh_low == pytest.approx(row.it_energy_kwh * 0.5)  # tolerance:gpu/modelled
        assert row.it_energy_kwh_high == pytest.approx(row.it_energy_kwh * 2.0)
        assert "tolerance:gpu/modelled" in row.factor_ids


class TestJobs:
    def test_splits_energy_time_and_embodied_at_the_bounds_of_a_job(self) -> None:
        # 100 W for the hour; the job holds 08:15-08:45, half of it: 0.05 kWh each.
        team = Team.objects.create(name="Vision", slug="vision")
        project = Project.objects.create(team=team, name="Cats", slug="cats")
        job = Job.objects.create(key="1", team=team, project=project)
        device = a_device()
        post(device, range(0, 3601, 60), 100.0)
        hold(job, device, EIGHT + HOUR / 4, EIGHT + HOUR * 3 / 4)
        rebuild_dirty(now=NOON)
        of_job, of_nobody = LedgerHour.objects.get(hour=EIGHT, job=job), LedgerHour.objects.get(hour=EIGHT, job=None)
        assert of_job.it_energy_kwh == pytest.approx(0.05) and of_nobody.it_energy_kwh == pytest.approx(0.05)
        assert of_job.embodied_g == pytest.approx(of_nobody.embodied_g) and of_job.embodied_g > 0
        assert (of_job.team, of_job.project, of_nobody.team) == (team, project, None)
        assert EnergyHour.objects.get(job=job).held_s == 1800.0

    def test_jobs_at_once_share_and_add_up_to_the_device(self) -> None:
        a, b, c = (Job.objects.create(key=str(k)) for k in range(3))
        device = a_device()
        post(device, range(0, 3601, 60), lambda s: 100 + s / 7)
        for k, job in enumerate((a, b, c)):
            hold(job, device, EIGHT + (k + 1) * HOUR / 10, None)
        rebuild_dirty(now=NOON)
        rows = EnergyHour.objects.filter(hour=EIGHT)
        assert rows.count() == 4
        # Trapezoid of a straight line: mean of 100 W and 100 + 3600/7 W, for 3600 s
        assert sum(r.device_energy_j for r in rows) == pytest.approx((100 + 3600 / 14) * 3600)
        assert sum(r.covered_s for r in rows) == pytest.approx(3600) == sum(r.held_s for r in rows)

    def test_goes_by_the_readings_own_label_where_no_mark_stands(self) -> None:
        marked, labelled = Job.objects.create(key="marked"), Job.objects.create(key="labelled")
        device = a_device()
        post(device, range(0, 1201, 60), 100.0, job=labelled)
        hold(marked, device, EIGHT, EIGHT + HOUR / 6)
        rebuild_dirty(now=NOON)
        assert kwh(job=marked) == pytest.approx(kwh(job=labelled)) == pytest.approx(100 * 600 / 3.6e6)
        assert kwh(job=None) == 0.0

    def test_idle_time_belongs_to_the_team_that_owns_the_host(self) -> None:
        team = Team.objects.create(name="Vision", slug="vision")
        post(a_device(team=team), [0, 60], 100.0)
        rebuild_dirty(now=NOON)
        assert set(LedgerHour.objects.values_list("team__slug", flat=True)) == {"vision"}


class TestPlaces:
    def test_a_host_without_a_site_takes_the_world_and_says_default(self) -> None:
        post(a_device(), [0, 60], 100.0)
        rebuild_dirty(now=NOON)
        row = LedgerHour.objects.get()
        assert row.status == "DEFAULT" and "intensity:world:2025" in row.factor_ids

    def test_an_hour_keeps_the_terms_it_began_with(self) -> None:
        site = a_site(grid_zone="FR", pue=1.2)
        SiteTerms.objects.create(site=site, valid_from=EIGHT + HOUR / 2, grid_zone="PL", pue=2.0)
        post(a_device(site=site), range(0, 7201, 60), 1000.0)
        rebuild_dirty(now=NOON)
        first, second = LedgerHour.objects.filter(it_energy_kwh__gt=0).order_by("hour")
        assert first.facility_energy_kwh == pytest.approx(1.2) and "intensity:FR:2025" in first.factor_ids
        assert second.facility_energy_kwh == pytest.approx(2.0) and "intensity:PL:2025" in second.factor_ids
        assert f"site:paris:pue@{EIGHT:%Y-%m-%d}T08:30:00Z" in second.factor_ids

    def test_weights_telemetry_and_terms_by_the_time_each_held(self, settings) -> None:
        # A reading of 3.0 at 08:15 holds for 1800 s; the other half of the hour keeps the stated 1.2: mean 2.1
        settings.GREENAI = {**settings.GREENAI, "facility_max_age_s": 1800.0}
        site = a_site(pue=1.2)
        tell(site, EIGHT + HOUR / 4, pue=3.0)
        post(a_device(site=site), range(0, 3600, 60), 1000.0)
        rebuild_dirty(now=NOON)
        row = LedgerHour.objects.get(hour=EIGHT)
        assert row.facility_energy_kwh == pytest.approx(2.1 * row.it_energy_kwh)
        assert {"telemetry:paris:pue", "site:paris:pue@2020-01-01"} <= set(row.factor_ids)

    def test_a_reading_of_the_grid_leaves_the_reading_of_pue_in_force(self) -> None:
        site = a_site()
        tell(site, EIGHT - HOUR / 4, pue=1.5)
        tell(site, EIGHT, grid_intensity_g_per_kwh=100.0)
        post(a_device(site=site), range(0, 1801, 60), 1000.0)
        rebuild_dirty(now=NOON)
        # PUE 1.5 holds until 08:45, then the default of 1.56: 0.75 x 1.5 + 0.25 x 1.56 = 1.515
        row = LedgerHour.objects.get(hour=EIGHT)
        assert row.facility_energy_kwh == pytest.approx(1.515 * row.it_energy_kwh)
        assert row.co2e_location_g == pytest.approx(100 * row.facility_energy_kwh)


class TestDirtyHours:
    def test_a_mark_that_comes_during_the_rebuild_stays(self, monkeypatch) -> None:
        device = a_device()
        post(device, [0, 60], 100.0)
        inner = rebuild.roll_up

        def interrupted(device_hours) -> None:
            inner(device_hours)
            DirtyHour.objects.mark(device_hours, now=NOON)

        monkeypatch.setattr(rebuild, "roll_up", interrupted)
        assert rebuild_dirty(now=NOON, limit=1) == 1
        assert DirtyHour.objects.count() == 1

    def test_oldest_marks_go_first_and_no_more_than_asked(self) -> None:
        device = a_device(acquired_at=EIGHT - 10 * HOUR)
        DirtyHour.objects.mark([(device.pk, EIGHT)], now=NOON - HOUR)
        DirtyHour.objects.mark([(device.pk, EIGHT - HOUR), (device.pk, EIGHT - 2 * HOUR)], now=NOON)
        assert rebuild_dirty(now=NOON, limit=1) == 1
        assert LedgerHour.objects.get().hour == EIGHT

    def test_a_device_hour_is_replaced_whole(self) -> None:
        device, job = a_device(), Job.objects.create(key="1")
        mark = hold(job, device, EIGHT, None)
        post(device, range(0, 3601, 60), 100.0)
        rebuild_dirty(now=NOON)
        mark.delete()
        DirtyHour.objects.mark([(device.pk, EIGHT), (device.pk, EIGHT + HOUR)], now=NOON)
        rebuild_dirty(now=NOON)
        assert not LedgerHour.objects.filter(job=job).exists() and kwh() == pytest.approx(0.1)

    def test_sealed_hours_are_restated_from_their_energy(self) -> None:
        site = a_site(pue=1.5)
        device = a_device(site=site)
        post(device, range(0, 3601, 60), 1000.0)
        rebuild_dirty(now=NOON)
        EnergyHour.objects.update(sealed=True)
        DeviceSample.objects.all().delete()
        before = LedgerHour.objects.get(hour=EIGHT)
        SiteTerms.objects.update(pue=3.0)
        DirtyHour.objects.mark([(device.pk, EIGHT)], now=NOON)
        rebuild_dirty(now=NOON)
        after = LedgerHour.objects.get(hour=EIGHT)
        assert after.facility_energy_kwh == pytest.approx(2 * before.facility_energy_kwh)
        assert (after.it_energy_kwh, after.measured_kwh) == (before.it_energy_kwh, before.measured_kwh)


def a_fleet() -> list[tuple[object, range, dict]]:
    """A site with everything in it; returns batches of readings yet to be posted."""
    site = a_site(grid_zone="FR", pue=1.3)
    SiteTerms.objects.create(site=site, valid_from=EIGHT + HOUR, grid_zone="US-CA")
    teams = [Team.objects.create(name=n, slug=n) for n in ("a", "b")]
    jobs = [Job.objects.create(key=str(k), team=teams[k % 2]) for k in range(3)]
    devices = [a_device(f"gpu-{k}", site=site, acquired_at=EIGHT - k * HOUR) for k in range(3)]
    for k in range(9):
        tell(site, EIGHT + k * HOUR / 3, pue=1.1 + k / 10, grid_intensity_g_per_kwh=50.0 + k)
    hold(jobs[0], devices[0], EIGHT + HOUR / 7, EIGHT + HOUR * 1.9)
    hold(jobs[1], devices[0], EIGHT + HOUR / 3, None)
    hold(jobs[2], devices[1], EIGHT + HOUR, EIGHT + 2 * HOUR)
    parts = ((0, AGENT, 0), (1400, METER, 1), (1300, AGENT, 1), (6000, AGENT, 2), (9000, METER, 0))
    return [
        (
            devices[d],
            range(start + d, start + 1500, 37 + d),
            {
                "watts": lambda s: 50 + s % 311,
                "counter": (lambda s: s * 90.5) if job == 1 else None,
                "source": source,
                "job": jobs[job],
                "measured": job > 0,
            },
        )
        for d in range(3)
        for start, source, job in parts
    ]


def deliver(batches, *, rebuild_between: bool = False) -> None:
    for device, seconds, how in batches:
        post(device, seconds, **how)
        if rebuild_between:
            rebuild_dirty(now=NOON, limit=3)
    rebuild_everything(now=NOON)


class TestTheSameLedger:
    def test_comes_of_wiping_it_and_rebuilding_everything(self) -> None:
        for batch in a_fleet():
            post(batch[0], batch[1], **batch[2])
            rebuild_dirty(now=NOON)
        rebuild.mark_in_service(now=NOON)
        rebuild_dirty(now=NOON)
        before = ledger()
        wipe()
        rebuild_everything(now=NOON)
        assert ledger() == before and len(before["ledger"]) > 20

    @pytest.mark.parametrize("seed", range(4))
    def test_comes_of_any_order_and_any_chunks_to_the_last_digit(self, seed: int, monkeypatch) -> None:
        batches = a_fleet()
        deliver(batches)
        at_once = ledger()
        wipe()
        DeviceSample.objects.all().delete()
        dice = random.Random(seed)
        monkeypatch.setattr(rebuild, "CHUNK", dice.choice([1, 2, 7]))
        monkeypatch.setattr(rebuild, "ROUND", dice.choice([1, 3, 20]))
        for device, seconds, how in dice.sample(batches, len(batches)):
            post(device, seconds, **how)
            rebuild_dirty(now=NOON, limit=dice.randrange(1, 5))
        rebuild.mark_in_service(now=NOON)
        while rebuild_dirty(now=NOON, limit=dice.randrange(1, 5)):
            pass
        assert ledger() == at_once

    def test_roll_ups_are_the_sums_of_the_hours(self) -> None:
        deliver(a_fleet(), rebuild_between=True)
        got = ledger()
        for column in range(-24, 0):
            hours, *rolled_up = (sum(row[column] for row in rows) for name, rows in got.items() if name != "energy")
            assert rolled_up == pytest.approx([hours] * 3, rel=1e-12)


class TestWindows:
    def test_join_neighbouring_hours_of_a_device(self) -> None:
        got = rebuild.windows_of(
            [(1, EIGHT + HOUR), (1, EIGHT), (2, EIGHT + 2 * HOUR), (1, EIGHT + timedelta(hours=5))]
        )
        assert [(w.device_id, w.first, w.last) for w in got] == [
            (1, EIGHT, EIGHT + HOUR),
            (1, EIGHT + 5 * HOUR, EIGHT + 5 * HOUR),
            (2, EIGHT + 2 * HOUR, EIGHT + 2 * HOUR),
        ]
