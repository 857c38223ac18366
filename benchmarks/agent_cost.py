"""What the agent costs the host it measures: CPU share of one core and memory, reading 8 metered devices at 1 Hz.

Runs the agent's own loop and courier in a process of its own, posting to a server on this machine, three times: 8 RAPL
packages (a sysfs tree made here, whose counters rise), codecarbon's CPU and memory model, and the built-in model.
CPU time is the kernel's for that process, start-up left out. BENCH_SHORT=1 measures for 15 s, otherwise for 60 s.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 15.0 if os.environ.get("BENCH_SHORT") == "1" else 60.0
SETTLE_S = 3.0
DEVICES = 8
AGENT = """
import logging, sys, threading
from pathlib import Path
from accounting.agent.clock import Clock, machine_boot_id
from accounting.agent.courier import Courier
from accounting.agent.jobs import JobFinder
from accounting.agent.logs import log_to_stdout
from accounting.agent.loop import Loop, serve
from accounting.agent.post import Client, Token
from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rack import Rack
from accounting.agent.spool import Spool
url, sensor, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
log_to_stdout(as_json=False)
rack, clock = Rack([sensor], here=Machine(powercap=folder / "powercap")), Clock()
rack.open_missing()
spool = Spool(folder / "spool", machine_boot=machine_boot_id())
client = Client(url, Token(lambda: "gai_benchmark", "benchmark"))
courier = Courier(spool, client.post, agent_id="bench", host="bench", clock=clock)
loop = Loop(rack, spool, courier, interval_s=1.0, jobs=JobFinder(), clock=clock)
serve(loop, courier, threading.Event())
"""


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


def measure(url: str, sensor: str, folder: Path) -> tuple[float, float, float]:
    """(CPU seconds a second, start-up CPU seconds, RSS in MiB) of an agent with this sensor."""
    words = [sys.executable, "-c", AGENT, url, sensor, str(folder)]
    log = (folder / "agent.log").open("w")
    with log, subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT) as agent:
        try:
            time.sleep(SETTLE_S)
            before_s, began = cpu_s(agent.pid), time.monotonic()
            time.sleep(SECONDS)
            if agent.poll() is not None:
                raise RuntimeError(f"the agent stopped: {(folder / 'agent.log').read_text()}")
            used_s, passed_s = cpu_s(agent.pid) - before_s, time.monotonic() - began
            return used_s / passed_s, before_s, rss_mib(agent.pid)
        finally:
            agent.kill()


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    print(f"agent cost at 1 Hz over {SECONDS:.0f} s, posting included")
    for label, sensor in ((f"{DEVICES} RAPL packages", "rapl"), ("codecarbon", "codecarbon"), ("procstat", "procstat")):
        with tempfile.TemporaryDirectory() as name:
            folder, stop = Path(name), threading.Event()
            burner = threading.Thread(target=keep_burning, args=(make_counters(folder / "powercap"), stop))
            burner.start()
            Sink.taken = 0
            try:
                share, start_s, memory_mib = measure(url, sensor, folder)
            finally:
                stop.set()
                burner.join()
            print(
                f"  {label:16} {share:7.2%} of one core, {memory_mib:5.1f} MiB RSS, "
                f"{start_s:.2f} s CPU to start, {Sink.taken} samples delivered"
            )
    server.shutdown()


if __name__ == "__main__":
    main()
