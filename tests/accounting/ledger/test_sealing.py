"""Raw samples go, the ledger stays: restated to the last digit as if they were still there."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import connection

from accounting.ingest import partitions, retirement
from accounting.ledger import sealing
from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.models import Device, DeviceSample, DeviceUse, DirtyHour, EnergyHour, Job, RawRetention, SiteTerms
from tests.accounting.ledger.rows import AGENT, METER, a_device, a_site, hold, ledger, post, tell

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
CUT = datetime(2026, 3, 3, tzinfo=UTC)  # the first day that is kept
NOW = CUT + timedelta(days=7, hours=5)


def retire(*, keep_days: int = 7, now: datetime = NOW) -> None:
    """As the task does it."""
    retirement.advance(now=now, keep_days=keep_days, ready=partial(sealing.ready, now=now))
    stretch = retirement.sealing()
    if stretch and sealing.seal(*stretch, now=now, hold=retirement.hold):
        retirement.settle()
    connection.check_constraints()  # the test's own transaction must not owe the tables anything when they go
    retirement.drop(going_on=lambda: True)


def build() -> None:
    while rebuild_dirty(now=NOW):
        pass


def a_fleet() -> SiteTerms:
    """A site read across midnight: by power and by counter, by two sources, by a node's sensor, with a long silence."""
    site = a_site(grid_zone="FR", pue=1.3)
    start = CUT - 3 * HOUR
    jobs = [Job.objects.create(key=str(k)) for k in range(2)]
    devices = [a_device(f"gpu-{k}", site=site, acquired_at=start) for k in range(4)]
    hold(jobs[0], devices[0], start + HOUR / 7, CUT + HOUR / 3)
    hold(jobs[1], devices[1], CUT - HOUR / 9, None)
    tell(site, CUT - HOUR, cooling_power_w=900.0)
    steps = range(0, 6 * 3600, 53)
    post(devices[0], steps, lambda s: 100 + s % 311, start=start)
    post(devices[1], steps, counter=lambda s: s * 90.5 / 7, start=start, measured=False)
    post(devices[1], range(2 * 3600, 5 * 3600, 700), lambda s: 70 + s % 13, start=start, source=METER, epoch=2)
    post(devices[2], [*range(0, 9000, 61), *range(9 * 3600, 10 * 3600, 61)], lambda s: 80 + s % 7, start=start)
    post(devices[3], [*range(0, 5000, 900), 80_000, 80_090], counter=lambda s: s * 3.3, start=start, source=AGENT)
    node = a_device("node", site=site, kind="node", acquired_at=start)
    post(node, [*range(1800, 9900, 97), *range(13 * 3600, 14 * 3600, 97)], lambda s: 900 + s % 17, start=start)
    return SiteTerms.objects.get(site=site)


def told() -> dict[str, list[tuple[object, ...]]]:
    """The ledger, but for the mark that its samples went."""
    return ledger() | {"energy": sorted(EnergyHour.objects.values_list(*_ENERGY), key=repr)}


def sealed_hours(device: Device) -> list[int]:
    """Counted from the cut."""
    rows = EnergyHour.objects.filter(device=device, sealed=True).order_by("hour")
    return [(hour - CUT) // HOUR for hour in rows.values_list("hour", flat=True)]


_ENERGY = [f.name for f in EnergyHour._meta.fields if f.name not in ("id", "sealed")]


def restate(terms: SiteTerms, pue: float) -> dict[str, list[tuple[object, ...]]]:
    SiteTerms.objects.filter(pk=terms.pk).update(pue=pue)
    rebuild_everything(now=NOW)
    return told()


class TestRetiring:
    def test_restates_what_is_left_to_the_last_digit_as_its_twin_with_samples(self) -> None:
        terms = a_fleet()
        kept = {pue: restate(terms, pue) for pue in (1.7, 1.3)}
        before = DeviceSample.objects.count()
        retire()
        assert 0 < DeviceSample.objects.count() < before
        assert not DeviceSample.objects.filter(measured_at_us__lt=int(CUT.timestamp()) * 1_000_000).exists()
        assert told() == kept[1.3]
        assert restate(terms, 1.7) == kept[1.7]
        assert restate(terms, 1.3) == kept[1.3] and kept[1.3] != kept[1.7]

    def test_seals_the_hours_before_and_those_that_lean_on_them(self) -> None:
        device = a_device(acquired_at=CUT - 3 * HOUR)
        post(device, range(0, 6 * 3600, 60), 100.0, start=CUT - 3 * HOUR)
        silent = a_device("gpu-1", acquired_at=CUT - 3 * HOUR)
        post(silent, [0, 60, 8 * 3600 + 60, 8 * 3600 + 120], 100.0, start=CUT - 3 * HOUR)
        build()
        retire()
        # read throughout: three hours before the cut, and two behind it, whose neighbours may lie before the cut
        sealed = EnergyHour.objects.filter(sealed=True)
        assert sorted(sealed.filter(device=device).values_list("hour", flat=True)) == [
            CUT + k * HOUR for k in range(-3, 2)
        ]
        # silent from 21:01 to 05:01: the hole's hours rest on the reading at 21:01
        assert sorted(sealed.filter(device=silent).values_list("hour", flat=True)) == [
            CUT + k * HOUR for k in range(-3, 6)
        ]

    def test_waits_for_hours_that_are_yet_to_be_built(self) -> None:
        device = a_device(acquired_at=CUT - 3 * HOUR)
        post(device, range(0, 3600, 60), 100.0, start=CUT - 3 * HOUR)
        retire()
        assert DeviceSample.objects.count() == 60 and not EnergyHour.objects.filter(sealed=True).exists()
        build()
        retire()
        assert DeviceSample.objects.count() == 0 and EnergyHour.objects.filter(sealed=True).exists()

    def test_waits_for_the_end_of_a_hole_that_is_still_fresh(self) -> None:
        device = a_device(acquired_at=CUT - 3 * HOUR)
        post(device, [0, 60, (NOW - CUT).total_seconds() + 2.5 * 3600], 100.0, start=CUT - 3 * HOUR)
        build()
        retire()
        assert DeviceSample.objects.count() == 3

    def test_goes_on_where_it_was_cut_off(self) -> None:
        device = a_device(acquired_at=CUT - 3 * HOUR)
        post(device, range(0, 3600, 60), 100.0, start=CUT - 3 * HOUR)
        build()
        assert retirement.advance(now=NOW, keep_days=7, ready=partial(sealing.ready, now=NOW))
        DirtyHour.objects.mark([(device.pk, CUT - 3 * HOUR)], now=NOW)  # a mark that comes in between
        retire()
        assert DeviceSample.objects.count() == 60
        build()
        retire()
        assert DeviceSample.objects.count() == 0 and RawRetention.objects.get().sealed_before == CUT

    def test_takes_uses_along_and_leaves_what_is_young(self) -> None:
        device, job = a_device(acquired_at=CUT - 3 * HOUR), Job.objects.create(key="j")
        post(device, [0, 60, 4 * 3600], 100.0, start=CUT - 3 * HOUR)
        for at in (CUT - HOUR, CUT + HOUR):
            at_us = int(at.timestamp()) * 1_000_000
            DeviceUse.objects.create(device=device, measured_at_us=at_us, job=job, received_at_us=0)
        build()
        retire()
        assert DeviceUse.objects.count() == DeviceSample.objects.count() == 1

    def test_does_nothing_twice_and_nothing_where_all_is_young(self) -> None:
        device = a_device(acquired_at=CUT)
        post(device, [0, 60], 100.0, start=CUT)
        build()
        retire()
        assert DeviceSample.objects.count() == 2 and RawRetention.objects.get().kept_since.year == 1970

    def test_drops_whole_days_in_bounded_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retirement, "ROWS_AT_ONCE", 7)
        monkeypatch.setattr(sealing, "ROWS_AT_ONCE", 2)
        device = a_device(acquired_at=CUT - timedelta(days=3))
        post(device, range(0, 3 * 86_400, 3000), 100.0, start=CUT - timedelta(days=3))
        build()
        retire()
        assert DeviceSample.objects.count() == 0
        assert not EnergyHour.objects.filter(hour__lt=CUT, sealed=False).exists()
        assert all(day * partitions.US_PER_DAY >= CUT.timestamp() * 1e6 for day in partitions.standing())
