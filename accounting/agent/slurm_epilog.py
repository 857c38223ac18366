"""What Slurm's epilog tells of a job that has just ended. It never fails the epilog, and never holds it up for long.

`sacct` is asked for the job's own row; where the accounting is behind or absent, the environment of the epilog says
enough to close the job. What the server does not take now lies in a folder and goes with the next job's end.
"""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from accounting.agent.post import Client, Kind
from accounting.agent.wire import DeviceInfo, DeviceKind, EnergySpan, JobInfo, TelemetryBatch, encode

DEVICES: Mapping[str, tuple[str, DeviceKind]] = {
    "node": ("slurm-node", "node"),
    "rapl": ("slurm-cpu", "cpu"),
    "gpu": ("slurm-gpu", "gpu"),
}
FIELDS = ("JobIDRaw", "Cluster", "JobName", "User", "Start", "End", "NodeList", "ConsumedEnergyRaw")
NOT_MEASURED = {"", "0", "18446744073709551614", "18446744073709551615", "4294967294", "4294967295"}
MOST_WAITING = 10_000
_HELD = (Kind.DELIVERED, Kind.REFUSED)  # not to be sent again


@dataclass(frozen=True, slots=True)
class Epilog:
    """How a site tells of its jobs. `deadline_s` is for all of it together."""

    client: Client
    folder: Path  # where what was not taken waits
    gather: str = "node"
    team: str | None = None
    project: str | None = None
    deadline_s: float = 5.0

    def tell(self, environment: Mapping[str, str]) -> str:
        """Post the end of the job that the environment names, and what waited. Returns what became of it."""
        until = time.monotonic() + self.deadline_s
        batch = self._batch(environment, until)
        if batch is None:
            return "SLURM_JOB_ID names no job: this belongs into Slurm's epilog"
        waiting = self._keep(batch)
        sent = 0
        for file in waiting:
            if time.monotonic() >= until - 0.5:
                break
            outcome = self.client.post(_read(file))
            if outcome.kind not in _HELD:
                return f"{sent} posted, {len(waiting) - sent} wait in {self.folder}: {outcome.detail}"
            file.unlink(missing_ok=True)
            sent += 1
        return f"{sent} posted, {len(waiting) - sent} wait in {self.folder}"

    def _keep(self, batch: TelemetryBatch) -> list[Path]:
        """On disk first, so that nothing is lost whatever kills the epilog. The newest first; the oldest beyond go."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns()}-{batch.jobs[0].job}.json"
        unfinished = self.folder / f".{name}"
        unfinished.write_bytes(encode(batch))
        unfinished.rename(self.folder / name)
        files = sorted(self.folder.glob("*.json"), reverse=True)
        for file in files[MOST_WAITING:]:
            file.unlink(missing_ok=True)
        return files[:MOST_WAITING]

    def _batch(self, environment: Mapping[str, str], until: float) -> TelemetryBatch | None:
        job_id = environment.get("SLURM_JOB_ID", "")
        if not job_id.isdigit():
            return None
        row = _sacct(job_id, until)
        name, user = row.get("JobName", "")[:150], row.get("User", "")[:40]
        start, end = _instant(row.get("Start", "")), _instant(row.get("End", "")) or _written(time.time())
        named = f"{name} ({user})" if name and user else name
        job = JobInfo(job_id, named, "slurm", "", self.team, self.project, start, end)
        joules = row.get("ConsumedEnergyRaw", "")
        if start is None or start >= end or joules in NOT_MEASURED or not joules.isdigit():
            return TelemetryBatch(jobs=[job])
        nodes = _nodes(row.get("NodeList", ""), until)
        if not nodes:
            return TelemetryBatch(jobs=[job])
        device, kind = DEVICES[self.gather]
        run = f"slurm {row.get('Cluster', '')} {job_id} {start}"
        spans = [
            EnergySpan(
                device, start, end, int(joules) / len(nodes), job=job_id, host=node, source="slurm", run=run[:200]
            )
            for node in nodes
        ]
        return TelemetryBatch(
            jobs=[job], devices=[DeviceInfo(device, kind, host=node, total=True) for node in nodes], energy_spans=spans
        )


def _sacct(job_id: str, until: float) -> dict[str, str]:
    """The job's last row; empty where sacct cannot say. Times come as seconds since 1970, in no zone."""
    asked = ["sacct", "-X", "-n", "-P", "--format=" + ",".join(FIELDS), "-j", job_id]
    lines = _output(asked, until).splitlines()
    for line in reversed(lines):
        first, last = line.split("|")[:2], line.split("|")[-5:]
        if line.count("|") >= len(FIELDS) - 1 and first[0] == job_id:
            middle = "|".join(line.split("|")[2:-5])  # a job's name may hold the delimiter
            return dict(zip(FIELDS, [*first, middle, *last], strict=True))
    return {}


def _nodes(listed: str, until: float) -> list[str]:
    """Slurm's own expansion of a list of nodes."""
    if not listed or listed == "None assigned":
        return []
    return _output(["scontrol", "show", "hostnames", listed], until).split()


def _output(command: list[str], until: float) -> str:
    environment = {**os.environ, "SLURM_TIME_FORMAT": "%s"}
    try:
        left_s = max(until - time.monotonic() - 2.0, 0.1)  # the last two seconds are for posting
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=left_s, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _instant(seconds: str) -> str | None:
    return _written(float(seconds)) if seconds.isdigit() and int(seconds) else None


def _written(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(file: Path) -> TelemetryBatch:
    raw = json.loads(file.read_bytes())
    return TelemetryBatch(
        jobs=[JobInfo(**job) for job in raw["jobs"]],
        devices=[DeviceInfo(**device) for device in raw["devices"]],
        energy_spans=[EnergySpan(**span) for span in raw["energy_spans"]],
    )
