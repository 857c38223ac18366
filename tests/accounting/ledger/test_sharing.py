"""Jobs at once on one device: energy by use, the idle draw by the site's policy, and every joule once."""

import random
from datetime import timedelta

import pytest
from django.db.models import Sum

from accounting.ledger.instants import to_us
from accounting.ledger.rebuild import mark_site, rebuild_dirty, rebuild_everything
from accounting.models import Device, DeviceUse, DirtyHour, EnergyHour, Job, LedgerHour, SiteTerms, TeamDay
from accounting.reports.queries import totals
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, a_site, hold, ledger, post, wipe

pytestmark = pytest.mark.django_db


class Everyone:
    team_ids, unattributed = None, True


def use(device: Device, job: Job, seconds: range | list[int], utilization: float | None, **fields: object) -> None:
    """Uses at these seconds after eight; each speaks for the time since the one before."""
    DeviceUse.objects.bulk_create(
        DeviceUse(
            device=device,
            job=job,
            measured_at_us=to_us(EIGHT) + s * 1_000_000,
            utilization=utilization,
            received_at_us=0,
            **fields,
        )
        for s in seconds
    )


def joules(**where: object) -> tuple[float, float]:
    """(energy, idle draw) of the energy rows."""
    sums = EnergyHour.objects.filter(**where).aggregate(e=Sum("device_energy_j"), i=Sum("idle_j"))
    return sums["e"] or 0.0, sums["i"] or 0.0


@pytest.fixture
def two() -> tuple[Job, Job]:
    return Job.objects.create(key="a"), Job.objects.create(key="b")


def shared_gpu(two: tuple[Job, Job], **terms: object) -> Device:
    """A GPU of 700 W TDP that draws 400 W for ten minutes; job a uses 60 % of it and job b 20 %."""
    device = a_device(site=a_site(**terms), tdp_w=700.0)
    post(device, range(0, 601, 10), 400.0)
    use(device, two[0], range(0, 601, 10), 0.6)
    use(device, two[1], range(0, 601, 10), 0.2)
    return device


class TestSharedByUse:
    def test_gives_each_job_its_part_of_what_lies_above_idle(self, two: tuple[Job, Job]) -> None:
        # 400 W x 600 s = 240 000 J; idle 0.155 x 700 W x 600 s = 65 100 J, so 174 900 J above it: 3 to 1.
        shared_gpu(two, pue=1.0)
        rebuild_dirty(now=NOON)
        assert joules(job=two[0])[0] == pytest.approx(131_175.0) and joules(job=two[1])[0] == pytest.approx(43_725.0)
        assert joules(job=None) == pytest.approx((65_100.0, 65_100.0))
        assert EnergyHour.objects.get(job=two[0]).shared_by == "use"
        assert "attribution:use" in LedgerHour.objects.get(job=two[0]).factor_ids

    @pytest.mark.parametrize(
        ("policy", "first", "second"), [("equal", 163_725.0, 76_275.0), ("by_use", 180_000.0, 60_000.0)]
    )
    def test_spreads_the_idle_draw_where_the_sites_terms_say_so(self, two, policy, first, second) -> None:
        # 65 100 J in halves, or 3 to 1 as all of it
        shared_gpu(two, pue=1.0, idle_policy=policy)
        rebuild_dirty(now=NOON)
        assert joules(job=two[0])[0] == pytest.approx(first) and joules(job=two[1])[0] == pytest.approx(second)
        assert joules(job=None)[0] == 0.0 and joules()[1] == pytest.approx(65_100.0)

    def test_new_terms_restate_the_hours(self, two: tuple[Job, Job]) -> None:
        device = shared_gpu(two, pue=1.0)
        rebuild_dirty(now=NOON)
        site = device.host.site
        SiteTerms.objects.create(site=site, valid_from=EIGHT - HOUR, pue=1.0, idle_policy="by_use")
        mark_site(site, since=EIGHT - HOUR, now=NOON)
        rebuild_dirty(now=NOON)
        assert joules(job=two[0])[0] == pytest.approx(180_000.0)

    def test_adds_up_to_the_device(self, two: tuple[Job, Job]) -> None:
        device, dice = a_device(site=a_site(pue=1.0), tdp_w=700.0), random.Random(3)
        post(device, range(0, 3601, 9), lambda s: 90 + dice.random() * 500)
        rebuild_dirty(now=NOON)
        alone = joules()[0]
        for job in two:
            for s in range(0, 3601, 9):
                use(device, job, [s], dice.random())
        DirtyHour.objects.mark([(device.pk, EIGHT)], now=NOON)
        rebuild_dirty(now=NOON)
        assert joules(job=two[0])[0] > 0
        assert sum(sorted(EnergyHour.objects.values_list("device_energy_j", flat=True))) == pytest.approx(
            alone, rel=1e-13
        )

    def test_comes_out_the_same_hour_by_hour_and_all_at_once(self, two: tuple[Job, Job]) -> None:
        device, dice = a_device(site=a_site(pue=1.0), tdp_w=700.0), random.Random(4)
        post(device, range(0, 9000, 11), lambda s: 90 + dice.random() * 500)
        for job in two:
            use(device, job, sorted(dice.sample(range(9000), 300)), 0.1 + dice.random() / 2)
        wipe()
        for hour in (EIGHT + HOUR, EIGHT + 3 * HOUR, EIGHT + 2 * HOUR, EIGHT):
            DirtyHour.objects.mark([(device.pk, hour)], now=NOON)
            rebuild_dirty(now=NOON)
        before = ledger()
        rebuild_everything(now=NOON)
        assert ledger() == before


class TestWithoutAUse:
    def test_shares_equally_and_says_so(self, two: tuple[Job, Job]) -> None:
        # Two marks on a GPU without any word of its use: 174 900 J in halves, the idle draw on its own line
        device = a_device(site=a_site(pue=1.0), tdp_w=700.0)
        post(device, range(0, 601, 10), 400.0)
        for job in two:
            hold(job, device, EIGHT, EIGHT + timedelta(seconds=600))
        rebuild_dirty(now=NOON)
        assert joules(job=two[0])[0] == pytest.approx(87_450.0)
        assert joules(job=None)[0] == pytest.approx(65_100.0)
        row = LedgerHour.objects.get(job=two[0])
        assert "attribution:equal" in row.factor_ids and row.status != "MEASURED"

    def test_an_unknown_idle_draw_is_not_split_off(self, two: tuple[Job, Job]) -> None:
        device = a_device(site=a_site(pue=1.0))
        post(device, range(0, 601, 10), 400.0)
        for job in two:
            hold(job, device, EIGHT, EIGHT + timedelta(seconds=600))
        rebuild_dirty(now=NOON)
        assert joules(job=two[0]) == pytest.approx((120_000.0, 0.0)) and joules(job=None)[0] == 0.0


class TestIdleLine:
    def test_a_job_alone_owns_the_idle_draw_and_it_shows(self) -> None:
        # 400 W for ten minutes: 240 000 J are the job's, 65 100 J of them idle draw; nobody's ten minutes are all idle.
        device, job = a_device(site=a_site(pue=1.0), tdp_w=700.0), Job.objects.create(key="a")
        post(device, range(0, 1201, 10), 400.0)
        hold(job, device, EIGHT, EIGHT + timedelta(seconds=600))
        rebuild_dirty(now=NOON)
        assert joules(job=job) == pytest.approx((240_000.0, 65_100.0))
        assert joules(job=None) == pytest.approx((240_000.0, 240_000.0))

    def test_is_rolled_up_and_reported(self) -> None:
        device = a_device(site=a_site(pue=1.0), tdp_w=700.0)
        post(device, range(0, 601, 10), 360.0)
        rebuild_dirty(now=NOON)
        assert TeamDay.objects.get(day=EIGHT.date()).idle_kwh == pytest.approx(0.06)
        found = totals(Everyone(), EIGHT, EIGHT + HOUR)
        assert found.idle_kwh == pytest.approx(0.06) and found.idle_share == 1.0

    def test_never_exceeds_what_was_drawn(self) -> None:
        device, job = a_device(tdp_w=700.0), Job.objects.create(key="a")
        post(device, range(0, 601, 10), 50.0)  # below its idle share
        hold(job, device, EIGHT, None)
        rebuild_dirty(now=NOON)
        assert joules(job=job) == pytest.approx((30_000.0, 30_000.0))


class TestSlices:
    def test_go_by_slice_and_activity(self, two: tuple[Job, Job]) -> None:
        # 3/7 at 50 % and 2/7 at 100 %: 1.5 to 2 of the 174 900 J above idle
        device = a_device(site=a_site(pue=1.0), tdp_w=700.0)
        post(device, range(0, 601, 10), 400.0)
        use(device, two[0], range(0, 601, 10), 0.5, mig_slice="3g.40gb", mig_fraction=3 / 7)
        use(device, two[1], range(0, 601, 10), 1.0, mig_slice="2g.20gb", mig_fraction=2 / 7)
        rebuild_dirty(now=NOON)
        assert joules(job=two[0])[0] == pytest.approx(174_900 * 1.5 / 3.5)


def test_a_sealed_hour_keeps_its_idle_line(two: tuple[Job, Job]) -> None:
    shared_gpu(two, pue=1.0)
    rebuild_dirty(now=NOON)
    before = dict(LedgerHour.objects.filter(hour=EIGHT).values_list("job", "idle_kwh"))
    EnergyHour.objects.update(sealed=True)
    rebuild_everything(now=NOON)
    assert dict(LedgerHour.objects.filter(hour=EIGHT).values_list("job", "idle_kwh")) == before
