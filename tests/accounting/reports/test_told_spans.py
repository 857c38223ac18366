"""What tools told for stretches of time, on the pages: power now, power charts, and the fingerprint of an hour."""

from datetime import UTC, datetime, timedelta

import pytest

from accounting.access import EVERYTHING
from accounting.ledger.instants import to_us
from accounting.models import Device, DeviceSample, EnergySpan, Host
from accounting.reports.audit_trail import _readings
from accounting.reports.jobs import power_points
from accounting.reports.live import live

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def a_device(key: str, **fields: object) -> Device:
    host, _ = Host.objects.get_or_create(name="node-1")
    return Device.objects.create(host=host, key=key, kind="gpu", acquired_at=NOW - timedelta(days=9), **fields)


def told(device: Device, start_s: float, end_s: float, energy_j: float | None) -> EnergySpan:
    """A span whose ends are that many seconds before now."""
    start_us, end_us = (to_us(NOW) - round(ago_s * 1e6) for ago_s in (start_s, end_s))
    return EnergySpan.objects.create(
        device=device, source=DeviceSample.Source.CODECARBON, poster=1, started_at_us=start_us, ended_at_us=end_us,
        is_long=end_us - start_us > EnergySpan.LONG_US, energy_j=energy_j, measured=True, received_at_us=end_us,
    )  # fmt: skip


def read(device: Device, power_w: float) -> None:
    DeviceSample.objects.create(
        device=device, measured_at_us=to_us(NOW) - 1, source=2, power_w=power_w, measured=True, epoch=1,
        received_at_us=0,
    )  # fmt: skip


def power_now_w() -> float | None:
    return live(EVERYTHING, now=NOW, silent_after_s=600).power_w


class TestPowerNow:
    def test_is_the_mean_of_the_span_that_ended_last(self) -> None:
        tracked = a_device("codecarbon-gpu")
        told(tracked, 360, 240, 12_000.0)
        told(tracked, 240, 120, 24_000.0)  # 24 kJ in 120 s
        assert power_now_w() == pytest.approx(200.0)

    def test_says_nothing_of_spans_that_ended_long_ago_or_without_energy(self) -> None:
        tracked = a_device("codecarbon-gpu")
        told(tracked, 7200, 400, 1e6)
        told(tracked, 400, 10, None)
        assert power_now_w() is None

    def test_leaves_a_total_out_where_its_devices_are_read(self) -> None:
        told(a_device("codecarbon-gpu", is_total=True, units=2), 120, 10, 110 * 500.0)
        assert power_now_w() == pytest.approx(500.0)
        read(a_device("gpu-0"), 300.0)
        assert power_now_w() == pytest.approx(300.0)


class TestAPowerChart:
    def test_shows_spans_as_steps_cut_to_its_window(self) -> None:
        tracked = a_device("codecarbon-gpu")
        told(tracked, 10 * 3600, 3600, 9 * 3600 * 150.0)
        told(tracked, 3600, 0, 3600 * 250.0)
        points = power_points(tracked.pk, to_us(NOW - timedelta(hours=2)), to_us(NOW))
        hours_ago = [((NOW - at) / timedelta(hours=1), watts) for at, watts in points]
        assert hours_ago == [(2.0, 150.0), (1.0, 150.0), (1.0, 250.0), (0.0, 250.0)]


class TestTheFingerprintOfAnHour:
    def test_changes_with_a_span_that_touches_it(self) -> None:
        tracked = a_device("codecarbon-gpu")
        hour = NOW - timedelta(hours=1)
        assert _readings(tracked.pk, hour)["sha256"] is None
        told(tracked, 5 * 3600, 1800, 1.0)
        once = _readings(tracked.pk, hour)
        EnergySpan.objects.update(energy_j=2.0)
        assert once["count"] == 1 and _readings(tracked.pk, hour)["sha256"] != once["sha256"]
