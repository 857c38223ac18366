"""Counters and meters that Prometheus brought, as the ledger counts them."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db.models import Sum

from accounting.access import issue_token
from accounting.agent.wire import AgentInfo, DeviceInfo, DeviceSample, TelemetryBatch
from accounting.ingest.formats.prometheus import batches, translate
from accounting.ingest.formats.prometheus_wire import read_v2
from accounting.ingest.store import store
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import ApiToken, DirtyHour, EnergyHour, Site
from tests.accounting.ledger.rows import EIGHT, NOON
from tests.remote_write import OneSeries, v2_request

pytestmark = pytest.mark.django_db
START_MS = round(EIGHT.timestamp() * 1000)
ENERGY, POWER = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_POWER_USAGE"
GPU = {"UUID": "GPU-1", "Hostname": "node-1"}


@pytest.fixture
def token() -> ApiToken:
    site = Site.objects.create(name="Paris", slug="paris")
    return issue_token(name="prometheus", scopes=["ingest"], site=site)[0]


def write(token: ApiToken, *series: OneSeries) -> None:
    body = v2_request(*series, created_ms=START_MS).SerializeToString()
    for batch in batches(translate(read_v2(body), rules=(), latest=NOON, of_team=False)):
        store(batch, token=token, now=NOON)


def counter(*readings_j: float, every_s: int = 60) -> OneSeries:
    points = [(joules * 1000, START_MS + k * every_s * 1000) for k, joules in enumerate(readings_j)]
    return {"__name__": ENERGY, **GPU}, points


def ledger() -> tuple[float, float, float]:
    """Joules counted, seconds covered, seconds missing."""
    while DirtyHour.objects.exists():
        rebuild_dirty(now=NOON)
    told = EnergyHour.objects.aggregate(e=Sum("device_energy_j"), c=Sum("covered_s"), m=Sum("missing_s"))
    return told["e"] or 0.0, told["c"] or 0.0, told["m"] or 0.0


class TestACounterThatBeginsAgain:
    @pytest.mark.parametrize(
        ("readings", "energy_j", "missing_s"),
        [
            ((1000.0, 2000.0, 3000.0), 2000.0, 0.0),
            ((1000.0, 10.0, 1500.0), 1490.0, 60.0),  # the fall is missing; then it overtakes: 1500 - 10
            ((1000.0, 1500.0), 500.0, 0.0),  # it overtook between two readings: not to be told, and never too much
        ],
    )
    def test_counts_what_is_known_and_never_too_much(
        self, token: ApiToken, readings: Sequence[float], energy_j: float, missing_s: float
    ) -> None:
        write(token, counter(*readings))
        counted, _, missing = ledger()
        assert (counted, missing) == (pytest.approx(energy_j), missing_s)

    def test_goes_on_by_power_where_that_was_read(self, token: ApiToken) -> None:
        # 1000 -> (reset, 300 W for 60 s = 18 000 J) -> 10 -> 1500: 18 000 + 1490 J
        powers = [(300.0, START_MS + 60_000 * k) for k in range(3)]
        write(token, counter(1000.0, 10.0, 1500.0), ({"__name__": POWER, **GPU}, powers))
        assert ledger() == (pytest.approx(19_490.0), 120.0, 0.0)


class TestALongHole:
    def test_is_exact_by_the_counter_and_missing_by_power(self, token: ApiToken) -> None:
        # ten minutes without a scrape; the gap limit is two
        other = {"__name__": POWER, "UUID": "GPU-2", "Hostname": "node-1"}
        write(token, counter(0.0, 5000.0, every_s=600), (other, [(300.0, START_MS), (300.0, START_MS + 600_000)]))
        assert ledger() == (pytest.approx(5000.0), 600.0, 600.0)


class TestTheAgentBesideTheExporter:
    def test_is_of_the_same_device_and_counts_before_it(self, token: ApiToken) -> None:
        # the exporter says 100 W from 0 to 120 s, the agent 300 W from 0 to 60 s: 18 000 + 6 000 J
        agent = AgentInfo(id="agent", host="node-1", boot_id="b")
        samples = [
            DeviceSample("gpu-GPU-1", (EIGHT + timedelta(seconds=s)).isoformat(), power_w=300.0) for s in (0, 60)
        ]
        store(TelemetryBatch(agent, devices=[DeviceInfo("gpu-GPU-1", "gpu")], device_samples=samples),
              token=token, now=NOON)  # fmt: skip
        write(token, ({"__name__": POWER, **GPU}, [(100.0, START_MS + 60_000 * k) for k in range(3)]))
        assert ledger() == (pytest.approx(24_000.0), 120.0, 0.0)
