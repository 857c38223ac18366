"""A job's hold on devices, as a small file until the server has it: what a killed process left is closed and sent.

A file a mark, written anew whenever it changes. Whoever finds one of a process that is no more closes it at its last
sign of life, so that nothing later is booked under that job.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from accounting.agent.post import Kind, Outcome
from accounting.agent.tracking.place import is_alive
from accounting.agent.wire import DeviceInfo, JobInfo, JobMark, TelemetryBatch

ENDING = ".mark.json"
HOST_FILE = "track.host"  # tells `greenai-agent flush` whose folder this is


@dataclass(frozen=True, slots=True)
class Mark:
    """One stretch in which a job held this process's devices. Times are RFC 3339."""

    id: str
    job: dict[str, str | None]  # of a JobInfo; with its times where this process speaks for the job
    host: str
    started_at: str
    alive_at: str
    ended_at: str | None = None
    gpus: tuple[str, ...] | None = None  # device names; None: every GPU
    others: bool = True  # also what is no GPU
    own: bool = False  # this process was told to meter whoever else does: devices as its own sensors name them
    devices: tuple[str, ...] | None = None  # what it holds, once that is known
    pid: int = field(default_factory=os.getpid)
    boot: str = field(default_factory=lambda: _boot())

    def batch(self, described: Iterable[DeviceInfo] = ()) -> TelemetryBatch:
        """What to post. No devices at all: the whole host, as far as the server knows it."""
        job = JobInfo(**self.job)  # type: ignore[arg-type]
        held: Sequence[str | None] = [None] if self.devices is None else self.devices
        marks = [
            JobMark(job.job, self.started_at, self.ended_at, device=device, host=self.host, team=job.team)
            for device in held
        ]
        told = [replace(info, host=self.host) for info in described if info.device in held]
        return TelemetryBatch(jobs=[job], job_marks=marks, devices=told)

    def is_left_behind(self) -> bool:
        """Whether the process that made it is no more."""
        return self.boot != _boot() or (self.pid != os.getpid() and not is_alive(self.pid))


def new_id() -> str:
    return uuid.uuid4().hex


def write(folder: Path, mark: Mark) -> None:
    """Raises:
    OSError: the disk takes nothing.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (sign := folder / HOST_FILE).exists():
        sign.write_text(mark.host)
    path = folder / f"{mark.id}{ENDING}"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(mark)))
    fresh.replace(path)


def forget(folder: Path, mark: Mark) -> None:
    with suppress(OSError):
        (folder / f"{mark.id}{ENDING}").unlink(missing_ok=True)


def set_aside(folder: Path, mark: Mark) -> None:
    """The server will never take it as it is: kept for a person, and sent no more."""
    with suppress(OSError):
        (folder / f"{mark.id}{ENDING}").rename(folder / f"{mark.id}.refused.json")


def left_behind(folder: Path) -> Iterator[Mark]:
    """Marks of processes that are no more, each closed. A file that holds none is set aside."""
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            mark = _read(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError):
            with suppress(OSError):
                path.rename(path.with_suffix(".unreadable"))
            continue
        if mark.is_left_behind():
            ended_at = mark.ended_at or mark.alive_at
            job = mark.job if "started_at" not in mark.job else {"ended_at": ended_at, **mark.job}
            yield replace(mark, ended_at=ended_at, job=job)


def refusal(outcome: Outcome) -> str:
    """Why a mark that was answered is not in the ledger; empty where it is."""
    if outcome.kind is not Kind.DELIVERED or outcome.reply is None:
        return outcome.detail or outcome.kind.value
    wrong = [error for error in outcome.reply.errors if error.list in ("job_marks", "jobs", "devices")]
    return f"{wrong[0].field}: {wrong[0].detail}" if wrong else ""


def _boot() -> str:
    """The kernel's name for this boot; empty where it has none, and process ids alone tell then."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _read(path: Path) -> Mark:
    raw = json.loads(path.read_text())
    for name in ("gpus", "devices"):
        raw[name] = None if raw.get(name) is None else tuple(raw[name])
    return Mark(**{name: value for name, value in raw.items() if name in Mark.__slots__})
