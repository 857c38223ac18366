"""Series into readings: which machine, which device, which unit; and what docs/prometheus.md says of it."""

import re
import shutil
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.agent import wire
from accounting.ingest.formats.prometheus import STALE, Translated, batches, is_stale, translate
from accounting.ingest.formats.prometheus_metrics import METRICS, PASSED_OVER, host_of, slice_fraction
from accounting.ingest.formats.prometheus_wire import WireError, read_v1, read_v2
from accounting.ingest.naming import Rule
from tests.remote_write import OneSeries, v1_request, v2_request

DOC = (Path(__file__).resolve().parents[4] / "docs/prometheus.md").read_text()
LATEST = datetime(2026, 11, 27, 15, tzinfo=UTC)
AT = 1_795_000_000_000  # ms: 2026-11-18
ENERGY, POWER = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_POWER_USAGE"


def understood(*series: OneSeries, rules: tuple[Rule, ...] = ()) -> Translated:
    found = read_v1(v1_request(*series).SerializeToString())
    return translate(found, rules=rules, latest=LATEST, of_team=False)


def one(name: str, value: float = 1.0, **labels: str) -> OneSeries:
    return {"__name__": name, **labels}, [(value, AT)]


class TestTheHost:
    @pytest.mark.parametrize(
        ("labels", "host"),
        [
            ({"instance": "gpu-7.example.org:9400"}, "gpu-7.example.org"),
            ({"instance": "[fe80::1]:9400"}, "fe80::1"),
            ({"instance": "gpu-7"}, "gpu-7"),
            ({"instance": "10.0.0.7:9400", "Hostname": "gpu-7"}, "gpu-7"),
            ({"instance": "10.0.0.7:9400", "hostname": "gpu-7", "greenai_host": "GPU-7.local"}, "GPU-7.local"),
            ({"node_name": "n", "instance": "x:1"}, "n"),
            ({}, ""),
        ],
    )  # fmt: skip
    def test_is_the_label_that_names_it_best(self, labels: dict[str, str], host: str) -> None:
        assert host_of(labels) == host


class TestSlices:
    @pytest.mark.parametrize(
        ("profile", "model", "fraction"),
        [
            ("3g.40gb", "NVIDIA H100", 3 / 7), ("7g.80gb", "", 1.0), ("1g.10gb+me", "", 1 / 7),
            ("1c.3g.40gb", "", 1 / 7), ("2g.12gb", "NVIDIA A30", 2 / 4), ("9g.1gb", "", None), ("", "", None),
            ("huge", "", None), ("0g.1gb", "", None),
        ],
    )  # fmt: skip
    def test_have_the_part_of_the_board_that_their_profile_says(
        self, profile: str, model: str, fraction: float | None
    ) -> None:
        assert slice_fraction(profile, model) == fraction


class TestDevices:
    def test_have_the_keys_of_the_agents_sensors(self) -> None:
        at = "/host/sys/class/powercap/intel-rapl/intel-rapl:1"
        found = understood(
            one(POWER, UUID="GPU-5e7c", hostname="h", modelName="NVIDIA L4"),
            one("kepler_node_gpu_joules_total", gpu_uuid="GPU-5e7d", node_name="h"),
            one("kepler_node_cpu_joules_total", zone="package", path=at, node_name="h"),
            one("kepler_node_cpu_joules_total", zone="dram", path=at + ":0", node_name="h"),
            one("kepler_node_cpu_joules_total", zone="package", path="aggregated", node_name="k"),
            one("node_rapl_package_joules_total", index="0", instance="h:9100"),
            one("node_rapl_dram_joules_total", index="0", instance="h:9100"),
            one("ipmi_dcmi_power_consumption_watts", instance="h"),
            one("kepler_platform_watts", node_name="p", source_type="PowerSupply", source_id="PS1", chassis_id="1U"),
            one("kepler_platform_watts", node_name="p", source_type="PowerControl", source_id="PC2"),
        )
        assert {(host, key): (info.kind, info.total) for (host, key), info in found.devices.items()} == {
            ("h", "gpu-GPU-5e7c"): ("gpu", False), ("h", "gpu-GPU-5e7d"): ("gpu", False),
            ("h", "cpu-1"): ("cpu", False),
            ("h", "memory-1"): ("memory", False), ("k", "cpu"): ("cpu", True), ("h", "cpu-0"): ("cpu", False),
            ("h", "memory-0"): ("memory", False), ("h", "node"): ("node", False),
            ("p", "node-1U-PS1"): ("node", False),
        }  # fmt: skip
        assert sum(found.unread.values()) == 1  # the second power control
        assert {key[0] for key in found.readings} == {"dcgm", "kepler", "node_exporter", "meter"}

    @pytest.mark.parametrize("zone", ["core", "uncore", "psys", ""])
    def test_zones_that_overlap_are_passed_over(self, zone: str) -> None:
        found = understood(one("kepler_node_cpu_joules_total", zone=zone, node_name="h"))
        assert (found.readings, sum(found.unread.values())) == ({}, 1)

    def test_a_model_that_cannot_be_read_costs_no_reading(self) -> None:
        (batch,) = batches(understood(one(POWER, UUID="u", hostname="h", modelName="\x00" * 300)))
        assert (batch.devices[0].model, len(batch.device_samples)) == ("", 1)


class TestWhoseItIs:
    def test_rules_go_before_the_batch_job_and_that_before_the_pod(self) -> None:
        rule = Rule((("namespace", "ml-(?P<who>.+)"),), "{who}-{pod}", "vision")
        gpu = {"hostname": "h", "pod": "p", "hpc_job": "4711"}
        found = understood(
            one(POWER, UUID="a", namespace="ml-x", **gpu), one(POWER, UUID="b", namespace="other", **gpu), rules=(rule,)
        )
        assert [reading["job"] for reading in found.readings.values()] == ["x-p", "4711"]
        assert found.jobs["x-p"].team == "vision"

    def test_a_team_that_is_no_slug_is_noted_and_the_reading_kept(self) -> None:
        found = understood(one(POWER, UUID="a", hostname="h", greenai_job="j", greenai_team="a b"))
        assert (len(found.readings), found.jobs) == (1, {})
        assert [reason for _, reason in found.unread] == ["not a slug"]


class TestReadings:
    def test_without_power_or_energy_are_passed_over(self) -> None:
        found = understood(one("DCGM_FI_DEV_GPU_UTIL", 50.0, UUID="a", hostname="h"))
        assert found.readings == {}
        assert [reason for _, reason in found.unread] == ["came without the power or energy of its moment"]

    def test_go_in_messages_of_at_most_so_many(self) -> None:
        found = understood(*(one(ENERGY, UUID=f"u{k}", hostname="h") for k in range(7)))
        sizes = [(len(b.devices), len(b.device_samples)) for b in batches(found, most=3)]
        assert sizes == [(3, 3), (3, 3), (1, 1)]

    @given(value=st.floats(), ms=st.integers(-(2**63), 2**63 - 1))
    def test_whatever_a_sample_says_it_is_taken_passed_over_or_refused(self, value: float, ms: int) -> None:
        for name in METRICS:
            labels = {"UUID": "u", "gpu_uuid": "u", "zone": "package", "hostname": "h", "pod": "p",
                      "__name__": name}  # fmt: skip
            if name == "DCGM_FI_PROF_GR_ENGINE_ACTIVE":
                labels |= {"GPU_I_ID": "1", "GPU_I_PROFILE": "1g.10gb"}
            found = understood((labels, [(value, ms)]))
            list(batches(found))  # what is kept keeps the rules
            assert found.written + found.wrong == 1

    def test_a_stale_marker_is_told_from_another_nan(self) -> None:
        marker, nan = (struct.unpack("<d", struct.pack("<Q", bits))[0] for bits in (STALE, 0x7FF8000000000001))
        assert (is_stale(marker), is_stale(nan)) == (True, False)


class TestTheWire:
    def test_both_versions_give_the_same_series(self) -> None:
        series = ({"__name__": "a", "x": "é"}, [(1.5, AT), (-0.0, -AT)]), ({"__name__": "b"}, [])
        said = [
            [
                (s.labels()[0], [(p.value, p.timestamp) for p in s.samples])
                for s in read(make(*series).SerializeToString())
            ]
            for read, make in ((read_v1, v1_request), (read_v2, v2_request))
        ]
        assert said[0] == said[1] == [(labels, points) for labels, points in series]

    @pytest.mark.parametrize(
        ("labels", "fault"),
        [
            ({"a": "b"}, "without __name__"), ({"__name__": ""}, "without __name__"),
            ({"__name__": "n"} | {f"l{k}": "" for k in range(100)}, "100 at most"),
        ],
    )  # fmt: skip
    def test_labels_that_name_nothing_or_too_much_are_a_fault_of_their_series(
        self, labels: dict[str, str], fault: str
    ) -> None:
        (found,) = read_v1(v1_request((labels, [])).SerializeToString())
        assert fault in found.labels()[1]

    def test_a_label_that_stands_twice_is_a_fault(self) -> None:
        request = v1_request(one("n", a="1"))
        request.timeseries[0].labels.add(name="a", value="2")
        (found,) = read_v1(request.SerializeToString())
        assert "twice" in found.labels()[1]

    @given(body=st.binary(max_size=200))
    def test_any_bytes_are_series_or_refused(self, body: bytes) -> None:
        for read in (read_v1, read_v2):
            try:
                assert all(isinstance(found.labels()[1], str) for found in read(body))
            except WireError:
                continue


class TestTheDocument:
    def test_shows_every_metric_that_is_understood(self) -> None:
        rows = [
            f"| `{m.name}` | {m.exporter} | `{m.source}` | `{m.reading}`, from {m.unit} | {m.devices} |"
            for m in METRICS.values()
        ]
        assert re.findall(r"^\| `\w+` \| [A-Za-z_ ]+ \| `\w+` \| .*$", DOC, re.MULTILINE) == rows

    def test_shows_every_reason_to_pass_over(self) -> None:
        rows = [f"| `{begin}` | {reason} |" for begin, reason in PASSED_OVER]
        assert [line for line in DOC.splitlines() if re.match(r"\| `\w+_` \| ", line)] == rows

    def test_keeps_in_its_configuration_every_metric_and_no_other(self) -> None:
        expression = re.search(r'regex: "(DCGM_FI_DEV.*)"', DOC)
        assert expression is not None
        kept = re.compile(expression[1])
        assert all(kept.fullmatch(name) for name in METRICS)
        for other in ("up", "node_rapl_core_joules_total", "kepler_node_cpu_idle_watts", "DCGM_FI_DEV_SM_CLOCK"):
            assert not kept.fullmatch(other)

    @pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here: apt-get install prometheus")
    def test_has_configurations_that_promtool_accepts(self, tmp_path: Path) -> None:
        token = tmp_path / "greenai.token"
        token.write_text("gai_x")
        blocks = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
        assert len(blocks) == 2
        for block in blocks:  # Debian's build knows no Kubernetes; the rest of that job it does
            text = block.replace("/etc/prometheus/greenai.token", str(token))
            text = text.replace("kubernetes_sd_configs: [{role: pod}]", 'static_configs: [{targets: ["a:1"]}]')
            config = tmp_path / "prometheus.yml"
            config.write_text(text)
            command = ["promtool", "check", "config", str(config)]
            checked = subprocess.run(command, capture_output=True, text=True, check=False)
            assert checked.returncode == 0, checked.stdout + checked.stderr

    def test_names_the_order_of_sources(self) -> None:
        ranks = wire.Source.__args__[:5]  # type: ignore[attr-defined]
        assert ", ".join(f"`{source}`" for source in ranks) in DOC
