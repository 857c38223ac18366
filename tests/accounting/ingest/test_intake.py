"""What came in is counted by token, protocol and hour: exactly, whoever posts at once, and for ever."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from accounting.access import issue_token
from accounting.agent.wire import AgentInfo, DeviceSample, TelemetryBatch, TelemetryReply
from accounting.ingest.intake import COUNTED, count_intake, fold_intake
from accounting.ingest.store import speaker, store
from accounting.models import ApiToken, IntakeDevice, IntakeHour, Site

NOW = datetime(2026, 3, 10, 9, 20, tzinfo=UTC)
HOUR = datetime(2026, 3, 10, 9, tzinfo=UTC)


@pytest.fixture
def token(db: None) -> ApiToken:
    site = Site.objects.create(name="Lyon", slug="lyon")
    return issue_token(name="agents", scopes=["ingest"], site=site)[0]


def batch(*watts: float, device: str = "gpu-0") -> TelemetryBatch:
    at = NOW - timedelta(seconds=60)
    samples = [
        DeviceSample(device=device, measured_at=(at + timedelta(seconds=n)).isoformat(), power_w=power)
        for n, power in enumerate(watts)
    ]
    return TelemetryBatch(agent=AgentInfo(id="a", host="node-1", boot_id="b"), device_samples=samples)


def counted(**filters: object) -> list[int]:
    sums = IntakeHour.objects.filter(**filters).aggregate(*(Sum(name) for name in COUNTED))
    return [sums[f"{name}__sum"] or 0 for name in COUNTED]


class TestStore:
    def test_counts_what_became_of_every_item(self, token: ApiToken) -> None:
        store(batch(100.0, 200.0, -3.0), token=token, now=NOW)  # two are taken, one is below zero
        store(batch(100.0, 250.0), token=token, now=NOW)  # one came before, one contradicts
        assert counted() == [2, 1, 1, 1]
        assert set(IntakeHour.objects.values_list("protocol", "hour")) == {("telemetry", HOUR)}

    def test_keeps_protocols_and_hours_apart(self, token: ApiToken) -> None:
        store(batch(100.0), token=token, now=NOW, protocol="otlp")
        store(batch(100.0), token=token, now=NOW + timedelta(hours=1))
        assert counted(protocol="otlp") == [1, 0, 0, 0]
        assert counted(protocol="telemetry", hour=HOUR + timedelta(hours=1)) == [0, 1, 0, 0]

    def test_notes_which_devices_a_token_tells_of(self, token: ApiToken) -> None:
        store(batch(100.0), token=token, now=NOW)
        store(batch(100.0, device="gpu-1"), token=token, now=NOW + timedelta(hours=1))
        store(batch(100.0), token=token, now=NOW + timedelta(hours=2))
        seen = IntakeDevice.objects.order_by("device__key").values_list("device__key", "first_seen_at", "last_seen_at")
        later = [NOW + timedelta(hours=n) for n in range(3)]
        assert list(seen) == [("gpu-0", later[0], later[2]), ("gpu-1", later[1], later[1])]

    def test_counts_nothing_of_a_batch_that_was_not_stored(self, token: ApiToken) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            store(batch(100.0), token=token, now=NOW)
            _ = 1 / 0
        assert (counted(), IntakeDevice.objects.count()) == ([0, 0, 0, 0], 0)

    def test_does_not_count_a_persons_import(self, token: ApiToken) -> None:
        store(batch(100.0), token=speaker(site=token.site), now=NOW)
        assert IntakeHour.objects.count() == 0


@pytest.mark.django_db(transaction=True)
class TestPostersAtOnce:
    def test_are_all_counted(self) -> None:
        site = Site.objects.create(name="Lyon", slug="lyon")
        token = issue_token(name="agents", scopes=["ingest"], site=site)[0]

        def post() -> None:
            for _ in range(20):
                with transaction.atomic():
                    count_intake(TelemetryReply(3, 1, 0, 0, []), token=token, protocol="otlp", device_ids=[], now=NOW)
            connection.close()

        posters = [threading.Thread(target=post) for _ in range(6)]
        for poster in posters:
            poster.start()
        for poster in posters:
            poster.join()
        assert counted() == [360, 120, 0, 0]


class TestFoldIntake:
    def test_keeps_every_sum_and_the_hours_of_the_last_day(self, token: ApiToken) -> None:
        for days in (0, 1, 3, 10, 400):
            store(batch(100.0), token=token, now=NOW - timedelta(days=days), errors=())
        before = counted()
        assert fold_intake(now=NOW) == 3
        assert counted() == before and before[0] >= 1
        assert IntakeHour.objects.filter(hour=IntakeHour.BEFORE).count() == 1
        assert IntakeHour.objects.get(hour=IntakeHour.BEFORE).last_at == NOW - timedelta(days=3)

    def test_adds_to_what_was_folded_before_and_is_safe_to_run_twice(self, token: ApiToken) -> None:
        store(batch(100.0), token=token, now=NOW - timedelta(days=9))
        store(batch(100.0), token=token, now=NOW)
        assert [fold_intake(now=NOW), fold_intake(now=NOW)] == [1, 0]
        assert fold_intake(now=NOW + timedelta(days=9)) == 1
        assert IntakeHour.objects.count() == 1 and sum(counted()) == 2

    def test_keeps_the_counts_of_a_token_that_is_gone(self, token: ApiToken) -> None:
        for days in (9, 20):
            store(batch(100.0), token=token, now=NOW - timedelta(days=days))
            fold_intake(now=NOW)
            ApiToken.objects.all().delete()
            token = issue_token(name="next", scopes=["ingest"], site=Site.objects.get())[0]
        assert IntakeHour.objects.count() == 2 and sum(counted()) == 2
        IntakeHour.objects.update(hour=NOW - timedelta(days=30))
        assert fold_intake(now=NOW) == 2 and sum(counted()) == 2
