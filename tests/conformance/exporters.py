"""Exporters for Prometheus to scrape: pages of the DCGM exporter, Kepler, node_exporter and the IPMI exporter.

Counters rise with the time since the start, so every scrape sees others; what each page said is remembered.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLANK = 9223372036854775794
GPUS, SPLIT, BLIND, RESET = 8, 7, 6, 5  # how many; which is split by MIG, tells no power, and begins to count again
SLICES = (("1", "3g.40gb", "serve-a", 0.75), ("2", "4g.40gb", "serve-b", 0.25))


class Exporters:
    """What the four pages say at a moment, and what they have said."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.up = True
        self.reset_at_s: float | None = None

    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    def page(self, path: str) -> str:
        seconds = self.elapsed_s()
        pages = {"/dcgm": self.dcgm, "/kepler": kepler, "/node": node_exporter, "/ipmi": ipmi}
        return pages[path](seconds)

    def dcgm(self, seconds: float) -> str:
        """Three metrics that are kept of each GPU, one that is not."""
        lines = []
        for metric, kind in (
            ("DCGM_FI_DEV_SM_CLOCK", "gauge"), ("DCGM_FI_DEV_GPU_UTIL", "gauge"), ("DCGM_FI_DEV_POWER_USAGE", "gauge"),
            ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter"), ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge"),
        ):  # fmt: skip
            lines += [f"# HELP {metric} as the exporter says", f"# TYPE {metric} {kind}"]
            for gpu in range(GPUS):
                lines += self._rows(metric, gpu, seconds)
        return "\n".join(lines) + "\n"

    def _rows(self, metric: str, gpu: int, seconds: float) -> list[str]:
        pod = f'pod="train-{gpu}",namespace="ml",container="main"' if gpu < BLIND else ""
        labels = (
            f'gpu="{gpu}",UUID="{uuid(gpu)}",pci_bus_id="00000000:{gpu:02d}:00.0",device="nvidia{gpu}",'
            f'modelName="NVIDIA H100 80GB HBM3",Hostname="gpu-node"'
        )
        if gpu == SPLIT:
            if metric == "DCGM_FI_DEV_GPU_UTIL":
                return []
            return [
                f'{metric}{{{labels},GPU_I_PROFILE="{profile}",GPU_I_ID="{one}",pod="{pod_}",namespace="ml"}} '
                + repr(used if metric == "DCGM_FI_PROF_GR_ENGINE_ACTIVE" else self._value(metric, gpu, seconds))
                for one, profile, pod_, used in SLICES
            ]
        if metric == "DCGM_FI_PROF_GR_ENGINE_ACTIVE":
            return []
        return [f"{metric}{{{labels}{',' if pod else ''}{pod}}} {self._value(metric, gpu, seconds)!r}"]

    def _value(self, metric: str, gpu: int, seconds: float) -> float | int:
        if metric == "DCGM_FI_DEV_POWER_USAGE":
            return BLANK if gpu == BLIND else watts(gpu)
        if metric == "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION":
            if gpu == RESET and self.reset_at_s is not None:
                return round((seconds - self.reset_at_s) * watts(gpu) * 1000)
            return 10_000_000 + round(seconds * watts(gpu) * 1000)
        return 1980 if metric == "DCGM_FI_DEV_SM_CLOCK" else 90


def uuid(gpu: int) -> str:
    return f"GPU-{gpu:08d}-aaaa-bbbb-cccc-0123456789ab"


def watts(gpu: int) -> float:
    return 300.0 + 10.0 * gpu


def kepler(seconds: float) -> str:
    lines = ["# TYPE kepler_node_cpu_joules_total counter"]
    for zone, path, draw in (
        ("package", "intel-rapl:0", 100.0), ("package", "intel-rapl:1", 120.0), ("core", "intel-rapl:0:0", 80.0),
        ("dram", "intel-rapl:0:1", 20.0), ("psys", "intel-rapl:2", 400.0),
    ):  # fmt: skip
        labels = f'zone="{zone}",path="/host/sys/class/powercap/intel-rapl/{path}",node_name="kepler-node"'
        lines.append(f"kepler_node_cpu_joules_total{{{labels}}} {1000 + seconds * draw!r}")
    lines.append("# TYPE kepler_pod_cpu_joules_total counter")
    lines.append(f'kepler_pod_cpu_joules_total{{pod_name="a",zone="package",node_name="kepler-node"}} {seconds!r}')
    return "\n".join(lines) + "\n"


def node_exporter(seconds: float) -> str:
    return (
        "# TYPE node_rapl_package_joules_total counter\n"
        f'node_rapl_package_joules_total{{index="0",path="/sys/class/powercap/intel-rapl:0"}} {5e5 + seconds * 90!r}\n'
        "# TYPE node_rapl_core_joules_total counter\n"
        f'node_rapl_core_joules_total{{index="0",path="/sys/class/powercap/intel-rapl:0:0"}} {seconds * 50!r}\n'
        "# TYPE node_load1 gauge\nnode_load1 3.5\n"
    )


def ipmi(seconds: float) -> str:
    return "# TYPE ipmi_dcmi_power_consumption_watts gauge\nipmi_dcmi_power_consumption_watts 2500\n"


@contextmanager
def serving(exporters: Exporters) -> Iterator[int]:
    """The four pages over HTTP; the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not exporters.up:
                self.send_error(503)
                return
            body = exporters.page(self.path).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
