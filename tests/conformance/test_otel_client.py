"""The OpenTelemetry SDK for Python, as it is, against this server: its totals and ours."""

import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import Counter, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from pytest_django.live_server_helper import LiveServer

from accounting.access import issue_token
from accounting.ledger.rebuild import rebuild_dirty
from accounting.models import DeviceSample, EnergyHour, EnergySpan, Job, Site, Team

pytestmark = pytest.mark.django_db(transaction=True)

DELTA = {Counter: AggregationTemporality.DELTA, ObservableCounter: AggregationTemporality.DELTA}
GPU = {"hw.id": "GPU-5e7c1a2b-0000-4000-8000-0123456789ab", "hw.type": "gpu"}
ADDED_J = (120.5, 0.25, 310.125, 44.0)
BETWEEN_S = 0.02  # so that no two exports fall in one microsecond


class Watched(OTLPMetricExporter):
    """The exporter, remembering how each export went: the SDK only logs it."""

    def __init__(self, **said: object) -> None:
        super().__init__(**said)
        self.results: list[MetricExportResult] = []

    def export(self, *arguments: object, **more: object) -> MetricExportResult:
        self.results.append(super().export(*arguments, **more))
        return self.results[-1]


@pytest.fixture
def address(transactional_db: None) -> Iterator[str]:
    """The product's own WSGI application behind a real socket, on the test's database."""
    server = LiveServer("127.0.0.1:0")
    server._live_server_modified_settings.enable()
    yield server.url
    server.stop()
    server._live_server_modified_settings.disable()


@pytest.fixture
def provider_for(address: str) -> Iterator[Callable[..., tuple[MeterProvider, Watched, InMemoryMetricReader]]]:
    """A MeterProvider that exports here when it is flushed, and what else it tells."""
    site = Site.objects.create(name="Paris", slug="paris")
    Team.objects.create(name="Vision", slug="vision")
    secret = issue_token(name="otel", scopes=["ingest"], site=site)[1]
    providers = []

    def make(
        *,
        delta: bool,
        watched: bool = False,
        compression: Compression = Compression.Gzip,
        authorization: str = f"Bearer {secret}",
    ) -> tuple[MeterProvider, Watched, InMemoryMetricReader]:
        temporality = DELTA if delta else {}
        exporter = Watched(
            endpoint=f"{address}/v1/metrics",
            headers={"Authorization": authorization},
            compression=compression,
            preferred_temporality=temporality,
        )
        told = InMemoryMetricReader(preferred_temporality=temporality)
        resource = Resource.create(
            {"host.name": "node-1", "service.name": "train", "greenai.job": "run-7", "greenai.team": "vision"}
        )
        exporting = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
        providers.append(MeterProvider([exporting, told] if watched else [exporting], resource))
        return providers[-1], exporter, told

    yield make
    for provider in providers:
        provider.shutdown()


def told_j(reader: InMemoryMetricReader) -> float:
    """What the SDK itself tells of hw.energy since it was last asked, or in all."""
    data = reader.get_metrics_data()
    return math.fsum(
        point.value
        for of_resource in data.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
        if metric.name == "hw.energy"
        for point in metric.data.data_points
    )


def ledger_j() -> float:
    rebuild_dirty(now=datetime.now(UTC))
    return math.fsum(EnergyHour.objects.values_list("device_energy_j", flat=True))


class TestPythonSdk:
    @pytest.mark.parametrize("compression", [Compression.Gzip, Compression.NoCompression])
    def test_a_cumulative_counter_comes_to_what_the_sdk_tells(self, provider_for, compression: Compression) -> None:
        """From the first export on: what the counter showed before it was ever exported has no beginning."""
        provider, exporter, reader = provider_for(delta=False, watched=True, compression=compression)
        counter = provider.get_meter("conformance").create_counter("hw.energy", unit="J")
        totals = []
        for added_j in ADDED_J:
            counter.add(added_j, GPU)
            provider.force_flush()
            totals.append(told_j(reader))
            time.sleep(BETWEEN_S)
        assert exporter.results == [MetricExportResult.SUCCESS] * len(ADDED_J)
        assert totals[-1] - totals[0] == 354.375  # 0.25 + 310.125 + 44
        assert [row.energy_j for row in DeviceSample.objects.order_by("measured_at_us")] == totals
        assert ledger_j() == pytest.approx(354.375, rel=1e-12)
        assert (Job.objects.get().key, Job.objects.get().team.slug) == ("run-7", "vision")

    @pytest.mark.parametrize("compression", [Compression.Gzip, Compression.NoCompression])
    def test_a_counter_of_differences_comes_to_what_the_sdk_tells(self, provider_for, compression: Compression) -> None:
        provider, exporter, reader = provider_for(delta=True, watched=True, compression=compression)
        counter = provider.get_meter("conformance").create_counter("hw.energy", unit="J")
        total_j = 0.0
        for added_j in ADDED_J:
            time.sleep(BETWEEN_S * 3)  # 310 J in 60 ms are 5 kW
            counter.add(added_j, GPU)
            provider.force_flush()
            total_j += told_j(reader)
        assert exporter.results == [MetricExportResult.SUCCESS] * len(ADDED_J)
        assert total_j == 474.875  # 120.5 + 0.25 + 310.125 + 44
        assert math.fsum(EnergySpan.objects.values_list("energy_j", flat=True)) == total_j
        assert ledger_j() == pytest.approx(total_j, rel=1e-12)

    def test_observed_counters_and_gauges_of_one_collection_meet_in_one_sample(self, provider_for) -> None:
        """A meter's own counter that stood at 1e9 J before: only what it rose by counts."""
        provider, exporter, _ = provider_for(delta=False)
        readings = iter([1e9, 1e9 + 250, 1e9 + 400])

        def energy(_: CallbackOptions) -> Iterator[Observation]:
            yield Observation(next(readings), GPU)

        def power(_: CallbackOptions) -> Iterator[Observation]:
            yield Observation(300.0, GPU)

        meter = provider.get_meter("conformance")
        meter.create_observable_counter("hw.energy", [energy], unit="J")
        meter.create_observable_gauge("hw.power", [power], unit="W")
        for _ in range(3):
            provider.force_flush()
            time.sleep(BETWEEN_S)
        assert exporter.results == [MetricExportResult.SUCCESS] * 3
        rows = DeviceSample.objects.order_by("measured_at_us")
        assert [(row.energy_j, row.power_w) for row in rows] == [(1e9, 300.0), (1e9 + 250, 300.0), (1e9 + 400, 300.0)]
        assert len({row.epoch for row in rows}) == 1
        assert ledger_j() == pytest.approx(400.0, rel=1e-12)

    def test_the_first_difference_of_an_observed_counter_is_its_whole_life_and_refused(self, provider_for) -> None:
        """The SDK takes a counter as nought before it first saw it."""
        provider, exporter, _ = provider_for(delta=True)
        readings = iter([1e9, 1e9 + 250])

        def energy(_: CallbackOptions) -> Iterator[Observation]:
            yield Observation(next(readings), GPU)

        provider.get_meter("conformance").create_observable_counter("hw.energy", [energy], unit="J")
        for _ in range(2):
            provider.force_flush()
            time.sleep(BETWEEN_S * 3)
        assert exporter.results == [MetricExportResult.SUCCESS] * 2
        assert [span.energy_j for span in EnergySpan.objects.all()] == [250.0]

    def test_a_program_that_starts_again_is_another_counter(self, provider_for) -> None:
        """It has drawn more than the first by its first export: only its start time can tell."""
        for first_j, then_j in ((10.0, 20.0), (500.0, 40.0)):
            provider, _, _ = provider_for(delta=False)
            counter = provider.get_meter("conformance").create_counter("hw.energy", unit="J")
            for added_j in (first_j, then_j):
                counter.add(added_j, GPU)
                provider.force_flush()
                time.sleep(BETWEEN_S)
        assert ledger_j() == pytest.approx(20.0 + 40.0, rel=1e-12)

    def test_a_wrong_token_is_a_failure_that_is_not_tried_again(self, provider_for) -> None:
        provider, exporter, _ = provider_for(delta=False, authorization="Bearer gai_nobody_nothing")
        provider.get_meter("conformance").create_counter("hw.energy", unit="J").add(1.0, GPU)
        begun = time.monotonic()
        provider.force_flush()
        assert exporter.results == [MetricExportResult.FAILURE]
        assert time.monotonic() - begun < 5
