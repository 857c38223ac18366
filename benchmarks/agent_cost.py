"""What the agent costs the host it measures: CPU share of one core and memory at 1 Hz, posting included.

Runs the agent's own loop and courier, each in a process of its own, posting to a server on this machine: 8 GPUs, 8 RAPL
packages, codecarbon's CPU and memory model, and the built-in model. Simulated: the RAPL counters (a sysfs tree made
here, whose values rise) and NVIDIA's binding, which a stand-in answers at once with 8 GPUs and 2 processes on each; so
the driver's own time is not in the figure of the GPUs. Everything else is the product: reading, deciding whose job it
is, the queue on disk, packing, posting.

CPU time is the kernel's for that process, start-up left out. 7 rounds of 20 s, each with new processes, median and
range; BENCH_SHORT=1: 3 rounds of 8 s.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
SHORT = os.environ.get("BENCH_SHORT") == "1"
ROUNDS, SECONDS = (3, 8.0) if SHORT else (7, 20.0)
SETTLE_S = 3.0
DEVICES = 8
SENSORS = {
    f"{DEVICES} GPUs": "nvml",
    f"{DEVICES} RAPL packages": "rapl",
    "codecarbon": "codecarbon",
    "procstat": "procstat",
}
CLAIMED = (f"{DEVICES} GPUs", f"{DEVICES} RAPL packages")
SHARE_LIMIT, SHARE_AIM, RSS_LIMIT_MIB, RSS_AIM_MIB = 0.01, 0.003, 60.0, 35.0
AGENT = ROOT / "benchmarks/side_by_side/measured_agent.py"


class Sink(BaseHTTPRequestHandler):
    """Takes every batch and counts its samples."""

    taken = 0

    def do_POST(self) -> None:
        batch = json.loads(gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))))
        Sink.taken += len(batch["device_samples"])
        counts = {"accepted": len(batch["device_samples"]), "duplicates": 0, "conflicts": 0, "rejected": 0}
        reply = json.dumps(counts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args: object) -> None:
        """Quiet."""


def make_counters(root: Path) -> list[Path]:
    """A powercap tree of `DEVICES` packages. Returns the counter files."""
    counters = []
    for n in range(DEVICES):
        zone = root / f"intel-rapl:{n}"
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"package-{n}\n")
        (zone / "max_energy_range_uj").write_text("262143328850\n")
        (zone / "energy_uj").write_text(f"{n * 1_000_000_000}\n")
        counters.append(zone / "energy_uj")
    return counters


def keep_burning(counters: list[Path], stop: threading.Event) -> None:
    """About 150 W each."""
    while not stop.wait(0.5):
        for counter in counters:
            value = int(counter.read_text()) + 75_000_000
            unfinished = counter.with_suffix(".new")
            unfinished.write_text(f"{value}\n")
            unfinished.replace(counter)


def cpu_s(pid: int) -> float:
    """CPU time of all its threads, to the nanosecond: the clock ticks of /proc/<pid>/stat are too coarse here."""
    threads = (Path("/proc") / str(pid) / "task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def rss_mib(pid: int) -> float:
    status = (Path("/proc") / str(pid) / "status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@dataclass
class Cost:
    """One sensor's rounds."""

    shares: list[float] = field(default_factory=list)  # CPU seconds a second
    rss_mib: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)  # CPU seconds until it had settled


@contextmanager
def running(url: str, sensor: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    words = [sys.executable, str(AGENT), url, sensor, str(folder), str(DEVICES)]
    with (folder / "agent.log").open("w") as log, subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log) as agent:
        try:
            yield agent
            if agent.poll() is not None:
                raise RuntimeError(f"the agent stopped: {(folder / 'agent.log').read_text()}")
        finally:
            agent.kill()


def one_round(url: str, folder: Path, costs: dict[str, Cost]) -> None:
    """Every sensor's agent at the same time: together they take a hundredth of the machine."""
    with ExitStack() as open_agents:
        agents = {}
        for label, sensor in SENSORS.items():
            own = folder / sensor
            own.mkdir()
            (own / "powercap").symlink_to(folder / "powercap")
            agents[label] = open_agents.enter_context(running(url, sensor, own))
        time.sleep(SETTLE_S)
        before_s, began = {label: cpu_s(agent.pid) for label, agent in agents.items()}, time.monotonic()
        time.sleep(SECONDS)
        for label, agent in agents.items():
            costs[label].shares.append((cpu_s(agent.pid) - before_s[label]) / (time.monotonic() - began))
            costs[label].rss_mib.append(rss_mib(agent.pid))
            costs[label].start_s.append(before_s[label])


def spread(values: list[float], form: str) -> str:
    return f"{median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    costs = {label: Cost() for label in SENSORS}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            stop = threading.Event()
            burner = threading.Thread(target=keep_burning, args=(make_counters(Path(name) / "powercap"), stop))
            burner.start()
            try:
                one_round(url, Path(name), costs)
            finally:
                stop.set()
                burner.join()
    server.shutdown()
    print(f"agent at 1 Hz, posting included: median [range] of {ROUNDS} rounds of {SECONDS:.0f} s")
    for label, cost in costs.items():
        print(
            f"  {label:16} {spread(cost.shares, '.2%')} of one core, {spread(cost.rss_mib, '.1f')} MiB RSS, "
            f"{median(cost.start_s):.2f} s CPU to start"
        )
    share, rss = (max(median(getattr(costs[label], of)) for label in CLAIMED) for of in ("shares", "rss_mib"))
    print(f"  {Sink.taken} samples delivered. Claim: {DEVICES} devices, the worse of GPUs and RAPL")
    print(f"    CPU {share:.2%}: {verdict(share, SHARE_LIMIT, SHARE_AIM)} (at most 1 %, aim 0.3 %)")
    print(f"    RSS {rss:.1f} MiB: {verdict(rss, RSS_LIMIT_MIB, RSS_AIM_MIB)} (at most 60, aim 35)")


def verdict(value: float, limit: float, aim: float) -> str:
    return "within the aim" if value <= aim else "within the limit" if value <= limit else "OVER THE LIMIT"


if __name__ == "__main__":
    main()
