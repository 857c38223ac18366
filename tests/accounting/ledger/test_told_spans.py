"""Energy that a tool told for a stretch of time, in the ledger: once, in its hours, and beside what sensors read."""

from datetime import datetime

import pytest
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.access import issue_token
from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, EnergySpan, TelemetryBatch
from accounting.ingest.store import store
from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.models import ApiToken, Device, DirtyHour, EnergyHour, LedgerHour
from accounting.models import EnergySpan as StoredSpan
from tests.accounting.ledger.rows import NOON, a_site, ledger

pytestmark = pytest.mark.django_db
AGENT = AgentInfo("a", "node-1", "boot")


def at(clock: str) -> str:
    return f"2026-03-02T{clock}:00Z"


def span(start: str, end: str, energy_j: float | None, **fields) -> EnergySpan:
    return EnergySpan("gpu", at(start), at(end), energy_j, **({"source": "codecarbon"} | fields))


@pytest.fixture
def token() -> ApiToken:
    return issue_token(name="site", scopes=["ingest"], site=a_site(pue=1.0))[0]


def posted(token: ApiToken, *spans: EnergySpan, **lists) -> None:
    reply = store(TelemetryBatch(agent=AGENT, energy_spans=list(spans), **lists), token=token, now=NOON)
    assert (reply.rejected, reply.conflicts) == (0, 0), reply.errors


def rebuilt() -> None:
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOON)


def kwh(**which) -> float:
    return LedgerHour.objects.filter(**which).aggregate(total=Sum("it_energy_kwh"))["total"] or 0.0


class TestASpan:
    def test_is_split_evenly_over_its_hours_and_carries_its_job(self, token: ApiToken) -> None:
        # 3.6 MJ = 1 kWh from 08:30 to 10:00, a third of it before nine
        posted(token, span("08:30", "10:00", 3.6e6, job="train"))
        rebuilt()
        assert kwh(hour=datetime.fromisoformat(at("08:00")), job__key="train") == pytest.approx(1 / 3)
        assert kwh(hour=datetime.fromisoformat(at("09:00")), job__key="train") == pytest.approx(2 / 3)
        assert kwh() == pytest.approx(1.0)

    def test_leaves_the_time_between_two_runs_neither_covered_nor_missing(self, token: ApiToken) -> None:
        posted(token, span("08:00", "08:10", 1e5, run="a"), span("08:40", "08:50", 1e5, run="b"))
        rebuilt()
        of = EnergyHour.objects.aggregate(c=Sum("covered_s"), m=Sum("missing_s"))
        assert of == {"c": 1200.0, "m": 0.0}

    def test_without_energy_is_missing_time(self, token: ApiToken) -> None:
        posted(token, span("08:00", "08:10", 1e5), span("08:10", "08:25", None), span("08:25", "08:30", 1e5))
        rebuilt()
        of = EnergyHour.objects.aggregate(c=Sum("covered_s"), m=Sum("missing_s"), e=Sum("device_energy_j"))
        assert of == {"c": 900.0, "m": 900.0, "e": 200_000.0}

    def test_counts_only_where_no_better_source_reads_the_device(self, token: ApiToken) -> None:
        # The tracker tells 100 W for the hour; the agent reads 200 W for its first half: 360 kJ + 180 kJ
        posted(token, span("08:00", "09:00", 360_000.0))
        readings = [
            DeviceSample("gpu", f"2026-03-02T08:{minute:02}:00Z", 200.0, seq=minute + 1) for minute in range(31)
        ]
        posted(token, device_samples=readings)
        rebuilt()
        assert kwh() * 3.6e6 == pytest.approx(540_000)

    def test_brings_the_device_into_service_when_it_began(self, token: ApiToken) -> None:
        posted(token, span("08:30", "09:00", 1.0))
        assert Device.objects.get().acquired_at == datetime.fromisoformat(at("08:30"))

    def test_of_many_days_reaches_every_hour(self, token: ApiToken) -> None:
        # 2026-02-20T00:00 to 2026-03-02T00:00: ten days, 240 hours, 1 kWh an hour
        long = EnergySpan("node", "2026-02-20T00:00:00Z", "2026-03-02T00:00:00Z", 240 * 3.6e6, source="slurm")
        posted(token, long)
        rebuilt()
        assert LedgerHour.objects.filter(covered_s__gt=0).count() == 240
        assert kwh() == pytest.approx(240.0)
        each = LedgerHour.objects.filter(covered_s__gt=0).values_list("it_energy_kwh", flat=True)
        assert list(each) == pytest.approx([1.0] * 240)


class TestTheTotalOfAKind:
    def test_counts_only_where_its_devices_do_not_by_themselves(self, token: ApiToken) -> None:
        # A tracker tells 720 kJ of "all GPUs" for the hour (200 W); one GPU is read with 300 W in its first half
        total = DeviceInfo("all-gpus", "gpu", units=2, total=True)
        told = EnergySpan("all-gpus", at("08:00"), at("09:00"), 720_000.0, source="codecarbon")
        posted(token, told, devices=[total, DeviceInfo("gpu-0", "gpu")])
        rebuilt()
        assert kwh() * 3.6e6 == pytest.approx(720_000)
        readings = [DeviceSample("gpu-0", f"2026-03-02T08:{m:02}:00Z", 300.0, seq=m + 1) for m in range(31)]
        posted(token, device_samples=readings)
        rebuilt()  # the device's readings stale the total's hour too
        assert kwh(device__key="gpu-0") * 3.6e6 == pytest.approx(540_000)
        assert kwh(device__key="all-gpus") * 3.6e6 == pytest.approx(360_000)

    def test_carries_the_making_of_as_many_as_it_stands_for_unless_they_carry_it_themselves(self, token) -> None:
        posted(token, devices=[DeviceInfo("all-gpus", "gpu", "NVIDIA H100", units=8, total=True)])
        posted(token, EnergySpan("all-gpus", at("08:00"), at("09:00"), 1.0, source="codecarbon"))
        posted(token, devices=[DeviceInfo("one", "gpu", "NVIDIA H100", host="node-2")])
        posted(token, EnergySpan("one", at("08:00"), at("09:00"), 1.0, source="codecarbon", host="node-2"))
        rebuilt()

        def making_g(key: str) -> float:
            rows = LedgerHour.objects.filter(device__key=key, hour=datetime.fromisoformat(at("08:00")))
            return sum(rows.values_list("embodied_g", flat=True))

        assert making_g("all-gpus") == pytest.approx(8 * making_g("one")) and making_g("one") > 0
        posted(token, devices=[DeviceInfo("gpu-0", "gpu", "NVIDIA H100")])
        rebuilt()
        assert making_g("all-gpus") == 0.0


PIECES = [("08:00", "08:20", 1e5), ("08:20", "08:45", None), ("08:45", "09:30", 7e4), ("09:30", "11:10", 3e5)]


class TestAnyDelivery:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
    @given(st.permutations(PIECES * 2), st.lists(st.integers(1, 3), min_size=8, max_size=8))
    def test_of_the_same_spans_gives_the_same_ledger_to_the_last_bit(self, pieces, sizes) -> None:
        StoredSpan.objects.all().delete()
        LedgerHour.objects.all().delete()
        EnergyHour.objects.all().delete()
        token = ApiToken.objects.first() or issue_token(name="site", scopes=["ingest"], site=a_site(pue=1.0))[0]
        posted(token, *(span(*piece) for piece in PIECES))
        rebuild_everything(now=NOON)
        once = [(e.hour, e.device_energy_j, e.covered_s, e.missing_s) for e in EnergyHour.objects.order_by("hour")]
        StoredSpan.objects.all().delete()
        left = list(pieces)
        for size in sizes:
            some, left = left[:size], left[size:]
            posted(token, *(span(*piece) for piece in some))
            rebuilt()
        posted(token, *(span(*piece) for piece in left))
        rebuilt()
        again = [(e.hour, e.device_energy_j, e.covered_s, e.missing_s) for e in EnergyHour.objects.order_by("hour")]
        assert again == once and once
        assert ledger()
