"""What of the dirty hours is due, and what becomes of a mark on its way."""

from datetime import timedelta

import pytest
from django.db import transaction

from accounting.ledger import worklist
from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.ledger.restate import Cause, hold_book, restate_hours, settle
from accounting.models import DirtyHour, LedgerHour, Restatement
from tests.accounting.ledger.rows import EIGHT, HOUR, NOON, a_device, post

pytestmark = pytest.mark.django_db
HALF_PAST = EIGHT + HOUR / 2  # the hour that began at eight is running
SECOND = timedelta(seconds=1)


def marked(*hours: int, age_s: float = 1.0) -> list[DirtyHour]:
    device = a_device(f"gpu-{DirtyHour.objects.count()}", acquired_at=EIGHT - 9 * HOUR)
    DirtyHour.objects.mark([(device.pk, EIGHT + k * HOUR) for k in hours], now=HALF_PAST - age_s * SECOND)
    return list(DirtyHour.objects.filter(device=device).order_by("hour"))


def due(**given: object) -> set[int]:
    return set(worklist.due(now=HALF_PAST, most=100, **given))


class TestDue:
    def test_are_few_running_hours_at_once(self) -> None:
        over, running = marked(-1, 0)
        assert due() == {over.pk, running.pk}

    def test_are_many_running_hours_once_their_marks_are_a_minute_old(self, monkeypatch) -> None:
        monkeypatch.setattr(worklist, "FEW", 1)
        [old], [young], [younger] = marked(0, age_s=60.0), marked(0, age_s=59.0), marked(0)
        assert due() == {old.pk}
        assert due(open_hours=True) == {old.pk, young.pk, younger.pk}

    def test_is_an_hour_as_soon_as_it_is_over(self, monkeypatch) -> None:
        monkeypatch.setattr(worklist, "FEW", 0)
        over, running = marked(-1, 0)
        assert due() == {over.pk}
        assert set(worklist.due(now=EIGHT + HOUR, most=9)) == {over.pk, running.pk}

    def test_follows_the_setting(self, monkeypatch, settings) -> None:
        monkeypatch.setattr(worklist, "FEW", 0)
        settings.GREENAI = {**settings.GREENAI, "ledger_open_hour_s": 300.0}
        [young], [old] = marked(0, age_s=299.0), marked(0, age_s=300.0)
        assert due() == {old.pk} and young.pk not in due()

    def test_is_not_what_is_made_and_waits_for_its_roll_ups(self) -> None:
        [mark] = marked(-1)
        worklist.note_made(worklist.take([mark.pk]))
        assert due() == set() and worklist.take([mark.pk]) == []

    def test_leaves_marks_alone_that_came_after_the_loop_began(self) -> None:
        [before], [after] = marked(-1, age_s=10.0), marked(-1, age_s=2.0)
        assert due(marked_until=HALF_PAST - 5 * SECOND) == {before.pk} and after.pk in due()

    def test_asks_for_no_more_than_it_may(self) -> None:
        marked(-3, -2, -1, 0)
        assert len(worklist.due(now=HALF_PAST, most=2)) == 2


class TestAMark:
    def test_keeps_the_age_of_the_oldest_while_it_waits(self) -> None:
        [mark] = marked(-1, age_s=40.0)
        DirtyHour.objects.mark([(mark.device_id, mark.hour)], now=HALF_PAST)
        again = DirtyHour.objects.get()
        assert again.marked_at == HALF_PAST - 40 * SECOND and again.stamp != mark.stamp

    def test_is_a_new_one_once_the_hour_is_made(self) -> None:
        [mark] = marked(-1, age_s=40.0)
        worklist.note_made(worklist.take([mark.pk]))
        DirtyHour.objects.mark([(mark.device_id, mark.hour)], now=HALF_PAST)
        assert DirtyHour.objects.get().marked_at == HALF_PAST and due() == {mark.pk}

    def test_that_comes_between_making_and_roll_up_outlives_it(self) -> None:
        [mark] = marked(-1)
        worklist.note_made(worklist.take([mark.pk]))
        DirtyHour.objects.mark([(mark.device_id, mark.hour)], now=HALF_PAST)
        assert worklist.clear(worklist.made_on(mark.hour.date())) == 1
        assert DirtyHour.objects.get().made is None and worklist.made_days() == []

    def test_made_again_since_the_roll_up_began_is_left_to_the_next_one(self) -> None:
        [mark] = marked(-1)
        worklist.note_made(worklist.take([mark.pk]))
        rolled = worklist.made_on(mark.hour.date())
        DirtyHour.objects.mark([(mark.device_id, mark.hour)], now=HALF_PAST)
        worklist.note_made(worklist.take([mark.pk]))
        assert worklist.clear(rolled) == 0 and worklist.made_days() == [mark.hour.date()]


class TestARestatement:
    def test_waits_for_the_roll_ups_of_its_hours_though_a_poster_marked_them_anew(self) -> None:
        device = a_device(retired_at=EIGHT + HOUR)
        post(device, range(0, 3600, 60), 1000.0)
        rebuild_dirty(now=NOON)
        cause = Cause(Restatement.Cause.PRICES)
        with transaction.atomic():
            hold_book()
            restate_hours([(device.pk, EIGHT)], reason="a price", actor="ada", cause=cause, now=NOON)
        [pk] = DirtyHour.objects.values_list("pk", flat=True)
        with transaction.atomic():
            worklist.note_made(worklist.take([pk]))
        DirtyHour.objects.mark([(device.pk, EIGHT)], now=NOON + HOUR)
        assert settle(now=NOON + HOUR) == 0
        rebuild_dirty(now=NOON + HOUR)
        assert settle(now=NOON + HOUR) == 1 and Restatement.objects.get().state == "done"


class TestARunningHour:
    def test_of_a_large_fleet_is_made_when_it_is_over_and_by_who_rebuilds_everything(self, monkeypatch) -> None:
        monkeypatch.setattr(worklist, "FEW", 0)
        device = a_device(retired_at=EIGHT + HOUR)
        post(device, range(0, 1800, 60), 1000.0)
        DirtyHour.objects.update(marked_at=HALF_PAST - SECOND)
        assert rebuild_dirty(now=HALF_PAST) == 0 and not LedgerHour.objects.exists()
        assert rebuild_everything(now=HALF_PAST) == 1 and LedgerHour.objects.get().it_energy_kwh > 0
