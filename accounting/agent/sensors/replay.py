"""Plays a recorded trace: the rows of a CSV file, with the times at which they were measured.

Columns: measured_at (RFC 3339 with offset), device, power_w; optionally energy_j, utilization, memory_used_bytes, job,
and kind, model, tdp_w, which describe the device where it first appears. An empty cell is not measured.

A row's key follows from the file alone: the stream is the hash of its bytes and seq is the row's number. So a replay
that was killed begins again from the top, and the server recognises every row it already has.
"""

import csv
import hashlib
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar, get_args

from accounting.agent.sensors.base import Reading, Sensor, SensorUnavailable
from accounting.agent.wire import DeviceInfo, DeviceKind, Source, Status

REQUIRED = ("measured_at", "device", "power_w")
OPTIONAL = ("energy_j", "utilization", "memory_used_bytes", "job", "kind", "model", "tdp_w")
CHUNK_ROWS = 2000  # how many rows one `read` gives at most


class TraceError(ValueError):
    """A trace that cannot be played; names the file and the line."""


class ReplaySensor(Sensor):
    """`speed` 1 keeps the trace's own pace, 60 plays a minute in a second, 0 goes as fast as it is asked."""

    name: ClassVar[str] = "replay"
    source: ClassVar[Source] = "agent"
    status: ClassVar[Status] = "measured"

    def __init__(self, path: Path, *, speed: float = 0.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        try:
            self.stream = f"replay-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
            self._devices = _check(path)
        except (OSError, UnicodeDecodeError, csv.Error, TraceError) as error:
            raise SensorUnavailable(
                f"the trace {path} cannot be played: {error}", "see docs/agent.md, Replay, for its columns"
            ) from error
        self._speed, self._monotonic = speed, monotonic
        self._rows = _readings(path)
        self._next: Reading | None = next(self._rows, None)
        self._first_at = _when(self._next) if self._next else None
        self._started_s = monotonic()

    def devices(self) -> Sequence[DeviceInfo]:
        return self._devices

    def read(self) -> Sequence[Reading]:
        """The rows that are due, in the trace's order; at most `CHUNK_ROWS` of them."""
        due: list[Reading] = []
        while self._next is not None and len(due) < CHUNK_ROWS and self._is_due(self._next):
            due.append(self._next)
            self._next = next(self._rows, None)
        self.finished = self._next is None
        return due

    def close(self) -> None:
        self._rows.close()

    def _is_due(self, reading: Reading) -> bool:
        if not self._speed or self._first_at is None:
            return True
        offset_s = (_when(reading) - self._first_at).total_seconds()
        return offset_s <= (self._monotonic() - self._started_s) * self._speed


def _check(path: Path) -> list[DeviceInfo]:
    """Read the whole trace once, so that what is wrong with it is known before anything is posted."""
    devices: dict[str, DeviceInfo] = {}
    last_at: dict[str, datetime] = {}
    for line, row in _rows(path):
        reading = _reading(row, line)
        at = _when(reading)
        if reading.device in last_at and at <= last_at[reading.device]:
            raise TraceError(f"line {line}: {reading.device} at {row['measured_at']} does not follow its row before")
        last_at[reading.device] = at
        if reading.device not in devices:
            devices[reading.device] = _describe(row, line)
    if not devices:
        raise TraceError("it has no rows")
    return list(devices.values())


def _readings(path: Path) -> Generator[Reading, None, None]:
    for line, row in _rows(path):
        yield _reading(row, line)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        missing = [name for name in REQUIRED if name not in (table.fieldnames or ())]
        if missing:
            raise TraceError(f"it lacks the columns {', '.join(missing)}")
        for number, row in enumerate(table, start=2):
            yield number, {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}


def _reading(row: dict[str, str], line: int) -> Reading:
    if not row["device"]:
        raise TraceError(f"line {line}: no device")
    memory = _number(row, "memory_used_bytes", line)
    reading = Reading(
        row["device"],
        power_w=_number(row, "power_w", line),
        energy_j=_number(row, "energy_j", line),
        utilization=_number(row, "utilization", line),
        memory_used_bytes=None if memory is None else int(memory),
        measured_at=row["measured_at"],
        job=row.get("job") or None,
        seq=line - 1,
    )
    if reading.power_w is None and reading.energy_j is None:
        raise TraceError(f"line {line}: neither power_w nor energy_j")
    try:
        if _when(reading).utcoffset() is None:
            raise ValueError
    except ValueError:
        raise TraceError(f"line {line}: measured_at {row['measured_at']!r} is not RFC 3339 with an offset") from None
    return reading


def _describe(row: dict[str, str], line: int) -> DeviceInfo:
    kind = row.get("kind") or row["device"].split("-")[0]
    known: dict[str, DeviceKind] = {name: name for name in get_args(DeviceKind)}
    return DeviceInfo(
        row["device"], known.get(kind, "other"), model=row.get("model", ""), tdp_w=_number(row, "tdp_w", line)
    )


def _number(row: dict[str, str], column: str, line: int) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise TraceError(f"line {line}: {column} {text!r} is not a number") from None
    if not math.isfinite(value) or value < 0:
        raise TraceError(f"line {line}: {column} {text!r} is not a finite number of 0 or more")
    return value


def _when(reading: Reading) -> datetime:
    return datetime.fromisoformat(reading.measured_at or "")
