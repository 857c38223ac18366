"""However a set of samples arrives (twice, split, out of order, rebuilt in between), the ledger comes out the same."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounting.access import issue_token
from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, TelemetryBatch
from accounting.ingest.store import store
from accounting.ledger.rebuild import rebuild_dirty, rebuild_everything
from accounting.models import ApiToken, DeviceDay, DirtyHour, LedgerHour, Quantities, Site, TeamDay, TeamHour

START = datetime(2026, 11, 20, 8, 50, tzinfo=UTC)
NOW = START + timedelta(hours=3)
COLUMNS = [field.name for field in Quantities._meta.get_fields()]


def trace() -> list[DeviceSample]:
    """Two devices for 25 minutes across an hour's edge, every 10 s: one by power, one by a counter and power."""
    samples = []
    for step in range(150):
        at = (START + timedelta(seconds=10 * step)).isoformat()
        watts = 200.0 + 100.0 * (step % 7)
        samples.append(
            DeviceSample("gpu-0", at, power_w=watts, job="train-1" if 30 <= step < 110 else None, seq=2 * step)
        )
        samples.append(DeviceSample("gpu-1", at, power_w=watts / 3, energy_j=1000.0 * step, seq=2 * step + 1))
    return samples


def batch_of(samples: list[DeviceSample], host: str) -> TelemetryBatch:
    agent = AgentInfo(id="agent", host=host, boot_id="boot-1")
    devices = [DeviceInfo("gpu-0", "gpu", "NVIDIA H100"), DeviceInfo("gpu-1", "gpu", "NVIDIA H100")]
    return TelemetryBatch(agent=agent, devices=devices, device_samples=samples)


def deliver(batches: list[list[DeviceSample]], *, site: Site, rebuild_between: bool) -> list[tuple[object, ...]]:
    """Store the batches in the order given and return the host's ledger, without row numbers and times of writing."""
    token, _ = issue_token(name="t", scopes=[ApiToken.Scope.INGEST], site=site)
    for samples in batches:
        store(batch_of(samples, site.slug), token=token, now=NOW)
        if rebuild_between:
            rebuild_dirty(now=NOW, limit=1000)
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOW, limit=1000)
    rows = LedgerHour.objects.filter(site=site).order_by("hour", "device__key", "job__key")
    return list(rows.values_list("hour", "device__key", "job__key", "status", *COLUMNS))


def totals() -> list[list[tuple[object, ...]]]:
    tables = ((TeamHour, "hour"), (TeamDay, "day"), (DeviceDay, "day"))
    return [sorted(model.objects.values_list(when, *COLUMNS), key=repr) for model, when in tables]


@pytest.mark.django_db
class TestAnyDelivery:
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(seed=st.integers(0, 2**32), pieces=st.integers(1, 12), rebuild_between=st.booleans())
    def test_of_the_same_samples_gives_the_same_ledger(self, seed: int, pieces: int, rebuild_between: bool) -> None:
        dice = random.Random(seed)
        site = Site.objects.create(name=f"once {seed} {pieces}", slug=f"once-{seed}-{pieces}-{dice.random()}")
        other = Site.objects.create(name=f"often {seed} {pieces}", slug=f"often-{seed}-{pieces}-{dice.random()}")
        single = deliver([trace()], site=site, rebuild_between=False)

        shuffled = trace()
        dice.shuffle(shuffled)
        edges = sorted(dice.sample(range(len(shuffled)), pieces))
        batches = [shuffled[a:b] for a, b in zip([0, *edges], [*edges, len(shuffled)], strict=True) if b > a]
        batches += [batches[dice.randrange(len(batches))] for _ in range(3)]

        assert single and deliver(batches, site=other, rebuild_between=rebuild_between) == single

    def test_twice_counts_every_sample_once(self) -> None:
        site = Site.objects.create(name="s", slug="s")
        token, _ = issue_token(name="t", scopes=[ApiToken.Scope.INGEST], site=site)
        first = store(batch_of(trace(), "h"), token=token, now=NOW)
        again = store(batch_of(trace(), "h"), token=token, now=NOW)

        assert (first.accepted, first.duplicates) == (300, 0)
        assert (again.accepted, again.duplicates, again.conflicts) == (0, 300, 0)

    def test_rebuilding_everything_changes_no_digit(self) -> None:
        site = Site.objects.create(name="s", slug="s")
        pieces = [trace()[200:], trace()[:120], trace()[90:210]]
        deliver(pieces, site=site, rebuild_between=True)
        before = totals()
        rebuild_everything(now=NOW)

        assert totals() == before and any(before[0])

    def test_a_changed_value_under_the_same_key_is_set_aside_and_not_counted(self) -> None:
        site = Site.objects.create(name="s", slug="s")
        before = deliver([trace()], site=site, rebuild_between=False)
        forged = [replace(sample, power_w=9_000.0) for sample in trace()[:4]]
        token, _ = issue_token(name="t", scopes=[ApiToken.Scope.INGEST], site=site)
        reply = store(batch_of(forged, site.slug), token=token, now=NOW)

        assert (reply.accepted, reply.conflicts) == (0, 4)
        assert deliver([], site=site, rebuild_between=False) == before
