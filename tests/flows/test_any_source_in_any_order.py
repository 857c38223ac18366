"""A fleet that several tools tell of at once: however their batches come, the ledger is the same to the last digit.

An agent's readings, an exporter's in parts (power and energy of one moment in different requests), a tracker's and a
scheduler's spans, uses, marks and a site's readings; cut into batches, shuffled, doubled, rebuilt in between.
"""

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.access import issue_token
from accounting.agent.wire import (
    AgentInfo,
    DeviceInfo,
    DeviceSample,
    DeviceUse,
    EnergySpan,
    FacilitySample,
    JobInfo,
    JobMark,
    TelemetryBatch,
)
from accounting.ingest.store import store
from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.models import ApiToken, DeviceDay, DirtyHour, LedgerHour, Quantities, Site, TeamDay, TeamHour

START = datetime(2026, 11, 20, 8, 40, tzinfo=UTC)
NOW = START + timedelta(hours=4)
COLUMNS = [field.name for field in Quantities._meta.get_fields()]
DEVICES = [
    DeviceInfo("gpu-0", "gpu", "NVIDIA H100"),
    DeviceInfo("gpu-1", "gpu", "NVIDIA H100"),
    DeviceInfo("all-gpus", "gpu", "NVIDIA H100", units=2, total=True),
    DeviceInfo("node", "node"),
]


@dataclass(frozen=True)
class Item:
    """One thing that is told: the list it goes into, and by whom."""

    of: str
    value: object
    by_agent: bool = False


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def story(site: str) -> list[Item]:
    """An hour and a half across two hours' edges."""
    told: list[Item] = []
    for k in range(90):  # the agent reads gpu-0 for 45 minutes
        watts = 200.0 + 100.0 * (k % 7)
        sample = DeviceSample(
            "gpu-0", at(30 * k), power_w=watts, utilization=0.5, job="train" if k > 20 else None, seq=k
        )
        told.append(Item("device_samples", sample, by_agent=True))
    for k in range(60):  # an exporter reads gpu-1 for an hour, each moment in two parts
        reading = DeviceSample("gpu-1", at(60 * k + 7), source="dcgm", job="serve", host="node-1")
        told.append(Item("device_samples", replace(reading, power_w=300.0 + k)))
        told.append(Item("device_samples", replace(reading, energy_j=18_000.0 * k, utilization=0.25)))
    for k in range(40):  # a tracker sums up all GPUs every two minutes; every tenth figure got lost
        energy_j = None if k % 10 == 9 else 70_000.0 + k
        told.append(
            Item("energy_spans", EnergySpan("all-gpus", at(120 * k), at(120 * k + 120), energy_j, "train", "node-1",
                                            source="codecarbon", status="modelled", run="run-1"))
        )  # fmt: skip
    told.append(Item("energy_spans", EnergySpan("node", at(600), at(4800), 3.3e6, "batch", "node-1", source="slurm")))
    for k in range(30):
        told.append(Item("device_uses", DeviceUse("gpu-1", "serve", at(60 * k + 7), 0.6, host="node-1")))
        told.append(Item("device_uses", DeviceUse("gpu-1", "probe", at(60 * k + 7), 0.2, host="node-1")))
    told.append(Item("job_marks", JobMark("train", at(900), at(2400), "gpu-0", "node-1")))
    told += [Item("facility_samples", FacilitySample(site, at(900 * k), pue=1.2 + 0.05 * k)) for k in range(5)]
    return told


def batches_of(items: list[Item], sizes: list[int]) -> list[TelemetryBatch]:
    """Cut in order; what the agent tells and what others tell goes in batches of its own."""
    batches, rest = [], list(items)
    for size in [*sizes, len(items)]:
        some, rest = rest[:size], rest[size:]
        for by_agent in (True, False):
            mine = [item for item in some if item.by_agent == by_agent]
            lists: dict[str, list[object]] = {}
            for item in mine:
                lists.setdefault(item.of, []).append(item.value)
            if lists:
                agent = AgentInfo("agent", "node-1", "boot-1") if by_agent else None
                devices = [replace(device, host="node-1") for device in DEVICES]
                batches.append(TelemetryBatch(agent=agent, devices=devices, jobs=[JobInfo("train")], **lists))
    return batches


def deliver(batches: list[TelemetryBatch], *, site: Site, dice: random.Random | None) -> list[tuple[object, ...]]:
    """Store in order, the ledger brought up to date now and then; its rows, without numbers and times of writing."""
    token, _ = issue_token(name="t", scopes=[ApiToken.Scope.INGEST], site=site)
    for batch in batches:
        reply = store(batch, token=token, now=NOW)
        assert (reply.rejected, reply.conflicts) == (0, 0), reply.errors
        if dice is not None and dice.random() < 0.3:
            rebuild_dirty(now=NOW, limit=50)
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOW, limit=1000)
    return ledger_of(site)


def ledger_of(site: Site) -> list[tuple[object, ...]]:
    rows = LedgerHour.objects.filter(site=site).order_by("hour", "device__key", "job__key")
    return list(rows.values_list("hour", "device__key", "job__key", "status", *COLUMNS))


def totals() -> list[list[tuple[object, ...]]]:
    tables = ((TeamHour, "hour"), (TeamDay, "day"), (DeviceDay, "day"))
    return [sorted(model.objects.values_list(when, *COLUMNS), key=repr) for model, when in tables]


@pytest.mark.django_db
class TestAnyDeliveryOfManySources:
    @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(seed=st.integers(0, 2**32), pieces=st.integers(1, 15), doubled=st.floats(0, 0.5))
    def test_gives_the_same_ledger_to_the_last_digit(self, seed: int, pieces: int, doubled: float) -> None:
        dice = random.Random(seed)
        name = f"{Site.objects.count()}"  # one example may be tried again in the same transaction
        once = Site.objects.create(name=f"once {name}", slug=f"once-{name}")
        often = Site.objects.create(name=f"often {name}", slug=f"often-{name}")
        single = deliver(batches_of(story(once.slug), []), site=once, dice=None)

        shuffled = story(often.slug)
        shuffled += dice.sample(shuffled, int(doubled * len(shuffled)))
        dice.shuffle(shuffled)
        sizes = [dice.randint(1, len(shuffled) // pieces + 1) for _ in range(pieces)]
        batches = batches_of(shuffled, sizes)
        batches += dice.sample(batches, len(batches) // 3)

        assert single and deliver(batches, site=often, dice=dice) == single

    def test_is_what_a_rebuild_of_everything_gives(self) -> None:
        site = Site.objects.create(name="s", slug="s")
        dice = random.Random(4)
        shuffled = story("s")
        dice.shuffle(shuffled)
        before = deliver(batches_of(shuffled, [40] * 5), site=site, dice=dice)
        of_before = totals()
        rebuild_everything(now=NOW)
        assert ledger_of(site) == before and totals() == of_before
