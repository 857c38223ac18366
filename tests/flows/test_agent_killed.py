"""The unmodified agent against the running product: killed with -9 and started again, it leaves the same ledger."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stack import ROOT, Stack

pytestmark = pytest.mark.stack

TOTALS = """
import json
from accounting.models import DirtyHour, LedgerHour
rows = LedgerHour.objects.filter(device__host__name={host!r}).order_by("hour", "device__key", "job__key")
names = ["it_energy_kwh", "co2e_location_g", "water_onsite_l", "covered_s", "missing_s"]
print(json.dumps([DirtyHour.objects.filter(device__host__name={host!r}).count(),
    [[str(v) for v in row] for row in rows.values_list("hour", "device__key", "job__key", *names)]]))
"""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Two devices, one reading a second for 20 minutes across an hour's edge yesterday."""
    path = tmp_path / "trace.csv"
    start = (datetime.now(UTC) - timedelta(days=1)).replace(minute=50, second=0, microsecond=0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["measured_at", "device", "power_w", "job"])
        for second in range(1200):
            at = (start + timedelta(seconds=second)).isoformat()
            for device in range(2):
                job = "train-7" if 300 <= second < 900 else ""
                writer.writerow([at, f"gpu-{device}", 100 + (second * 7 + device * 13) % 300, job])
    return path


def start_agent(stack: Stack, trace: Path, *, host: str, spool: Path) -> "subprocess.Popen[str]":
    token = stack.data_dir / "agent.token"
    command = [sys.executable, "-m", "accounting.agent", "run", "--server", stack.url, "--token-file", str(token)]
    command += ["--sensor", f"replay:{trace}", "--host", host, "--spool", str(spool), "--speed", "0"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ledger_of(stack: Stack, host: str) -> tuple[int, list[list[str]]]:
    dirty, rows = json.loads(stack.manage("shell", "--no-imports", "-c", TOTALS.format(host=host)).splitlines()[-1])
    return dirty, rows


def settled_ledger(stack: Stack, host: str, *, covered_s: float) -> list[list[str]]:
    """The host's rows once everything posted has been counted."""
    deadline = time.monotonic() + 90
    while True:
        dirty, rows = ledger_of(stack, host)
        if dirty == 0 and sum(float(row[-2]) for row in rows) >= covered_s - 1e-6:
            return rows
        assert time.monotonic() < deadline, (dirty, rows)
        time.sleep(1)


class TestAgentKilled:
    def test_and_restarted_leaves_the_ledger_of_a_single_run(self, stack: Stack, trace: Path, tmp_path: Path) -> None:
        undisturbed = start_agent(stack, trace, host="calm", spool=tmp_path / "calm")
        try:
            for attempt in range(4):
                victim = start_agent(stack, trace, host="rough", spool=tmp_path / "rough")
                time.sleep(0.6 + 0.5 * attempt)
                victim.send_signal(signal.SIGKILL)
                victim.wait(10)
                assert victim.stdout is not None
                victim.stdout.close()
            survivor = start_agent(stack, trace, host="rough", spool=tmp_path / "rough")
            calm = settled_ledger(stack, "calm", covered_s=2 * 1199.0)
            rough = settled_ledger(stack, "rough", covered_s=2 * 1199.0)
        finally:
            for agent in (undisturbed, survivor):
                agent.terminate()
                agent.communicate(timeout=20)

        assert calm and rough == calm
