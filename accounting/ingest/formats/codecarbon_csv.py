"""CodeCarbon's emissions.csv, and its task files: runs of any age, online, offline or on a cluster. Pure.

A line is a total since the run's start; a flush adds another line of the same run, so lines of a run follow each other.
A line of a task file is a task by itself. Columns may stand in any order; what a version of CodeCarbon does not write
is left out. Times without an offset are local to the machine that wrote them: the importer says where that was.
"""

import csv
import io
import math
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import blake2b
from zoneinfo import ZoneInfo

from accounting.agent.wire import EnergySpan, JobInfo, TelemetryBatch
from accounting.ingest.formats.codecarbon import DEFAULT_EXPERIMENT, Machine, Post, drawn, machine_of, stretch
from accounting.ingest.formats.imported import (
    MOST_BYTES,
    MOST_ERRORS,
    Facts,
    ImportedFile,
    ImportRefused,
    LineError,
    Stated,
)
from accounting.ingest.shapes import SLUG, UNREADABLE
from accounting.methods.units import US_PER_S

NEEDED = ("timestamp", "duration", "energy_consumed")
DEFAULT_PROJECT = "codecarbon"  # what a tracker writes that was told none
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(2001, 1, 1, tzinfo=UTC)
LONGEST_S = 366 * 86_400.0
SAME_START_S = 2.0  # times are whole seconds, so two lines of a run agree on its start to about one
_NOTHING = ("", "nan", "none", "null", "n/a")
_MOST_KWH = 1e8

Cells = Mapping[str, str]


class _Wrong(ValueError):
    """One cell cannot be read."""


@dataclass(frozen=True, slots=True)
class _Line:
    at: datetime
    duration_s: float
    post: Post  # energy nan: not told
    run_id: str  # empty: written as None, as 3.3.2 does beside its API
    experiment: str
    project: str
    task: str
    machine: Machine
    is_process: bool
    pue: float | None

    @property
    def start_s(self) -> float:
        return self.at.timestamp() - self.duration_s


def parse(body: bytes, *, stated: Stated) -> ImportedFile:
    """Read a file.

    Args:
        stated: `time_zone` (an IANA name; UTC where it is not said) of times without an offset, `pue` where the file
            has no such column, `host` that all runs ran on, `team` and `project` (slugs) whose they are.

    Raises:
        ImportRefused: no such file, or something stated makes no sense.
    """
    zone, pue = _zone(stated), _stated_pue(stated)
    columns, rows = _rows(body)
    lines, errors, wrong = [], [], 0
    for number, cells in rows:
        try:
            lines.append(_line(cells, zone))
        except _Wrong as error:
            wrong += 1
            if len(errors) < MOST_ERRORS:
                errors.append(LineError(number, str(error)))
    runs = _runs(list(dict.fromkeys(lines)))
    batch, facts = _batch(runs, pue, stated)
    notes = _notes(columns, lines, runs, stated)
    return ImportedFile(batch if not wrong else TelemetryBatch(), facts, tuple(errors), wrong, notes)


def _zone(stated: Stated) -> tzinfo:
    name = stated.get("time_zone") or "UTC"
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ImportRefused(f"time zone {name[:60]!r} is not known: give an IANA name, as in Europe/Paris") from error


def _stated_pue(stated: Stated) -> float | None:
    if not stated.get("pue"):
        return None
    try:
        return _number("pue", stated["pue"], low=1.0, high=10.0)
    except _Wrong as error:
        raise ImportRefused(f"{error}: a number from 1 to 10, or nothing") from error


def _rows(body: bytes) -> tuple[set[str], Iterable[tuple[int, Cells]]]:
    if len(body) > MOST_BYTES:
        raise ImportRefused(f"the file has {len(body)} bytes, {MOST_BYTES} at most: import it in parts")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportRefused(f"the file is not UTF-8 text: {error.reason} at byte {error.start}") from error
    head = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",")
    header = [name.strip() for name in next(reader, [])]
    if missing := [name for name in NEEDED if name not in header]:
        raise ImportRefused(
            f"no column {', '.join(missing)} in the first line: this is no emissions.csv of CodeCarbon 1.2 or later"
        )
    if repeated := sorted({name for name in header if name and header.count(name) > 1}):
        raise ImportRefused(f"column {', '.join(repeated)} stands twice: keep one")
    return set(header), _cells(reader, header)


def _cells(reader: "csv._reader", header: Sequence[str]) -> Iterable[tuple[int, Cells]]:  # type: ignore[name-defined]
    try:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            fits = len(values) == len(header)
            yield reader.line_num, dict(zip(header, map(str.strip, values), strict=True)) if fits else {
                "": f"{len(values)} cells, the first line has {len(header)}"
            }  # fmt: skip
    except csv.Error as error:
        raise ImportRefused(f"line {reader.line_num} is no CSV: {error}") from error


def _line(cells: Cells, zone: tzinfo) -> _Line:
    if "" in cells and len(cells) == 1:
        raise _Wrong(cells[""])
    at = _time(cells["timestamp"], zone)
    duration_s = _number("duration", cells["duration"], low=1e-6, high=LONGEST_S)
    energy_kwh = math.nan if _is_nothing(cells["energy_consumed"]) else _energy(cells, "energy_consumed")
    parts = [_energy(cells, name) for name in ("cpu_energy", "gpu_energy", "ram_energy")]
    at_us = round((at - EPOCH) / timedelta(microseconds=1))
    run_id = _text(cells, "run_id")
    return _Line(
        at=at,
        duration_s=duration_s,
        post=Post(at_us, duration_s, energy_kwh, *parts, total=True),
        run_id=run_id.lower(),
        experiment=_text(cells, "experiment_id"),
        project=_text(cells, "project_name"),
        task=_text(cells, "task_name"),
        machine=machine_of({name: _text(cells, name) for name in _MACHINE}),
        is_process=_text(cells, "tracking_mode") == "process",
        pue=None if _is_nothing(cells.get("pue", "")) else _number("pue", cells["pue"], low=1e-3, high=100.0),
    )


_MACHINE = ("cpu_model", "cpu_count", "gpu_model", "gpu_count", "ram_total_size")


def _time(written: str, zone: tzinfo) -> datetime:
    try:
        at = datetime.fromisoformat(written)
        at = (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _Wrong(f"timestamp is {written[:40]!r}: write it as 2026-01-31T12:00:00") from error
    if at < EARLIEST:
        raise _Wrong(f"timestamp {written[:40]!r} lies before 2001: correct it")
    return at


def _energy(cells: Cells, name: str) -> float:
    written = cells.get(name, "")
    return 0.0 if _is_nothing(written) else _number(name, written, low=0.0, high=_MOST_KWH)


def _number(name: str, written: str, *, low: float, high: float) -> float:
    try:
        number = float(written)
    except ValueError as error:
        raise _Wrong(f"{name} is {written[:40]!r}, not a number") from error
    if not low <= number <= high:
        raise _Wrong(f"{name} is {written[:40]}: from {low:g} to {high:g}")
    return number


def _is_nothing(written: str) -> bool:
    return written.lower() in _NOTHING


def _text(cells: Cells, name: str) -> str:
    written = cells.get(name, "")
    return "" if _is_nothing(written) else UNREADABLE.sub("", written)[:200]


def _runs(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Lines of one run, in their order: of one id, task, machine and start."""
    found: dict[tuple[object, ...], list[list[_Line]]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: (line.at, line.duration_s)):
        alike = found[line.run_id, line.experiment, line.project, line.task, line.machine, line.is_process]
        same = next((run for run in alike if _goes_on(run[-1], line)), None)
        if same is not None and not line.task:
            same.append(line)
        else:
            alike.append([line])
    return [run for alike in found.values() for run in alike]


def _goes_on(before: _Line, line: _Line) -> bool:
    later = line.at > before.at and line.duration_s > before.duration_s
    return later and abs(line.start_s - before.start_s) <= SAME_START_S


def _batch(runs: Sequence[list[_Line]], pue: float | None, stated: Stated) -> tuple[TelemetryBatch, Facts]:
    devices, jobs, spans = {}, [], []
    energy_kwh: list[float] = []
    without = 0
    for run in runs:
        host = stated.get("host") or run[0].machine.host_name
        job = _job(run, stated)
        jobs.append(job)
        without += math.isnan(run[-1].post.energy_kwh)
        name = series_name(run[0])
        process = _digest(name)[:12] if run[0].is_process else ""
        for line, before in zip(run, [None, *run[:-1]], strict=True):
            is_known = not math.isnan(line.post.energy_kwh)
            says = stretch(line.post, before.post if before and before.at < line.at else None)
            divisor = line.pue or pue or 1.0
            told = says.post if is_known else replace(says.post, energy_kwh=0.0)
            energy_kwh.append(told.energy_kwh / divisor)
            for part in drawn(told, line.machine, pue=divisor, process=process):
                device = replace(part.device, host=host)
                devices[host, device.device] = device
                spans.append(
                    EnergySpan(
                        device.device, _iso(says.started_us), _iso(says.ended_us), part.energy_j if is_known else None,
                        job=job.job, host=host, source="codecarbon", status=part.status, run=name,
                    )
                )  # fmt: skip
    ordered = sorted(line.at for run in runs for line in run)
    starts = [line.at - timedelta(seconds=line.duration_s) for run in runs for line in run]
    facts = Facts(
        runs=len(runs),
        energy_kwh=math.fsum(energy_kwh),
        without_energy=without,
        first=min(starts).isoformat() if starts else "",
        last=ordered[-1].isoformat() if ordered else "",
    )
    return TelemetryBatch(devices=list(devices.values()), jobs=jobs, energy_spans=spans), facts


def series_name(line: _Line) -> str:
    """What tells a run apart. The id where there is one, as a run that is posted live has it too."""
    if _is_uuid(line.run_id) and not line.task:
        return f"codecarbon {uuid.UUID(line.run_id)}"
    own = line.run_id or line.experiment or DEFAULT_EXPERIMENT
    start = EPOCH + timedelta(seconds=round(line.start_s))
    return f"codecarbon csv {own} {start:%Y%m%dT%H%M%S} {_digest(f'{line.machine}{line.task}')[:8]}"


def _is_uuid(written: str) -> bool:
    try:
        return bool(uuid.UUID(written))
    except ValueError:
        return False


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _job(run: Sequence[_Line], stated: Stated) -> JobInfo:
    line = run[0]
    key = series_name(line).removeprefix("codecarbon ").replace(" ", "-")
    start = EPOCH + timedelta(microseconds=line.post.at_us - round(line.duration_s * US_PER_S))
    title = " · ".join(part for part in (line.project or "CodeCarbon", line.task) if part)
    team = stated.get("team") or None
    return JobInfo(
        f"codecarbon-{key}"[:200],
        name=f"{title} {start:%Y-%m-%d %H:%M}"[:200],
        kind="codecarbon",
        team=team,
        project=_project(line, stated) if team else None,
        started_at=start.isoformat(),
        ended_at=run[-1].at.isoformat(),
    )


def _project(line: _Line, stated: Stated) -> str | None:
    if stated.get("project"):
        return stated["project"]
    if line.project in ("", DEFAULT_PROJECT):
        return None
    slug = "-".join(SLUG.findall(line.project.lower()))[:60]
    return slug or None


def _iso(us: int) -> str:
    return (EPOCH + timedelta(microseconds=us)).isoformat()


def _notes(columns: set[str], lines: Sequence[_Line], runs: Sequence[list[_Line]], stated: Stated) -> tuple[str, ...]:
    notes = []
    if not stated.get("time_zone"):
        notes.append("Times without an offset are taken for UTC: CodeCarbon writes local time, so state its time zone.")
    if any(line.pue is None for line in lines):
        told = f"the {stated['pue']} stated" if stated.get("pue") else "1: what it was is in the energy unseen"
        notes.append(f"CodeCarbon's energy has a PUE in it; where the file does not tell it, it is taken for {told}.")
    if not stated.get("host"):
        notes.append(
            "The file names no host: one is made for each shape of machine, so machines alike that ran at once count "
            "once. State the host, a file for each, to keep them apart."
        )
    if any(line.is_process for line in lines):
        notes.append("Runs of tracking mode process tell one process's share: they carry no making of a machine.")
    if "task_name" in columns:
        notes.append("A task file and the emissions.csv of the same run tell of the same energy: import one of them.")
    if not {"cpu_energy", "gpu_energy", "ram_energy"} & columns:
        notes.append("The file does not tell CPU, GPU and memory apart: their energy stands under one other device.")
    several = sum(len(run) > 1 for run in runs)
    if several:
        notes.append(
            f"{several} of the runs have several lines, as a flush writes them: totals, so what each adds counts."
        )
    return tuple(notes)
