"""Claim: Prometheus remote-write is taken about as fast as our own telemetry message.

A real gunicorn over PostgreSQL takes requests of 500 samples over 4 keep-alive connections: 125 GPUs, four readings of
the energy counter each. In turn, in the same run, as remote-write 1.0, as 2.0, and as JSON to /api/v1/telemetry; the
same devices, each kind at moments of its own. Printed are the ratios of samples a second, median and range. The
starters are those of ingest_vs_copy.py. BENCH_SHORT=1 sends a third.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.ingest.posting import send, server  # noqa: E402
from benchmarks.ingest_vs_copy import postgresql  # noqa: E402

SHORT = bool(os.environ.get("BENCH_SHORT"))
CONNECTIONS, DEVICES, READINGS = 4, 125, 4
BATCH = DEVICES * READINGS
BATCHES = 4 if SHORT else 12  # of each connection in each round
ROUNDS = 3 if SHORT else 7
KINDS = {
    "json": "/api/v1/telemetry",
    "remote-write 1.0": "/api/v1/prom/write",
    "remote-write 2.0": "/api/v1/prom/write",
}
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="greenai-bench-") as folder, postgresql(Path(folder)) as url:
        os.environ |= {"DATABASE_URL": url, "GREENAI_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "greenai.settings"}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True)
        import django

        django.setup()
        with server(Path(folder)) as port:
            measure(port)


def measure(port: int) -> None:
    from accounting.access import issue_token
    from accounting.models import DeviceSample, Site

    _, secret = issue_token(name="bench", scopes=["ingest"], site=Site.objects.create(name="Bench", slug="bench"))
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    taken = 0
    for turn in range(ROUNDS + 1):  # the first is for plans, caches and imports
        for k, kind in enumerate(KINDS):
            first = (turn * len(KINDS) + k) * BATCHES
            bodies = [[body(kind, c, first + b) for b in range(BATCHES)] for c in range(CONNECTIONS)]
            took = one_round(port, secret, kind, bodies)
            taken += CONNECTIONS * BATCHES * BATCH
            if turn:
                seconds[kind].append(took)
    assert DeviceSample.objects.count() == taken, "samples were lost or counted twice"
    rows = CONNECTIONS * BATCHES * BATCH
    print(f"{rows:,} samples a round, {ROUNDS} rounds in turn, {BATCH} a request, {READINGS} a series")
    for kind, took in seconds.items():
        print(f"{kind:<20} {rows / statistics.median(took):>12,.0f} samples/s  (median, for scale)")
    for kind in list(KINDS)[1:]:
        ratios = sorted(j / r for j, r in zip(seconds["json"], seconds[kind], strict=True))
        print(f"{kind} / json  {statistics.median(ratios):.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]")


def body(kind: str, connection: int, batch: int) -> bytes:
    """One host's GPUs, a moment after the other; every kind tells the same of its own moments."""
    from tests.remote_write import packed, v1_request, v2_request

    moments = [START + timedelta(seconds=15 * (batch * READINGS + k)) for k in range(READINGS)]
    counters = [400_000.0 * 15 * (batch * READINGS + k) for k in range(READINGS)]  # mJ at 400 W
    host = f"node-{connection}"
    if kind == "json":
        samples = [
            {"device": f"gpu-GPU-{gpu:08d}", "measured_at": at.isoformat(), "energy_j": mj / 1000, "source": "dcgm"}
            for at, mj in zip(moments, counters, strict=True)
            for gpu in range(DEVICES)
        ]
        agent = {"id": "agent", "host": host, "boot_id": "boot"}
        return json.dumps({"agent": agent, "device_samples": samples}, separators=(",", ":")).encode()
    points = [(mj, round(at.timestamp() * 1000)) for at, mj in zip(moments, counters, strict=True)]
    series = [(labels(gpu, host), points) for gpu in range(DEVICES)]
    return packed((v1_request if kind.endswith("1.0") else v2_request)(*series))


def labels(gpu: int, host: str) -> dict[str, str]:
    """What the DCGM exporter says of a GPU without a pod, and Prometheus of the exporter."""
    return {
        "__name__": ENERGY,
        "UUID": f"GPU-{gpu:08d}",
        "gpu": str(gpu % 8),
        "device": f"nvidia{gpu % 8}",
        "modelName": "NVIDIA H100 80GB HBM3",
        "pci_bus_id": "00000000:19:00.0",
        "Hostname": host,
        "instance": f"{host}:9400",
        "job": "dcgm",
    }


def one_round(port: int, secret: str, kind: str, bodies: list[list[bytes]]) -> float:
    """Every connection posts its bodies one after the other; seconds until the last reply."""
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    if kind != "json":
        proto = "" if kind.endswith("1.0") else ";proto=io.prometheus.write.v2.Request"
        headers |= {"Content-Type": f"application/x-protobuf{proto}", "Content-Encoding": "snappy"}
    return send(port, KINDS[kind], headers, bodies, lambda status, _: status < 300)


if __name__ == "__main__":
    main()
