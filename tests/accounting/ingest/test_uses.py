"""Uses of shared devices through the ingest: kept once, set aside where they contradict, and their hours marked."""

from datetime import datetime, timedelta

import pytest

from accounting.agent.wire import AgentInfo, DeviceSample, DeviceUse, TelemetryBatch, TelemetryReply
from accounting.ingest.store import store
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import ApiToken, DirtyHour, SampleConflict
from accounting.models import DeviceUse as StoredUse

AGENT = AgentInfo("a", "node-1", "boot")
AT = "2026-11-20T08:00:30Z"

pytestmark = pytest.mark.django_db


def posted(token: ApiToken, now: datetime, *uses: DeviceUse) -> TelemetryReply:
    return store(TelemetryBatch(agent=AGENT, device_uses=list(uses)), token=token, now=now)


class TestDeviceUses:
    def test_are_kept_with_the_job_and_the_device_they_name(self, site_token: ApiToken, now: datetime) -> None:
        reply = posted(site_token, now, DeviceUse("gpu-0", "train", AT, 0.6, "3g.40gb", 3 / 7))
        assert (reply.accepted, reply.duplicates, reply.conflicts, reply.rejected) == (1, 0, 0, 0)
        kept = StoredUse.objects.select_related("device", "job").get()
        assert (kept.device.key, kept.job.key, kept.utilization) == ("gpu-0", "train", 0.6)
        assert (kept.mig_slice, kept.mig_fraction) == ("3g.40gb", 3 / 7)

    def test_sent_again_are_duplicates_and_with_other_values_conflicts(self, site_token, now) -> None:
        use = DeviceUse("gpu-0", "train", AT, 0.6)
        posted(site_token, now, use)
        assert posted(site_token, now, use).duplicates == 1
        assert posted(site_token, now, DeviceUse("gpu-0", "train", AT, 0.7)).conflicts == 1
        assert StoredUse.objects.get().utilization == 0.6
        assert SampleConflict.objects.get().offered["utilization"] == 0.7

    def test_mark_the_hours_whose_shares_they_change(self, site_token: ApiToken, now: datetime) -> None:
        # 30 s past eight, with a gap limit of 120 s: the hours of seven and of eight, as far as anything is in them
        eight = datetime.fromisoformat("2026-11-20T08:00:00+00:00")
        stamps = [(eight + timedelta(minutes=m)).isoformat() for m in (-90, -1, 1, 100)]
        samples = [DeviceSample("gpu-0", at, power_w=1.0) for at in stamps]
        store(TelemetryBatch(agent=AGENT, device_samples=samples), token=site_token, now=now)
        rebuild_dirty(now=now)
        assert not DirtyHour.objects.exists()
        posted(site_token, now, DeviceUse("gpu-0", "train", AT, 0.6))
        assert set(DirtyHour.objects.values_list("hour", flat=True)) == {eight, eight - timedelta(hours=1)}

    @pytest.mark.parametrize(
        ("use", "field", "code"),
        [
            (DeviceUse("gpu-0", "train", AT, 1.5), "utilization", "out_of_range"),
            (DeviceUse("gpu-0", "train", AT, 0.5, "3g", 0.0), "mig_fraction", "out_of_range"),
            (DeviceUse("gpu-0", "", AT, 0.5), "job", "bad_text"),
            (DeviceUse("gpu-0", "train", "2030-01-01T00:00:00Z", 0.5), "measured_at", "in_future"),
        ],
    )
    def test_that_cannot_be_are_refused_by_name(self, site_token, now, use, field, code) -> None:
        reply = posted(site_token, now, use, DeviceUse("gpu-0", "train", AT, 0.5))
        assert (reply.accepted, reply.rejected) == (1, 1)
        assert (reply.errors[0].list, reply.errors[0].field, reply.errors[0].code) == ("device_uses", field, code)
