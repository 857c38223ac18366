"""A file of CodeCarbon's runs beside what the same runs posted live: only what got lost on the way comes in.

Whoever imports such a file hands its batch through `beside_live` before `store`. A run that was posted is found by its
id, or, as 3.3.2 writes "None" there, by experiment, host and time. Of it the file brings what its total holds beyond
the posts, into the time that no post speaks of: the tail that is never sent, posts that failed.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q

from accounting.agent.wire import EnergySpan, JobInfo, TelemetryBatch
from accounting.ingest.codecarbon import mine
from accounting.ingest.columns import EPOCH, microsecond
from accounting.ingest.spans import poster_of
from accounting.methods.units import US_PER_S
from accounting.models import ApiToken, CodeCarbonRun, Device, Host
from accounting.models import EnergySpan as StoredSpan

_NEW_J = 1e-9  # of a run's energy: less is how sums are rounded
_UNKNOWN_US = US_PER_S  # a file's times are cut to whole seconds
MOST_OVERLAP = 0.5  # of the shorter, from which two tell of one run


@dataclass(frozen=True, slots=True)
class _Live:
    run: CodeCarbonRun
    from_us: int
    to_us: int


def beside_live(batch: TelemetryBatch, *, token: ApiToken, now: datetime) -> TelemetryBatch:
    """The batch of a file, less what is there already; and what stands for one process's share carries no making.

    In the caller's transaction. Three queries, and two for each run that was posted.
    """
    series: dict[str, list[EnergySpan]] = defaultdict(list)
    for span in batch.energy_spans:
        series[span.run].append(span)
    live = _live_runs(batch.energy_spans, token)
    used: set[Any] = set()
    spans: list[EnergySpan] = []
    renamed: dict[str, CodeCarbonRun] = {}
    for name, of_run in series.items():
        found = _same(name, of_run, [one for one in live if one.run.pk not in used])
        if found is None:
            spans += of_run
            continue
        used.add(found.run.pk)
        renamed[of_run[0].job or ""] = found.run
        spans += _beyond(of_run, found.run, token)
    named = {(span.host, span.device) for span in spans}
    devices = [device for device in batch.devices if (device.host, device.device) in named]
    jobs = [_posted_job(job, renamed[job.job]) if job.job in renamed else job for job in batch.jobs]
    kept = replace(batch, devices=devices, jobs=jobs, energy_spans=spans)
    _make_shares(kept, token)
    return kept


def _posted_job(job: JobInfo, run: CodeCarbonRun) -> JobInfo:
    return JobInfo(run.job_key, team=run.team_slug or job.team)


def _us(written: str) -> int:
    return microsecond(datetime.fromisoformat(written).astimezone(UTC))


def _live_runs(spans: Sequence[EnergySpan], token: ApiToken) -> list[_Live]:
    """Posted runs of these hosts and times."""
    if not spans:
        return []
    hosts = {span.host for span in spans}
    first_us, last_us = min(_us(s.started_at) for s in spans), max(_us(s.ended_at) for s in spans)
    owner = Q(*[(f"experiment__{name}", value) for name, value in mine(token).children])
    runs = CodeCarbonRun.objects.select_related("experiment").filter(
        owner, tells_totals=False, told_from_us__lte=last_us + _UNKNOWN_US, told_to_us__gte=first_us
    )
    ids = {span.run.removeprefix("codecarbon ") for span in spans}
    of_files = [run for run in runs.order_by("pk") if run.host_name in hosts or str(run.pk) in ids]
    return [_Live(run, run.told_from_us or 0, run.told_to_us or 0) for run in of_files]


def _same(name: str, of_run: Sequence[EnergySpan], live: Iterable[_Live]) -> _Live | None:
    first_us, last_us = min(_us(s.started_at) for s in of_run), max(_us(s.ended_at) for s in of_run)
    best: tuple[float, _Live] | None = None
    for one in live:
        if name == f"codecarbon {one.run.pk}":
            return one
        if one.run.host_name != of_run[0].host or f"csv {one.run.experiment.key} " not in name:
            continue
        common_us = min(last_us + _UNKNOWN_US, one.to_us) - max(first_us, one.from_us)
        share = common_us / max(min(last_us - first_us, one.to_us - one.from_us), 1)
        if share >= MOST_OVERLAP and (best is None or share > best[0]):
            best = (share, one)
    return best[1] if best else None


def _beyond(of_run: Sequence[EnergySpan], run: CodeCarbonRun, token: ApiToken) -> list[EnergySpan]:
    """What the file's total holds beyond the posts, evenly over the time of the run that no post speaks of."""
    by_kind: dict[str, list[EnergySpan]] = defaultdict(list)
    for span in of_run:
        by_kind[_kind(span.device)].append(span)
    posted = _posted(run)
    found = []
    for kind, of_device in by_kind.items():
        key, stored = posted.get(kind, (of_device[0].device, []))
        total_j = math.fsum(span.energy_j or 0.0 for span in of_device)
        rest_j = total_j - math.fsum(j for _, _, j in stored)
        if rest_j <= _NEW_J * total_j:
            continue
        first_us = min(_us(span.started_at) for span in of_device)
        last_us = max(_us(span.ended_at) for span in of_device) + _UNKNOWN_US
        free = _free(first_us, last_us, [(a, b) for a, b, _ in stored])
        length_us = sum(b - a for a, b in free)
        found += [
            replace(of_device[0], device=key, host=run.host_name, job=run.job_key, started_at=_iso(a), ended_at=_iso(b),
                    energy_j=rest_j * ((b - a) / length_us), run=f"codecarbon {run.pk} file")
            for a, b in free
        ]  # fmt: skip
    return found


def _kind(device: str) -> str:
    """`cpu` of codecarbon-cpu and of codecarbon-cpu-1a2b…"""
    return device.split("-")[1]


def _posted(run: CodeCarbonRun) -> dict[str, tuple[str, list[tuple[int, int, float]]]]:
    rows = StoredSpan.objects.filter(
        poster=poster_of(f"codecarbon {run.pk}"), device__host__name=run.host_name, energy_j__isnull=False
    )
    found: dict[str, tuple[str, list[tuple[int, int, float]]]] = {}
    for key, start_us, end_us, energy_j in rows.order_by("started_at_us").values_list(
        "device__key", "started_at_us", "ended_at_us", "energy_j"
    ):
        found.setdefault(_kind(key), (key, []))[1].append((start_us, end_us, energy_j))
    return found


def _free(first_us: int, last_us: int, taken: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a stretch; where nothing is, the second after the last post."""
    free, at_us = [], first_us
    for start_us, end_us in sorted(taken):
        if start_us > at_us:
            free.append((at_us, min(start_us, last_us)))
        at_us = max(at_us, end_us)
    if at_us < last_us:
        free.append((at_us, last_us))
    return [piece for piece in free if piece[1] > piece[0]] or [(at_us, at_us + _UNKNOWN_US)]


def _make_shares(batch: TelemetryBatch, token: ApiToken) -> None:
    """Devices that stand for a process's share: nothing was made for them, and they are gone when it ends."""
    ends: dict[tuple[str, str], int] = {}
    for span in batch.energy_spans:
        if span.host and span.device.count("-") == 2:
            key = (span.host, span.device)
            ends[key] = max(ends.get(key, 0), _us(span.ended_at))
    owner = {"team_id": token.team_id} if token.team_id is not None else {"team_id": None, "site_id": token.site_id}
    kinds = {device.device: device.kind for device in batch.devices}
    for (host_name, key), end_us in sorted(ends.items()):
        host, _ = Host.objects.get_or_create(name=host_name, **owner, defaults={"site_id": token.site_id})
        end = EPOCH + timedelta(microseconds=end_us)
        share = {"embodied_kg": 0.0, "retirement": Device.Retirement.PASSED_ON, "retired_at": end, "acquired_at": end}
        Device.objects.get_or_create(host=host, key=key, defaults={"kind": kinds.get(key, "other"), **share})


def _iso(us: int) -> str:
    return (EPOCH + timedelta(microseconds=us)).isoformat()
