"""What comes in after its time: refused by name, never lost in silence, and no day is made again for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from accounting.agent.wire import DeviceSample, DeviceUse, EnergySpan, TelemetryBatch, TelemetryReply
from accounting.ingest import partitions, retirement
from accounting.ingest.store import store
from accounting.models import ApiToken, Device, EnergyHour, RawRetention
from accounting.models import DeviceSample as StoredSample

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SINCE = datetime(2026, 11, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def retired(db: None) -> None:
    RawRetention.objects.update_or_create(id=1, defaults={"kept_since": SINCE, "sealed_before": SINCE})


def reading(at: datetime, device: str = "gpu-0") -> DeviceSample:
    return DeviceSample(device, at.isoformat(), power_w=5.0, host="node-1")


def post(token: ApiToken, *samples: DeviceSample, **more: object) -> TelemetryReply:
    return store(TelemetryBatch(device_samples=list(samples), **more), token=token, now=NOON)


class TestTooOld:
    def test_samples_of_retired_days_are_refused_by_name_and_the_rest_is_taken(self, site_token: ApiToken) -> None:
        reply = post(site_token, reading(SINCE), reading(SINCE - timedelta(seconds=1)), reading(NOON))
        assert (reply.accepted, reply.rejected) == (2, 1)
        error = reply.errors[0]
        assert (error.list, error.index, error.field, error.code) == ("device_samples", 1, "measured_at", "too_old")
        assert "2026-11-10" in error.detail and "leave it out" in error.detail

    def test_make_no_day_again(self, site_token: ApiToken) -> None:
        post(site_token, reading(SINCE - timedelta(days=5)))
        assert not any(day < SINCE.timestamp() / 86_400 for day in partitions.standing())

    def test_uses_follow_the_same_rule(self, site_token: ApiToken) -> None:
        uses = [DeviceUse("gpu-0", "j", at.isoformat(), host="node-1") for at in (SINCE - timedelta(hours=1), SINCE)]
        reply = post(site_token, device_uses=uses)
        assert (reply.accepted, [(e.list, e.index, e.code) for e in reply.errors]) == (
            1,
            [("device_uses", 0, "too_old")],
        )

    def test_samples_of_a_sealed_hour_are_refused_and_other_devices_are_not(self, site_token: ApiToken) -> None:
        hour = SINCE + timedelta(hours=5)
        post(site_token, reading(hour), reading(hour, "gpu-1"))
        EnergyHour.objects.create(
            device=Device.objects.get(key="gpu-0"), hour=hour, device_energy_j=0, device_energy_low_j=0,
            device_energy_high_j=0, covered_s=0, missing_s=0, held_s=0, status="MEASURED", sealed=True,
        )  # fmt: skip
        late = hour + timedelta(minutes=5)
        reply = post(site_token, reading(late), reading(late, "gpu-1"), reading(hour + timedelta(hours=1)))
        assert (reply.accepted, [(e.index, e.code) for e in reply.errors]) == (2, [(0, "too_old")])
        assert "sealed" in reply.errors[0].detail

    def test_spans_are_refused_where_they_touch_a_sealed_hour_and_nowhere_else(self, site_token: ApiToken) -> None:
        """Spans are kept for ever: how old they are does not matter."""
        hour = SINCE - timedelta(days=90)
        post(site_token, reading(NOON))
        EnergyHour.objects.create(
            device=Device.objects.get(), hour=hour, device_energy_j=0, device_energy_low_j=0, device_energy_high_j=0,
            covered_s=0, missing_s=0, held_s=0, status="MEASURED", sealed=True,
        )  # fmt: skip
        ends = [hour, hour + timedelta(seconds=1), hour + timedelta(hours=2)]
        spans = [
            EnergySpan("gpu-0", (end - timedelta(minutes=90)).isoformat(), end.isoformat(), energy_j=5.0, host="node-1")
            for end in ends
        ]
        reply = post(site_token, energy_spans=spans)
        # the first ends where the sealed hour begins, the second a second into it, the third begins in it
        assert (reply.accepted, [(e.index, e.field, e.code) for e in reply.errors]) == (
            1, [(1, "started_at", "too_old"), (2, "started_at", "too_old")],
        )  # fmt: skip

    def test_cost_nothing_where_all_is_young(self, site_token: ApiToken, connection_queries) -> None:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        post(site_token, reading(NOON))
        with CaptureQueriesContext(connection) as queries:
            post(site_token, reading(NOON - timedelta(minutes=1)))
        assert not any("rawretention" in q["sql"] or "energyhour" in q["sql"] for q in queries.captured_queries)

    def test_a_number_that_was_refused_is_not_taken(self, site_token: ApiToken) -> None:
        """The same item again gives the same answer."""
        old = replace(reading(SINCE - timedelta(days=1)), seq=1)
        assert [post(site_token, old).errors[0].code for _ in range(2)] == ["too_old"] * 2
        assert not StoredSample.objects.exists()

    def test_the_first_row_of_all_is_made_where_it_is_missing(self, site_token: ApiToken) -> None:
        RawRetention.objects.all().delete()
        assert post(site_token, reading(SINCE - timedelta(days=1))).accepted == 1
        assert retirement.hold().kept_since.year == 1970
