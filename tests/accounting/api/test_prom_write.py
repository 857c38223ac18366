"""Remote-write over HTTP: what is kept and counted once, what is answered, and what hostile bodies come to."""

import base64
import random
import time
from collections.abc import Callable
from typing import Any

import cramjam
import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client

from accounting.api import prom_write
from accounting.models import (
    Device,
    DeviceSample,
    DeviceUse,
    DirtyHour,
    Job,
    Project,
    SampleConflict,
    Team,
    UnreadMetric,
)
from tests.remote_write import STALE, V1, V2, packed, v1_request, v2_request

pytestmark = pytest.mark.django_db
ENERGY, POWER, USE, MEMORY, SLICE = (
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
)  # fmt: skip
NOW_MS = int(time.time()) * 1000
Write = Callable[..., HttpResponse]


def labels(name: str, **more: str) -> dict[str, str]:
    gpu = {"UUID": "GPU-5e7c", "gpu": "0", "Hostname": "node-1", "modelName": "NVIDIA H100 80GB HBM3"}
    return {"__name__": name, **gpu, "instance": "10.0.0.7:9400", "job": "dcgm"} | more


@pytest.fixture
def write(site_secret: str) -> Write:
    client = Client(raise_request_exception=False)

    def send(body: Any, *, kind: str = V1, secret: str = site_secret, **headers: str) -> HttpResponse:
        raw = body if isinstance(body, bytes) else packed(body)
        sent = {"Authorization": f"Bearer {secret}", "Content-Encoding": "snappy"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post("/api/v1/prom/write", raw, content_type=kind, headers=sent)

    return send


def unread() -> dict[tuple[str, str], int]:
    return {(u.name, u.reason): u.count for u in UnreadMetric.objects.filter(protocol="prometheus")}


class TestBothVersions:
    @pytest.mark.parametrize(("make", "kind"), [(v1_request, V1), (v2_request, V2)])
    def test_join_the_series_of_a_device_into_one_reading(self, write: Write, make: Any, kind: str) -> None:
        # 1 830 412 000 mJ are 1 830 412 J; 93 % are 0.93; 1024 MiB are 1 GiB
        values = {ENERGY: 1_830_412_000.0, POWER: 412.5, USE: 93.0, MEMORY: 1024.0}
        reply = write(make(*((labels(name), [(value, NOW_MS)]) for name, value in values.items())), kind=kind)
        assert (reply.status_code, reply.content) == (204, b"")
        one = DeviceSample.objects.get()
        assert (one.energy_j, one.power_w, one.utilization, one.memory_used_bytes) == (
            1_830_412.0,
            412.5,
            0.93,
            1 << 30,
        )
        assert (one.measured_at_us, one.source) == (NOW_MS * 1000, DeviceSample.Source.DCGM)
        device = Device.objects.get()
        assert (device.key, device.kind, device.model) == ("gpu-GPU-5e7c", "gpu", "NVIDIA H100 80GB HBM3")
        assert device.host.name == "node-1"
        assert DirtyHour.objects.exists()

    def test_count_the_same_request_once(self, write: Write) -> None:
        request = v1_request((labels(ENERGY), [(1000.0 * k, NOW_MS + 15_000 * k) for k in range(-9, 1) if k >= 0]))
        more = v1_request((labels(ENERGY), [(5000.0, NOW_MS - 60_000), (6000.0, NOW_MS - 45_000)]))
        for each in (more, request, request, more):  # late, and again
            assert write(each).status_code == 204
        assert DeviceSample.objects.count() == 3
        assert not SampleConflict.objects.exists()

    def test_2_0_says_how_many_were_written_and_1_0_does_not(self, write: Write) -> None:
        series = (labels(POWER), [(300.0, NOW_MS)]), ({"__name__": "up", "instance": "x"}, [(1.0, NOW_MS)])
        reply = write(v2_request(*series, created_ms=NOW_MS - 86_400_000), kind=V2)
        written = {name: reply.headers[f"X-Prometheus-Remote-Write-{name}-Written"] for name in
                   ("Samples", "Histograms", "Exemplars")}  # fmt: skip
        assert written == {"Samples": "2", "Histograms": "0", "Exemplars": "0"}
        assert "X-Prometheus-Remote-Write-Samples-Written" not in write(v1_request(*series)).headers
        assert DeviceSample.objects.count() == 1  # a created timestamp is no reading


class TestWhatIsNotKept:
    def test_is_counted_and_named_with_why(self, write: Write) -> None:
        blank = 9223372036854775794.0
        request = v1_request(
            ({"__name__": "up", "instance": "a:1"}, [(1.0, NOW_MS), (1.0, NOW_MS - 1)]),
            (labels(ENERGY), [(blank, NOW_MS)]),
            (labels(POWER), [(2147483632.0, NOW_MS), (float("nan"), NOW_MS - 1000), (float("inf"), NOW_MS - 2000)]),
            (labels(MEMORY), [(140737488355330.0, NOW_MS)]),
            ({"__name__": "kepler_pod_cpu_joules_total", "pod_name": "a"}, [(1.0, NOW_MS)]),
            ({"__name__": "kepler_node_cpu_joules_total", "zone": "core", "node_name": "n"}, [(1.0, NOW_MS)]),
        )
        assert write(request).status_code == 204
        assert unread() == {
            ("up", ""): 2,
            (ENERGY, "DCGM's word for not known"): 1,
            (POWER, "DCGM's word for not known"): 1,
            (POWER, "not a number"): 2,
            (MEMORY, "DCGM's word for not known"): 1,
            ("kepler_pod_cpu_joules_total", "a share of the node's: jobs come from the labels of whole devices"): 1,
            ("kepler_node_cpu_joules_total",
             "its zone lies inside the package or spans the platform: adding it would count twice"): 1,
        }  # fmt: skip
        assert not DeviceSample.objects.exists()

    def test_an_energy_counter_may_pass_what_is_a_blank_elsewhere(self, write: Write) -> None:
        write(v1_request((labels(ENERGY), [(2147483632.0, NOW_MS)])))
        assert DeviceSample.objects.get().energy_j == 2147483.632

    def test_a_stale_marker_is_neither_kept_nor_counted(self, write: Write) -> None:
        assert write(v1_request((labels(POWER), [(300.0, NOW_MS - 15_000), (STALE, NOW_MS)]))).status_code == 204
        assert [one.power_w for one in DeviceSample.objects.all()] == [300.0]
        assert unread() == {}

    def test_histograms_and_exemplars_are_counted(self, write: Write) -> None:
        request = v2_request((labels(POWER), [(300.0, NOW_MS)]), ({"__name__": "latency"}, []))
        request.timeseries[1].histograms.add(count_int=4, sum=2.0, timestamp=NOW_MS)
        request.timeseries[0].exemplars.add(value=1.0, timestamp=NOW_MS)
        assert write(request, kind=V2).status_code == 204
        assert unread() == {
            ("latency", "native histograms are not kept"): 1, (POWER, "exemplars are not kept"): 1,
        }  # fmt: skip


class TestBadSamples:
    def test_cost_themselves_and_not_the_good_ones_beside_them(self, write: Write) -> None:
        request = v2_request(
            (labels(POWER), [(-3.0, NOW_MS), (300.0, NOW_MS - 1000)]),
            (labels(ENERGY), [(7e6, NOW_MS + 3_600_000), (6e6, NOW_MS - 1000)]),
            (labels(ENERGY, Hostname="", instance="", UUID="GPU-2"), [(1.0, NOW_MS)]),
        )
        request.timeseries.add(labels_refs=[1, 9999]).samples.add(value=1.0, timestamp=NOW_MS)
        request.timeseries.add(labels_refs=[1]).samples.add(value=1.0, timestamp=NOW_MS)
        reply = write(request, kind=V2)
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_samples")
        assert reply.headers["X-Prometheus-Remote-Write-Samples-Written"] == "2"
        for word in ("5 samples can never be taken", "-3.0", "in the future", "greenai_host", "symbols", "pairs"):
            assert word in reply.json()["detail"], word
        one = DeviceSample.objects.get()
        assert (one.power_w, one.energy_j) == (300.0, 6000.0)

    def test_a_label_that_is_not_utf8_costs_its_own_series(self, write: Write) -> None:
        raw = v1_request((labels(POWER), [(300.0, NOW_MS)]), (labels(POWER, UUID="GPU-XXXX"), [(1.0, NOW_MS)]))
        body = raw.SerializeToString().replace(b"GPU-XXXX", b"GPU-\xff\xfeXX")
        assert write(bytes(cramjam.snappy.compress_raw(body))).status_code == 400
        assert DeviceSample.objects.count() == 1


class TestJobs:
    def test_come_from_the_exporters_own_labels_before_those_of_the_scrape(self, write: Write) -> None:
        write(v1_request(
            (labels(POWER, exported_pod="train-0", exported_namespace="ml", pod="nvidia-dcgm-exporter-x"),
             [(300.0, NOW_MS)]),
            (labels(POWER, UUID="GPU-2", pod="nvidia-dcgm-exporter-x", namespace="gpu"), [(60.0, NOW_MS)]),
            (labels(POWER, UUID="GPU-3", hpc_job="4711"), [(200.0, NOW_MS)]),
        ))  # fmt: skip
        held = dict(DeviceSample.objects.values_list("device__key", "job__key"))
        assert held == {"gpu-GPU-5e7c": "ml/train-0", "gpu-GPU-2": None, "gpu-GPU-3": "4711"}

    def test_know_their_team_and_project_where_labels_say(self, write: Write) -> None:
        vision = Team.objects.create(name="Vision", slug="vision")
        write(v1_request(
            (labels(POWER, greenai_job="sweep", greenai_team="vision", greenai_project="resnet"), [(300.0, NOW_MS)]),
            (labels(POWER, UUID="GPU-2", greenai_job="lost", greenai_team="nobody"), [(60.0, NOW_MS)]),
        ))  # fmt: skip
        assert {(j.key, j.team, j.project) for j in Job.objects.select_related("team", "project")} == {
            ("sweep", vision, Project.objects.get()), ("lost", None, None),
        }  # fmt: skip
        assert DeviceSample.objects.count() == 2  # a team that does not exist costs no reading
        (name,) = [name for name, reason in unread() if reason == "unknown_team"]
        assert "nobody" in name

    def test_on_a_teams_token_are_the_teams_whatever_a_label_says(
        self, write: Write, team: Team, team_secret: str
    ) -> None:
        Team.objects.create(name="Speech", slug="speech")
        write(v1_request((labels(POWER, greenai_job="j", greenai_team="speech"), [(1.0, NOW_MS)])), secret=team_secret)
        assert Job.objects.get().team == team


class TestASplitGpu:
    def test_counts_its_power_once_and_shares_it_by_slices(self, write: Write) -> None:
        rows = []
        for identity, profile, pod, used in (("1", "3g.40gb", "a", 0.9), ("2", "4g.40gb", "b", 0.1)):
            more = {"GPU_I_ID": identity, "GPU_I_PROFILE": profile, "pod": pod, "namespace": "ml"}
            rows += [
                (labels(POWER, **more), [(500.0, NOW_MS)]),
                (labels(ENERGY, **more), [(9e6, NOW_MS)]),
                (labels(SLICE, **more), [(used, NOW_MS)]),
                (labels(MEMORY, **more), [(100.0, NOW_MS)]),
            ]
        assert write(v1_request(*rows)).status_code == 204
        one = DeviceSample.objects.get()
        assert (one.power_w, one.energy_j, one.memory_used_bytes, one.job) == (500.0, 9000.0, None, None)
        assert {(u.job.key, u.mig_slice, u.utilization, u.mig_fraction) for u in DeviceUse.objects.all()} == {
            ("ml/a", "3g.40gb-1", 0.9, 3 / 7), ("ml/b", "4g.40gb-2", 0.1, 4 / 7),
        }  # fmt: skip

    def test_in_requests_of_their_own_its_rows_repeat_each_other(self, write: Write) -> None:
        for identity in ("1", "2"):
            write(v1_request((labels(POWER, GPU_I_ID=identity, GPU_I_PROFILE="3g.40gb", pod="p"), [(500.0, NOW_MS)])))
        assert DeviceSample.objects.count() == 1
        assert not SampleConflict.objects.exists()

    def test_that_pods_take_turns_on_is_told_as_used_by_each(self, write: Write) -> None:
        write(v1_request(*((labels(POWER, pod=pod), [(300.0, NOW_MS)]) for pod in ("a", "b"))))
        assert DeviceSample.objects.get().job is None
        assert {use.job.key for use in DeviceUse.objects.all()} == {"a", "b"}


class TestSeriesInRequestsOfTheirOwn:
    """What Prometheus sends in several shards meets in one reading, in whichever order it comes."""

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_complete_one_reading(self, write: Write, order: tuple[int, int]) -> None:
        series = [(labels(POWER, pod="p"), [(300.0, NOW_MS)]), (labels(ENERGY, pod="p"), [(9e6, NOW_MS)])]
        for k in order:
            write(v1_request(series[k]))
        one = DeviceSample.objects.get()
        assert (one.power_w, one.energy_j) == (300.0, 9000.0)


class TestWhoMayWrite:
    def test_a_token_comes_as_bearer_or_as_the_password(self, write: Write, site_secret: str) -> None:
        request = v1_request((labels(POWER), [(300.0, NOW_MS)]))
        basic = base64.b64encode(f"prometheus:{site_secret}".encode()).decode()
        assert write(request, Authorization=f"Basic {basic}").status_code == 204
        for wrong in ("", "Basic !!!", "Basic " + base64.b64encode(b"a:b").decode(), "Bearer gai_x"):
            assert write(request, Authorization=wrong).status_code == 401


class TestRefusals:
    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("application/x-protobuf", 204), ("application/x-protobuf; proto=prometheus.WriteRequest", 204),
            ("application/json", 415), ("application/x-protobuf;proto=io.prometheus.write.v3.Request", 415),
        ],
    )  # fmt: skip
    def test_of_content_that_is_not_spoken_here(self, write: Write, kind: str, status: int) -> None:
        assert write(v1_request((labels(POWER), [(300.0, NOW_MS)])), kind=kind).status_code == status

    def test_of_another_encoding_or_method(self, write: Write, site_secret: str) -> None:
        reply = write(v1_request(), Content_Encoding="gzip")
        assert (reply.status_code, reply.json()["code"]) == (415, "unknown_encoding")
        got = Client().get("/api/v1/prom/write", headers={"Authorization": f"Bearer {site_secret}"})
        assert (got.status_code, got.headers["Allow"]) == (405, "POST")

    def test_of_a_block_that_unpacks_to_too_much_before_it_is_unpacked(self, write: Write) -> None:
        announced = bytes([0xFF, 0xFF, 0xFF, 0xFF, 0x0F])  # 4 GiB less a byte, in five bytes
        reply = write(announced + b"\x00a")
        assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
        assert write(bytes(cramjam.snappy.compress_raw(bytes(40 << 20)))).status_code == 413

    def test_of_too_many_samples(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prom_write, "MOST_SAMPLES", 3)
        reply = write(v1_request((labels(POWER), [(1.0, NOW_MS - k) for k in range(4)])))
        assert (reply.status_code, reply.json()["code"]) == (413, "too_many")

    def test_of_nothing_that_may_go_well_next_time(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        def down(*_: object, **__: object) -> None:
            raise OperationalError("the database is down")

        monkeypatch.setattr(prom_write, "store", down)
        reply = write(v1_request((labels(POWER), [(300.0, NOW_MS)])))
        assert (reply.status_code, int(reply.headers["Retry-After"]) > 0) == (503, True)

    def test_an_empty_request_is_none(self, write: Write) -> None:
        assert write(b"").status_code == 204
        assert write(v2_request(), kind=V2).status_code == 204


class TestHostileBodies:
    def test_are_never_our_fault(self, write: Write) -> None:
        dice = random.Random(7)
        good = {
            V1: v1_request((labels(POWER, pod="p"), [(300.0, NOW_MS)]), (labels(SLICE, GPU_I_ID="1"), [(0.5, NOW_MS)])),
            V2: v2_request((labels(ENERGY, pod="p"), [(9e6, NOW_MS)]), ({"__name__": "up"}, [(1.0, NOW_MS)])),
        }
        for turn in range(400):
            kind = (V1, V2)[turn % 2]
            body = bytearray(good[kind].SerializeToString())
            for _ in range(dice.randrange(1, 12)):
                at = dice.randrange(len(body))
                body[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
                body = body or bytearray(b"\n")
            raw = bytes(cramjam.snappy.compress_raw(bytes(body)))
            if turn % 5 == 0:
                raw = raw[: dice.randrange(1, len(raw))]
            reply = write(raw, kind=kind)
            assert reply.status_code in (204, 400, 413), (reply.status_code, reply.content, bytes(body))
