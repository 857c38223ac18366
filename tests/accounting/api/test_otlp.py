"""The address as OpenTelemetry's exporters meet it."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client
from google.protobuf.json_format import ParseDict
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from accounting.access import issue_token
from accounting.api import otlp
from accounting.models import Device, DeviceSample, EnergySpan, Job, LabelRule, SampleConflict, Team, UnreadMetric

Send = Callable[..., HttpResponse]
START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
UUID = "GPU-5e7c1a2b-0000-4000-8000-0123456789ab"


def ns(seconds: float) -> int:
    return round((START + timedelta(seconds=seconds)).timestamp() * 1e6) * 1000


def point(value: float, *, at: float, since: float | None = 0, **attributes: str) -> dict[str, Any]:
    """A point of GPU 0 of START + `at` seconds; names of attributes with _ for dots."""
    labels = {"hw.type": "gpu", "hw.id": "0"} | {name.replace("_", "."): text for name, text in attributes.items()}
    pairs = [{"key": key, "value": {"stringValue": text}} for key, text in labels.items() if text]
    told: dict[str, Any] = {"attributes": pairs, "timeUnixNano": str(ns(at)), "asDouble": value}
    return told | ({"startTimeUnixNano": str(ns(since))} if since is not None else {})


def counter(name: str, *points: dict[str, Any], unit: str = "J", delta: bool = False) -> dict[str, Any]:
    temporality = 1 if delta else 2
    return {
        "name": name,
        "unit": unit,
        "sum": {"aggregationTemporality": temporality, "isMonotonic": True, "dataPoints": list(points)},
    }


def gauge(name: str, *points: dict[str, Any], unit: str = "W") -> dict[str, Any]:
    return {"name": name, "unit": unit, "gauge": {"dataPoints": list(points)}}


def request(*metrics: dict[str, Any], **resource: str) -> dict[str, Any]:
    labels = {"host.name": "node-1"} | {name.replace("_", "."): text for name, text in resource.items()}
    pairs = [{"key": key, "value": {"stringValue": text}} for key, text in labels.items() if text]
    return {"resourceMetrics": [{"resource": {"attributes": pairs}, "scopeMetrics": [{"metrics": list(metrics)}]}]}


def as_protobuf(body: dict[str, Any]) -> bytes:
    return ParseDict(body, ExportMetricsServiceRequest()).SerializeToString()


@pytest.fixture
def send(site_secret: str) -> Send:
    """Post a request, as JSON unless it is bytes. A server error comes back as a reply, not a raise."""
    client = Client(raise_request_exception=False)

    def post(
        body: dict[str, Any] | bytes,
        *,
        path: str = "/v1/metrics",
        secret: str = site_secret,
        content_type: str = "",
        **headers: str,
    ) -> HttpResponse:
        kind = content_type or ("application/x-protobuf" if isinstance(body, bytes) else "application/json")
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {secret}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        return client.post(path, data, content_type=kind, headers=sent)

    return post


def rejected(response: HttpResponse) -> tuple[int, str]:
    """What a JSON reply says was not taken."""
    assert response.status_code == 200, response.content
    told = json.loads(response.content).get("partialSuccess", {"rejectedDataPoints": "0", "errorMessage": ""})
    return int(told["rejectedDataPoints"]), told["errorMessage"]


class TestReply:
    def test_is_empty_in_the_request_s_encoding_where_all_was_taken(self, send: Send) -> None:
        body = request(gauge("hw.power", point(300, at=0)))
        in_json, in_protobuf = send(body), send(as_protobuf(body))
        assert (in_json["Content-Type"], in_json.content) == ("application/json", b"{}")
        assert (in_protobuf["Content-Type"], in_protobuf.content) == ("application/x-protobuf", b"")
        assert DeviceSample.objects.count() == 1

    def test_says_what_was_rejected_and_keeps_the_rest(self, send: Send) -> None:
        body = request(gauge("hw.power", point(300, at=0), point(-1, at=10), point(float("nan"), at=20)))
        body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["gauge"]["dataPoints"][2]["asDouble"] = "NaN"
        count, why = rejected(send(body))
        assert count == 2
        assert "-1" in why and "nan" in why
        told = ExportMetricsServiceResponse.FromString(send(as_protobuf(body)).content).partial_success
        assert (told.rejected_data_points, bool(told.error_message)) == (2, True)
        assert [row.power_w for row in DeviceSample.objects.all()] == [300.0]

    def test_comes_for_gzip_and_under_a_prefix_alike(self, send: Send) -> None:
        body = gzip.compress(as_protobuf(request(gauge("hw.power", point(300, at=0)))))
        assert send(body, Content_Encoding="gzip").status_code == 200
        assert send(body, Content_Encoding="gzip", path="/api/v1/otlp/v1/metrics").status_code == 200
        assert DeviceSample.objects.count() == 1

    def test_refuses_as_a_status_in_the_request_s_encoding(self, send: Send) -> None:
        bad = send(b"\xff\xff", content_type="application/json")
        assert (bad.status_code, json.loads(bad.content)["code"]) == (400, 3)
        bad = send(b"\xff\xff")
        status = Status.FromString(bad.content)
        assert (bad.status_code, status.code, bad["Content-Type"]) == (400, 3, "application/x-protobuf")
        assert "ExportMetricsServiceRequest" in status.message
        unknown = send(b"", content_type="text/plain")
        assert (unknown.status_code, Status.FromString(unknown.content).code) == (415, 3)
        stranger = send({}, secret="gai_x_y")
        assert (stranger.status_code, json.loads(stranger.content)["code"]) == (401, 16)
        assert stranger["WWW-Authenticate"]

    def test_is_get_refused(self, site_secret: str) -> None:
        assert Client().get("/v1/metrics").status_code == 405

    def test_asks_to_come_again_when_the_database_does_not_answer(self, send: Send, monkeypatch) -> None:
        def down(*_: object, **__: object) -> None:
            raise OperationalError("locked")

        monkeypatch.setattr(otlp, "store", down)
        reply = send(as_protobuf(request(gauge("hw.power", point(300, at=0)))))
        assert (reply.status_code, Status.FromString(reply.content).code) == (503, 14)
        assert int(reply["Retry-After"]) > 0

    def test_refuses_more_points_than_it_reads_at_once(self, send: Send, monkeypatch) -> None:
        monkeypatch.setattr(otlp, "MOST_POINTS", 2)
        reply = send(request(gauge("hw.power", *(point(300, at=k) for k in range(3)))))
        assert reply.status_code == 413
        assert not DeviceSample.objects.exists()


class TestCounters:
    def test_a_cumulative_counter_and_a_gauge_of_one_moment_make_one_sample(self, send: Send) -> None:
        """2 kJ, 300 W, 40 % and 8 GiB at one moment."""
        body = request(
            counter("hw.energy", point(2, at=10), unit="kJ"),
            gauge("hw.power", point(300, at=10)),
            gauge("hw.gpu.utilization", point(40, at=10), unit="%"),
            gauge("hw.gpu.memory.usage", point(8, at=10), unit="GiBy"),
        )
        assert rejected(send(body)) == (0, "")
        row = DeviceSample.objects.get()
        assert (row.energy_j, row.power_w, row.utilization, row.memory_used_bytes) == (2000.0, 300.0, 0.4, 8 << 30)
        assert (row.source, row.device.key, row.device.kind) == (DeviceSample.Source.OTLP, "gpu-0", "gpu")
        assert row.measured_at_us == ns(10) // 1000

    def test_a_counter_that_began_again_is_never_compared_with_before(self, send: Send) -> None:
        """It shows more than before, so only its start time can tell."""
        send(request(counter("hw.energy", point(100, at=10, since=0))))
        send(request(counter("hw.energy", point(150, at=20, since=0))))
        send(request(counter("hw.energy", point(900, at=30, since=21))))
        epochs = [row.epoch for row in DeviceSample.objects.order_by("measured_at_us")]
        assert epochs[0] == epochs[1] != epochs[2]

    def test_points_of_several_starts_in_one_request_part(self, send: Send) -> None:
        points = [point(100, at=10, since=0), point(900, at=30, since=21)]
        assert rejected(send(request(counter("hw.energy", *points)))) == (0, "")
        assert len({row.epoch for row in DeviceSample.objects.all()}) == 2

    def test_differences_become_spans_that_follow_each_other(self, send: Send) -> None:
        send(request(counter("hw.energy", point(100, at=10, since=0), delta=True)))
        send(request(counter("hw.energy", point(50, at=20, since=10), delta=True)))
        again = send(request(counter("hw.energy", point(50, at=20, since=10), delta=True)))
        assert rejected(again) == (0, "")
        spans = list(EnergySpan.objects.order_by("started_at_us"))
        assert [(s.started_at_us, s.ended_at_us, s.energy_j) for s in spans] == [
            (ns(0) // 1000, ns(10) // 1000, 100.0),
            (ns(10) // 1000, ns(20) // 1000, 50.0),
        ]
        assert len({span.poster for span in spans}) == 1

    def test_differences_that_overlap_are_set_aside_and_rejected(self, send: Send) -> None:
        send(request(counter("hw.energy", point(100, at=10, since=0), delta=True)))
        count, why = rejected(send(request(counter("hw.energy", point(70, at=15, since=5), delta=True))))
        assert (count, EnergySpan.objects.count(), SampleConflict.objects.count()) == (1, 1, 1)
        assert "set aside" in why

    def test_differences_of_two_jobs_in_one_interval_add_up_and_part(self, send: Send) -> None:
        """30 J of a and 90 J of b in 40 s: the interval parts 10 : 30."""
        a, b = point(30, at=40, greenai_job="a"), point(90, at=40, greenai_job="b")
        assert rejected(send(request(counter("hw.energy", a, b, delta=True)))) == (0, "")
        spans = EnergySpan.objects.order_by("started_at_us")
        assert [(s.job.key, s.energy_j, s.ended_at_us - s.started_at_us) for s in spans] == [
            ("a", 30.0, 10_000_000),
            ("b", 90.0, 30_000_000),
        ]

    def test_a_first_difference_that_holds_a_counter_s_whole_life_is_refused(self, send: Send) -> None:
        """1 GJ in a minute would be 17 MW."""
        count, why = rejected(send(request(counter("hw.energy", point(1e9, at=10), delta=True))))
        assert (count, EnergySpan.objects.count()) == (1, 0)
        assert "1e+09 J within 60 s" in why

    def test_two_cumulative_counters_of_one_device_and_moment_are_refused(self, send: Send) -> None:
        a, b = point(30, at=40, greenai_job="a"), point(90, at=40, greenai_job="b")
        assert rejected(send(request(counter("hw.energy", a, b))))[0] == 1
        assert DeviceSample.objects.get().energy_j == 30.0

    @pytest.mark.parametrize(
        "change",
        [
            {"timeUnixNano": "0"},
            {"startTimeUnixNano": "0"},
            {"startTimeUnixNano": str(ns(20))},
            {"timeUnixNano": str(ns(86_400)), "startTimeUnixNano": str(ns(86_300))},
            {"timeUnixNano": str((1 << 64) - 1)},
        ],
    )
    def test_a_difference_without_its_time_or_from_the_future_is_refused(self, send: Send, change: dict) -> None:
        count, why = rejected(send(request(counter("hw.energy", point(10, at=10) | change, delta=True))))
        assert (count, bool(why), EnergySpan.objects.count()) == (1, True, 0)

    def test_a_point_without_a_recorded_value_says_nothing(self, send: Send) -> None:
        told = point(300, at=0) | {"flags": 1}
        assert rejected(send(request(gauge("hw.power", told)))) == (0, "")
        assert not DeviceSample.objects.exists()

    @pytest.mark.parametrize(
        ("unit", "joules"), [("J", 36.0), ("", 36.0), ("mJ", 0.036), ("W.h", 129_600.0), ("(kWh)", 129_600_000.0)]
    )
    def test_units_are_converted(self, send: Send, unit: str, joules: float) -> None:
        assert rejected(send(request(counter("hw.energy", point(36, at=0), unit=unit)))) == (0, "")
        assert DeviceSample.objects.get().energy_j == pytest.approx(joules, rel=1e-15)

    def test_another_unit_or_shape_is_refused_and_named(self, send: Send) -> None:
        body = request(counter("hw.energy", point(36, at=0), unit="cal"), gauge("hw.energy", point(1, at=0), unit="J"))
        count, why = rejected(send(body))
        assert count == 2
        assert "'cal'" in why and "a gauge" in why
        assert UnreadMetric.objects.filter(protocol="otlp", name="hw.energy").count() == 2


class TestAnyOrder:
    @settings(
        max_examples=15,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(data=st.data())
    def test_split_repeated_and_delayed_requests_store_the_same(self, send: Send, data: st.DataObject) -> None:
        """Six readings of a counter over a restart, and six differences of another device."""
        DeviceSample.objects.all().delete()  # of the example before
        EnergySpan.objects.all().delete()
        starts = (0, 0, 0, 31, 31, 31)
        told = [counter("hw.energy", point(100 + k, at=10 * (k + 1), since=starts[k])) for k in range(6)]
        told += [
            counter("hw.energy", point(10 + k, at=10 * (k + 1), since=10 * k, hw_id="1"), delta=True) for k in range(6)
        ]
        order = data.draw(st.permutations([*range(12), *data.draw(st.lists(st.integers(0, 11), max_size=6))]))
        cuts = sorted({0, len(order), *data.draw(st.lists(st.integers(0, len(order)), max_size=5))})
        for first, last in pairwise(cuts):
            body = request(*(told[k] for k in order[first:last]))
            assert rejected(send(body)) == (0, "")
        rows = DeviceSample.objects.order_by("measured_at_us").values_list("measured_at_us", "energy_j", "epoch")
        assert [(at, j) for at, j, _ in rows] == [(ns(10 * (k + 1)) // 1000, 100.0 + k) for k in range(6)]
        epochs = [epoch for _, _, epoch in rows]
        assert (len(set(epochs[:3])), len(set(epochs[3:])), len(set(epochs))) == (1, 1, 2)
        spans = EnergySpan.objects.order_by("ended_at_us").values_list("started_at_us", "ended_at_us", "energy_j")
        assert list(spans) == [(ns(10 * k) // 1000, ns(10 * (k + 1)) // 1000, 10.0 + k) for k in range(6)]


class TestDevices:
    def test_a_gpu_by_its_uuid_is_the_agent_s_own_device(self, send: Send) -> None:
        send(request(gauge("hw.power", point(300, at=0, hw_id=UUID.replace("a", "A"), hw_name="H100"))))
        device = Device.objects.get()
        assert (device.key, device.model) == (f"gpu-{UUID}", "H100")

    def test_a_host_is_a_node_beside_its_parts(self, send: Send) -> None:
        body = request(
            gauge("hw.host.power", point(900, at=0, hw_type="", hw_id="")), gauge("hw.power", point(1, at=0))
        )
        send(body)
        assert {(d.key, d.kind) for d in Device.objects.all()} == {("node", "node"), ("gpu-0", "gpu")}

    def test_no_host_no_part_no_type_is_refused_with_what_to_do(self, send: Send) -> None:
        body = request(gauge("hw.power", point(300, at=0)), host_name="")
        assert "OTEL_RESOURCE_ATTRIBUTES" in rejected(send(body))[1]
        body = request(gauge("hw.power", point(300, at=0, hw_id=""), point(1, at=0, hw_type="abacus")))
        assert rejected(send(body))[0] == 2

    @pytest.mark.parametrize("passed", [{"hw_type": "power_supply"}, {"hw_id": "MIG-1"}])
    def test_what_others_tell_of_already_is_passed_over(self, send: Send, passed: dict[str, str]) -> None:
        assert rejected(send(request(gauge("hw.power", point(300, at=0, **passed))))) == (0, "")
        assert not DeviceSample.objects.exists()
        assert UnreadMetric.objects.get().reason

    def test_a_part_of_a_part_is_passed_over(self, send: Send) -> None:
        inner = point(100, at=0, hw_id="0-core", hw_type="cpu", hw_parent="0")
        send(request(gauge("hw.power", point(300, at=0, hw_type="cpu"), inner)))
        assert [row.power_w for row in DeviceSample.objects.all()] == [300.0]

    def test_a_utilisation_alone_is_no_reading(self, send: Send) -> None:
        assert rejected(send(request(gauge("hw.gpu.utilization", point(0.4, at=0), unit="1")))) == (0, "")
        assert UnreadMetric.objects.get(name="hw.gpu.utilization").count == 1

    def test_the_rest_is_counted_and_named(self, send: Send) -> None:
        body = request(
            gauge("codecarbon_gpu_energy", point(1, at=0), unit="(kWh)"),
            counter("http.server.requests", point(1, at=0), point(2, at=1), unit="1"),
            {"name": "h\x00", "histogram": {"dataPoints": [{"count": "3"}]}},
        )
        assert rejected(send(body)) == (0, "")
        told = {row.name: (row.count, row.reason) for row in UnreadMetric.objects.filter(protocol="otlp")}
        assert told["http.server.requests"] == (2, "")
        assert told["h?"] == (1, "")
        assert "/api/codecarbon" in told["codecarbon_gpu_energy"][1]


class TestWhose:
    def test_our_own_attributes_name_the_job_the_team_and_the_project(self, send: Send, team: Team) -> None:
        send(
            request(
                gauge("hw.power", point(300, at=0)), greenai_job="run-7", greenai_team="vision", greenai_project="p"
            )
        )
        job = Job.objects.get()
        assert (job.key, job.team, job.project.slug) == ("run-7", team, "p")
        assert DeviceSample.objects.get().job == job

    def test_a_rule_names_a_pod_s(self, send: Send, team: Team) -> None:
        LabelRule.objects.create(matches={"k8s.namespace.name": "ml-.*"}, job="{k8s.pod.name}", team=team)
        send(request(gauge("hw.power", point(300, at=0)), k8s_namespace_name="ml-a", k8s_pod_name="train-0"))
        assert (Job.objects.get().key, Job.objects.get().team) == ("train-0", team)

    def test_one_name_in_two_teams_is_two_jobs(self, send: Send, team: Team) -> None:
        other = Team.objects.create(name="Speech", slug="speech")
        body = request(gauge("hw.power", point(300, at=0)), greenai_job="train", greenai_team="vision")
        body["resourceMetrics"] += request(
            gauge("hw.power", point(200, at=0)), host_name="node-2", greenai_job="train", greenai_team="speech"
        )["resourceMetrics"]
        assert rejected(send(body)) == (0, "")
        assert {row.job.team: row.power_w for row in DeviceSample.objects.all()} == {team: 300.0, other: 200.0}

    def test_an_unknown_team_warns_and_keeps_the_energy(self, send: Send) -> None:
        body = request(gauge("hw.power", point(300, at=0)), greenai_job="train", greenai_team="nobody")
        count, why = rejected(send(body))
        assert (count, DeviceSample.objects.get().job.team) == (0, None)
        assert "nobody" in why

    def test_a_team_s_token_is_that_team(self, send: Send, team: Team, team_secret: str) -> None:
        body = request(gauge("hw.power", point(300, at=0)), greenai_job="train", greenai_team="other")
        count, why = rejected(send(body, secret=team_secret))
        assert (count, Job.objects.get().team) == (0, team)
        assert "'other'" in why

    def test_a_token_to_read_may_not_post(self, send: Send, team: Team) -> None:
        secret = issue_token(name="reader", scopes=["read"], team=team)[1]
        assert send({}, secret=secret).status_code == 403


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_NAMES = st.sampled_from(
    [
        *("resourceMetrics", "resource", "scopeMetrics", "metrics", "name", "unit", "gauge", "sum", "dataPoints"),
        *("attributes", "key", "value", "stringValue", "intValue", "timeUnixNano", "startTimeUnixNano", "asDouble"),
        *("asInt", "flags", "aggregationTemporality", "isMonotonic", "hw.power"),
    ]
)
_TREES = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4))


class TestHostileBodies:
    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        body=st.binary(min_size=1, max_size=200) | _TREES.map(lambda tree: json.dumps(tree).encode()),
        in_json=st.booleans(),
    )
    def test_are_refused_and_never_a_server_error(self, send: Send, body: bytes, in_json: bool) -> None:
        kind = "application/json" if in_json else "application/x-protobuf"
        assert send(body, content_type=kind).status_code in (200, 400)

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(at=st.integers(0, 400), byte=st.integers(0, 255))
    def test_nor_is_a_good_body_with_a_wrong_byte(self, send: Send, at: int, byte: int) -> None:
        good = as_protobuf(
            request(counter("hw.energy", point(10, at=10), delta=True), gauge("hw.power", point(1, at=1)))
        )
        bad = bytearray(good)
        bad[at % len(bad)] = byte
        assert send(bytes(bad)).status_code in (200, 400)

    @pytest.mark.parametrize(
        "value",
        ['"x"', '{"asInt": "1e3"}', '{"timeUnixNano": "-1"}', '{"timeUnixNano": 1e30}', '{"asDouble": "1e999"}'],
    )
    def test_wrong_fields_are_told(self, send: Send, value: str) -> None:
        body = json.dumps(request(gauge("hw.power"))).replace('"dataPoints": []', f'"dataPoints": [{value}]').encode()
        assert send(body, content_type="application/json").status_code in (200, 400)
        assert not DeviceSample.objects.exists()

    def test_deep_nesting_is_refused(self, send: Send) -> None:
        assert send(b'{"a":' * 100_000, content_type="application/json").status_code == 400
