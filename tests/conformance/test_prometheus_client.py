"""Debian's own Prometheus, unmodified, writes to the running product: what it keeps and what we keep is the same.

It scrapes replayed exporters once a second, while our web server is killed and comes back; then the targets go away,
so that every series ends with a stale marker. Its raw samples are asked back over its query API.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conformance.exporters import BLIND, GPUS, RESET, SLICES, SPLIT, Exporters, serving, uuid, watts
from tests.servers import find_prometheus, free_port
from tests.stack import Stack

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(find_prometheus() is None, reason="no prometheus here: apt-get install prometheus"),
]
ENERGY, POWER = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_POWER_USAGE"
HOSTS = ("gpu-node", "kepler-node", "rapl-node", "bmc-node")
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - {{job_name: dcgm, honor_labels: true, metrics_path: /dcgm, static_configs: [{{targets: ["127.0.0.1:{pages}"]}}]}}
  - {{job_name: kepler, metrics_path: /kepler, static_configs: [{{targets: ["127.0.0.1:{pages}"]}}]}}
  - {{job_name: node, metrics_path: /node,
      static_configs: [{{targets: ["127.0.0.1:{pages}"], labels: {{hostname: rapl-node}}}}]}}
  - {{job_name: ipmi, metrics_path: /ipmi,
      static_configs: [{{targets: ["127.0.0.1:{pages}"], labels: {{hostname: bmc-node}}}}]}}
remote_write:
  - url: {url}/api/v1/prom/write
    authorization: {{credentials: {token}}}
    queue_config: {{min_shards: {shards}, max_shards: {shards}, batch_send_deadline: 300ms, max_backoff: 500ms}}
"""
SHARDS = 4  # so that the series of one device come in requests of their own
STORED = """
import json, time
from accounting.models import DeviceSample, DeviceUse, DirtyHour, LedgerHour, SampleConflict, UnreadMetric
hosts = {hosts!r}
for _ in range(60):
    if DeviceSample.objects.filter(device__host__name__in=hosts).count() >= {least}:
        break
    time.sleep(0.25)
time.sleep(1.0)
for _ in range(120):
    if not DirtyHour.objects.filter(device__host__name__in=hosts).exists():
        break
    time.sleep(0.25)
samples = DeviceSample.objects.filter(device__host__name__in=hosts).order_by("device", "measured_at_us")
rows = LedgerHour.objects.filter(device__host__name__in=hosts)
uses = DeviceUse.objects.filter(device__host__name__in=hosts)
print(json.dumps(dict(
    samples=list(samples.values_list("device__host__name", "device__key", "measured_at_us", "energy_j", "power_w",
                                     "job__key", "source")),
    ledger=list(rows.values_list("device__host__name", "device__key", "job__key", "it_energy_kwh", "missing_s")),
    uses=list(uses.values_list("job__key", "mig_slice", "utilization", "mig_fraction").distinct()),
    conflicts=SampleConflict.objects.filter(device__host__name__in=hosts).count(),
    unread=list(UnreadMetric.objects.filter(protocol="prometheus").values_list("name", "reason")),
)))
"""


@contextmanager
def prometheus(folder: Path, config: str) -> Iterator[str]:
    """Prometheus on a port of its own; its address. It leaves with everything sent."""
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    arguments = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                 f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(find_prometheus()), *arguments], stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()


def ask(address: str, query: str) -> list[dict[str, Any]]:
    asked = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"{address}/api/v1/query?{asked}", timeout=10) as reply:
        result: list[dict[str, Any]] = json.load(reply)["data"]["result"]
    return result


def own_metric(address: str, what: str) -> float:
    """How many samples Prometheus says that it sent again, or gave up."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as reply:
        lines = [line for line in reply.read().decode().splitlines() if f"storage_samples_{what}_total{{" in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def until(true: Callable[[], bool], *, most_s: float = 20.0) -> None:
    deadline = time.monotonic() + most_s
    while time.monotonic() < deadline:
        try:
            if true():
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise TimeoutError("it did not come to that")


def kill_the_web_server(stack: Stack) -> None:
    """kill -9; the supervisor starts it again."""
    children = psutil.Process(stack.process.pid).children()
    (web,) = [child for child in children if "greenai.wsgi" in " ".join(child.cmdline())]
    os.killpg(web.pid, signal.SIGKILL)


class Trial:
    """What Prometheus has and what we have, after the same minute."""

    def __init__(self, theirs: dict[str, list[dict[str, Any]]], ours: dict[str, Any]) -> None:
        self.theirs, self.ours = theirs, ours

    def raw(self, metric: str, **labels: str) -> list[tuple[int, float]]:
        """Prometheus's own samples of one series, as (microseconds, value)."""
        (one,) = [s for s in self.theirs[metric] if labels.items() <= s["metric"].items()]
        return [(round(float(at) * 1000) * 1000, float(value)) for at, value in one["values"]]

    def stored(self, host: str, device: str) -> list[list[Any]]:
        return [row[2:] for row in self.ours["samples"] if row[:2] == [host, device]]

    def ledger_j(self, host: str, device: str) -> float:
        return math.fsum(row[3] * 3.6e6 for row in self.ours["ledger"] if row[:2] == [host, device])


@pytest.fixture(scope="module")
def trial(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    folder, exporters = tmp_path_factory.mktemp("prometheus"), Exporters()
    with serving(exporters) as pages:
        config = CONFIG.format(pages=pages, url=stack.url, token=stack.token, shards=SHARDS)
        with prometheus(folder, config) as address:
            until(lambda: len(ask(address, ENERGY)) > GPUS)
            time.sleep(3)
            kill_the_web_server(stack)
            time.sleep(3)
            exporters.reset_at_s = exporters.elapsed_s()
            time.sleep(5)
            exporters.up = False
            time.sleep(2)
            names = (ENERGY, POWER, "kepler_node_cpu_joules_total", "node_rapl_package_joules_total",
                     "ipmi_dcmi_power_consumption_watts")  # fmt: skip
            theirs = {name: ask(address, f"{name}[5m]") for name in names}
            theirs["increase"] = ask(address, f"increase({ENERGY}[5m])")
            sent = ("retried", "failed", "dropped")
            until(lambda: own_metric(address, "retried") > 0)
            theirs["sent"] = [{name: own_metric(address, name) for name in sent}]
            least = sum(len(one["values"]) for one in theirs[ENERGY]) - len(theirs[ENERGY][0]["values"])
            told = stack.manage("shell", "--no-imports", "-c", STORED.format(hosts=HOSTS, least=least))
    return Trial(theirs, json.loads(told.splitlines()[-1]))


class TestPrometheus:
    def test_and_we_hold_the_same_readings_through_a_killed_server(self, trial: Trial) -> None:
        for gpu in range(GPUS):
            more = {"GPU_I_ID": "1"} if gpu == SPLIT else {}
            theirs = [(at, value / 1000) for at, value in trial.raw(ENERGY, UUID=uuid(gpu), **more)]
            ours = [(at, energy_j) for at, energy_j, *_ in trial.stored("gpu-node", f"gpu-{uuid(gpu)}")]
            assert ours == theirs, gpu  # none lost, none twice, none changed, no stale marker among them
            assert len(theirs) >= 8
            powers = {power_w for _, _, power_w, *_ in trial.stored("gpu-node", f"gpu-{uuid(gpu)}")}
            assert powers == {None if gpu == BLIND else watts(gpu)}
        assert trial.ours["conflicts"] == 0
        (sent,) = trial.theirs["sent"]
        assert sent["retried"] > 0  # the killed server was missed
        assert sent["failed"] == 0

    def test_and_the_ledger_agree_on_every_counter(self, trial: Trial) -> None:
        for gpu in set(range(GPUS)) - {RESET}:
            raw = trial.raw(ENERGY, UUID=uuid(gpu), **({"GPU_I_ID": "1"} if gpu == SPLIT else {}))
            rose_j = (raw[-1][1] - raw[0][1]) / 1000
            assert trial.ledger_j("gpu-node", f"gpu-{uuid(gpu)}") == pytest.approx(rose_j, rel=1e-9)

    def test_increase_is_ours_stretched_by_its_own_extrapolation(self, trial: Trial) -> None:
        """increase() stretches what it saw by up to half an interval at either end of the series; the ledger does not.

        With n readings a second apart that is (n - 1 + 1) / (n - 1) at most: 1/12 more of 13 readings.
        """
        for gpu in set(range(GPUS)) - {RESET, SPLIT}:
            (theirs,) = [one for one in trial.theirs["increase"] if one["metric"]["UUID"] == uuid(gpu)]
            readings = len(trial.raw(ENERGY, UUID=uuid(gpu)))
            ratio = float(theirs["value"][1]) / 1000 / trial.ledger_j("gpu-node", f"gpu-{uuid(gpu)}")
            assert 1.0 <= ratio <= 1.0 + 1.3 / (readings - 1)

    def test_a_counter_that_begins_again_goes_on_by_power_across_the_break(self, trial: Trial) -> None:
        raw = trial.raw(ENERGY, UUID=uuid(RESET))
        assert any(after[1] < before[1] for before, after in pairwise(raw))
        expected_j = math.fsum(
            (after[1] - before[1]) / 1000 if after[1] >= before[1] else watts(RESET) * (after[0] - before[0]) / 1e6
            for before, after in pairwise(raw)
        )
        assert trial.ledger_j("gpu-node", f"gpu-{uuid(RESET)}") == pytest.approx(expected_j, rel=1e-9)

    def test_pods_are_jobs_and_slices_share_what_the_board_drew(self, trial: Trial) -> None:
        jobs = {row[1]: row[2] for row in trial.ours["ledger"] if row[0] == "gpu-node" and row[2]}
        assert jobs[f"gpu-{uuid(0)}"] == "ml/train-0"
        split = {row[2]: row[3] for row in trial.ours["ledger"] if row[1] == f"gpu-{uuid(SPLIT)}" and row[2]}
        assert set(split) == {f"ml/{pod}" for _, _, pod, _ in SLICES}
        # shares above idle: 0.75 x 3/7 and 0.25 x 4/7, so 9 to 4
        assert split["ml/serve-a"] / split["ml/serve-b"] == pytest.approx(9 / 4)
        assert sorted(map(tuple, trial.ours["uses"])) == [
            ("ml/serve-a", "3g.40gb-1", 0.75, 3 / 7), ("ml/serve-b", "4g.40gb-2", 0.25, 4 / 7),
        ]  # fmt: skip

    def test_zones_that_overlap_are_not_added(self, trial: Trial) -> None:
        devices = {row[1] for row in trial.ours["samples"] if row[0] == "kepler-node"}
        assert devices == {"cpu-0", "cpu-1", "memory-0"}
        for device, zone, path in (("cpu-0", "package", "intel-rapl:0"), ("memory-0", "dram", "intel-rapl:0:1")):
            raw = trial.raw("kepler_node_cpu_joules_total", zone=zone,
                            path=f"/host/sys/class/powercap/intel-rapl/{path}")  # fmt: skip
            assert trial.ledger_j("kepler-node", device) == pytest.approx(raw[-1][1] - raw[0][1], rel=1e-9)

    def test_the_other_exporters_count_as_what_they_are(self, trial: Trial) -> None:
        rapl = trial.raw("node_rapl_package_joules_total")
        assert trial.ledger_j("rapl-node", "cpu-0") == pytest.approx(rapl[-1][1] - rapl[0][1], rel=1e-9)
        bmc = trial.raw("ipmi_dcmi_power_consumption_watts")
        assert trial.ledger_j("bmc-node", "node") == pytest.approx(2500 * (bmc[-1][0] - bmc[0][0]) / 1e6, rel=1e-9)

    def test_what_is_not_kept_is_named(self, trial: Trial) -> None:
        unread = dict(map(tuple, trial.ours["unread"]))
        assert {"up", "DCGM_FI_DEV_SM_CLOCK", "node_load1", "node_rapl_core_joules_total", POWER} <= unread.keys()
        assert unread[POWER] == "DCGM's word for not known"
        assert {"kepler_pod_cpu_joules_total", "kepler_node_cpu_joules_total"} <= unread.keys()


def test_promtool_is_beside_it() -> None:
    assert shutil.which("promtool")
