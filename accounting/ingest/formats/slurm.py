"""Jobs of Slurm as `sacct --parsable2` tells them: energy of their nodes, and whose the nodes were. Pure.

A job's energy stands on a device of each node and is split equally among them: sacct tells no more. A sensor of the
node tells each job that shared it all the node drew; the runs' spans lie on one device, where each instant counts once
and is shared by the jobs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from accounting.agent.wire import DeviceInfo, DeviceKind, EnergySpan, JobInfo, JobMark, TelemetryBatch
from accounting.ingest.formats.hostlist import NotAHostlist, expand
from accounting.ingest.formats.imported import (
    MOST_BYTES,
    MOST_ERRORS,
    Facts,
    ImportedFile,
    ImportRefused,
    LineError,
    Stated,
)
from accounting.ingest.formats.slurm_energy import drawn
from accounting.ingest.formats.slurm_owners import Owners, owners
from accounting.ingest.formats.slurm_table import ASK, JobRows, Row, Sacct, read
from accounting.ingest.formats.slurm_values import (
    NotReadable,
    doubled,
    elapsed_s,
    gpus_of,
    moment,
    seconds,
    tres,
)
from accounting.methods.units import J_PER_KWH

DEVICES: Mapping[str, tuple[str, DeviceKind]] = {  # what AcctGatherEnergyType measures: device, kind
    "node": ("slurm-node", "node"),  # ipmi, xcc, redfish, pm_counters
    "rapl": ("slurm-cpu", "cpu"),
    "gpu": ("slurm-gpu", "gpu"),
}
_LONGEST_S = 366 * 86_400
MOST_STRETCHES = 300_000  # jobs times their nodes: what fits in a web server's memory
_UNFINISHED = ("RUNNING", "PENDING", "REQUEUED", "SUSPENDED", "CONFIGURING", "COMPLETING", "RESIZING")


@dataclass(frozen=True, slots=True)
class Saying:
    """What the importer stated, checked."""

    zone: ZoneInfo
    zone_is_stated: bool
    gather: str
    owners: Owners
    whole: bool  # every job has its nodes to itself
    gpus_per_node: int
    cpus_per_node: int


@dataclass(frozen=True, slots=True)
class Ran:
    """A job that ran and ended."""

    key: str
    started_at: datetime
    ended_at: datetime
    nodes: tuple[str, ...]
    row: Row
    energy_j: float | None
    has_whole_nodes: bool

    @property
    def times(self) -> tuple[str, str]:
        return _written(self.started_at), _written(self.ended_at)


@dataclass(slots=True)
class _Found:
    ran: list[Ran] = field(default_factory=list)
    wrong: list[LineError] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # what the notes tell of


def parse(body: bytes, *, stated: Stated) -> ImportedFile:
    """Read a text of sacct.

    Args:
        stated: `time_zone` of the cluster (UTC), `gather` (node, rapl, gpu), `accounts` (see `slurm_owners`), `team`,
            `nodes`
            ("whole": no job shares its nodes), `gpus_per_node`, `cpus_per_node`.

    Raises:
        ImportRefused: it is no text of sacct, or something stated is wrong.
    """
    if len(body) > MOST_BYTES:
        raise ImportRefused(f"{len(body)} bytes: more than {MOST_BYTES // 1_000_000} MB; ask sacct for shorter periods")
    saying = _saying(stated)
    table = read(body)
    found = _Found(wrong=[LineError(line, why) for line, why in table.wrong])
    stretches = 0
    for job in table.jobs:
        try:
            _take(job, saying, found)
            stretches += len(found.ran[-1].nodes) if found.ran else 0
            if stretches > MOST_STRETCHES:
                raise ImportRefused(f"more than {MOST_STRETCHES:,} jobs times nodes: ask sacct for shorter periods")
        except (NotReadable, NotAHostlist) as error:
            found.wrong.append(LineError(job.row.line, str(error)))
    wrong = sorted(found.wrong, key=lambda error: error.line)
    facts = Facts(
        runs=len(found.ran),
        energy_kwh=sum(one.energy_j or 0.0 for one in found.ran) / J_PER_KWH,
        without_energy=sum(one.energy_j is None for one in found.ran),
        first=_written(min(one.started_at for one in found.ran)) if found.ran else "",
        last=_written(max(one.ended_at for one in found.ran)) if found.ran else "",
    )
    notes = tuple(_notes(found, table, saying))
    return ImportedFile(_batch(found.ran, saying), facts, tuple(wrong[:MOST_ERRORS]), len(wrong), notes)


def _saying(stated: Stated) -> Saying:
    name = stated.get("time_zone", "").strip()
    try:
        zone = ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ImportRefused(f"{name[:60]!r} is no time zone: write it like Europe/Paris") from error
    gather = stated.get("gather", "").strip() or "node"
    if gather not in DEVICES:
        raise ImportRefused(f"gather is {gather[:40]!r}: what the cluster measures is one of {', '.join(DEVICES)}")
    nodes = stated.get("nodes", "").strip()
    if nodes not in ("", "shared", "whole"):
        raise ImportRefused(f"nodes is {nodes[:40]!r}: shared or whole")
    gpus, cpus = (_count(stated, name) for name in ("gpus_per_node", "cpus_per_node"))
    return Saying(
        zone,
        bool(name),
        gather,
        owners(stated.get("accounts", "project"), team=stated.get("team", "")),
        nodes == "whole",
        gpus,
        cpus,
    )


def _count(stated: Stated, name: str) -> int:
    text = stated.get(name, "").strip()
    if text and (not text.isdecimal() or not 0 < int(text) <= 10_000):
        raise ImportRefused(f"{name} is {text[:40]!r}: a number from 1 to 10000, or nothing")
    return int(text or 0)


def _take(job: JobRows, saying: Saying, found: _Found) -> None:
    row = job.row
    state = (row["state"].split() or [""])[0].upper()
    if state in _UNFINISHED:
        found.counts["unfinished"] += 1
        return
    times = _times(row, saying.zone, found.counts)
    if times is None or times[0] == times[1] or row["nodelist"].strip().lower() in ("", "none assigned", "unknown"):
        found.counts["never ran"] += 1
        return
    if (times[1] - times[0]).total_seconds() > _LONGEST_S:
        raise NotReadable(f"the job ran from {_written(times[0])} to {_written(times[1])}: 366 days at most")
    nodes = tuple(expand(row["nodelist"]))
    told = drawn(job)
    for name in ("rounded", "of_steps", "overlapping"):
        found.counts[name] += getattr(told, name)
    key = (row["jobidraw"] or row["jobid"]).strip()
    found.ran.append(Ran(key, *times, nodes, row, told.energy_j, _has_whole_nodes(row, len(nodes), saying)))


def _times(row: Row, zone: ZoneInfo, counts: Counter[str]) -> tuple[datetime, datetime] | None:
    """Start and end; what is doubtful for the clocks' sake is settled by how long the job ran, where that is told."""
    start, end = moment(row["start"], zone), moment(row["end"], zone)
    raw, written = row["elapsedraw"], row["elapsed"]
    ran_s = elapsed_s(raw) if raw.strip() else elapsed_s(written)
    if start is None and end is None:
        return None
    if start is None or end is None:
        if ran_s is None:
            return None
        length, doubtful = seconds(ran_s), any(one.doubtful for one in (start, end) if one is not None)
        counts["doubtful"] += doubtful
        if start is not None:
            return start.at, start.at + length
        return (end.at - length, end.at) if end is not None else None
    pairs = [(a, b) for a in {start.at, doubled(start, zone)} for b in {end.at, doubled(end, zone)} if a <= b]
    if not pairs:
        raise NotReadable(f"the job ended before it began: {row['start']!r}, {row['end']!r}")
    if len(pairs) == 1 or ran_s is None:
        counts["doubtful"] += len(pairs) > 1
        return min(pairs)
    fits = [pair for pair in pairs if (pair[1] - pair[0]).total_seconds() == ran_s]
    counts["doubtful"] += len(fits) != 1
    return min(fits or pairs)


def _has_whole_nodes(row: Row, nodes: int, saying: Saying) -> bool:
    """Whether nobody else can have been on its nodes: by what is stated of the cluster, and what the job was given."""
    if saying.whole:
        return True
    given = tres(row["alloctres"])
    cpus = given.get("cpu", "") or row["alloccpus"] or row["ncpus"]
    if saying.cpus_per_node and cpus.strip().isdecimal() and int(cpus) >= saying.cpus_per_node * nodes:
        return True
    return bool(saying.gpus_per_node) and gpus_of(given) >= saying.gpus_per_node * nodes


def _batch(ran: list[Ran], saying: Saying) -> TelemetryBatch:
    device, kind = DEVICES[saying.gather]
    hosts = sorted({node for one in ran if one.energy_j is not None for node in one.nodes})
    units = saying.gpus_per_node if kind == "gpu" and saying.gpus_per_node else 1
    jobs = {one.key: _job(one, saying.owners) for one in ran}  # a job that was requeued: its last run describes it
    return TelemetryBatch(
        devices=[DeviceInfo(device, kind, host=host, units=units, total=True) for host in hosts],
        jobs=list(jobs.values()),
        job_marks=[mark for one in ran if one.has_whole_nodes for mark in _marks(one, saying.owners)],
        energy_spans=[span for one in ran if one.energy_j is not None for span in _spans(one, device)],
    )


def _job(one: Ran, of: Owners) -> JobInfo:
    owner, user = of.of(one.row["account"]), one.row["user"].strip()
    name = one.row["jobname"].strip()[:150]
    named = f"{name} ({user[:40]})" if name and user else name or user[:40]
    started, ended = one.times
    return JobInfo(one.key, named, "slurm", "", owner.team, owner.project, started, ended)


def _marks(one: Ran, of: Owners) -> Iterator[JobMark]:
    started, ended = one.times
    for node in one.nodes:
        yield JobMark(one.key, started, ended, host=node, team=of.of(one.row["account"]).team)


def _spans(one: Ran, device: str) -> Iterator[EnergySpan]:
    started, ended = one.times
    each_j = (one.energy_j or 0.0) / len(one.nodes)
    run = f"slurm {one.row['cluster'].strip()} {one.key} {started}"
    for node in one.nodes:
        yield EnergySpan(device, started, ended, each_j, job=one.key, host=node, source="slurm", run=run[:200])


def _notes(found: _Found, table: Sacct, saying: Saying) -> Iterator[str]:
    counts, ran = found.counts, found.ran
    if not saying.zone_is_stated:
        yield "No time zone was stated: times without an offset were read as UTC."
    if counts["unfinished"]:
        yield f"{counts['unfinished']} jobs had not ended and are left out: import them when they have."
    if counts["never ran"]:
        yield f"{counts['never ran']} jobs never ran on a node."
    if not ran:
        return
    if counts["rounded"]:
        yield (
            f"{counts['rounded']} energies are rounded by sacct (12.34K is 12 335 to 12 345 J): "
            "ask for ConsumedEnergyRaw."
        )
    if counts["of_steps"]:
        yield f"Of {counts['of_steps']} jobs only steps tell energy: steps that ran at once are counted once."
    if counts["overlapping"]:
        yield (
            f"Of {counts['overlapping']} jobs Slurm itself added up steps that ran at once, so it may tell too much; "
            "PrologFlags=Contain ends that."
        )
    if counts["doubtful"]:
        yield f"{counts['doubtful']} times fell into the hour in which clocks changed: the earlier reading was taken."
    if any(len(one.nodes) > 1 and one.energy_j is not None for one in ran):
        yield "Energy of jobs on several nodes is split equally over them: sacct tells no more."
    if saying.gather == "gpu" and (sharing := _sharing(ran)):
        yield (
            f"{sharing} jobs ran on a node beside another one. Slurm tells each of its own GPUs, which sacct does not "
            "name, so only one of them counts at a time: the total is too low."
        )
    alone = sum(not one.has_whole_nodes for one in ran)
    if alone:
        yield (
            f"{alone} jobs may have shared their nodes, so what others measure there is not given to them: state what "
            "a node has, or that jobs have whole nodes."
        )
    if len({one.row["cluster"] for one in ran}) > 1:
        yield "The file is of several clusters, whose jobs may have the same numbers: import each by itself."
    if table.repeated:
        yield f"{table.repeated} lines stand twice and count once."
    if table.orphans:
        yield f"{table.orphans} steps are left out, whose job has no line."
    if "jobidraw" not in table.columns and any("_" in one.key or "+" in one.key for one in ran):
        yield "Without JobIDRaw, tasks of arrays are not the jobs that an agent on the node names."


def _sharing(ran: list[Ran]) -> int:
    """How many jobs ran on some node while another one did."""
    by_node: dict[str, list[tuple[datetime, datetime, int]]] = {}
    for k, one in enumerate(ran):
        for node in one.nodes if one.energy_j is not None else ():
            by_node.setdefault(node, []).append((one.started_at, one.ended_at, k))
    sharing = set()
    for of_node in by_node.values():
        of_node.sort()
        until, last = of_node[0][1], of_node[0][2]
        for start, end, k in of_node[1:]:
            if start < until:
                sharing |= {last, k}
            if end > until:
                until, last = end, k
    return len(sharing)


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = ["ASK", "DEVICES", "parse"]
