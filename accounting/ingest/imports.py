"""Files of past runs that people bring: looked at first, taken in parts, and taken back.

The only writer of `FileImport` and `HeldFile`. A part is a transaction; what broke off is repeated, and what had come
in already is a duplicate then. A person changes what may have been reported, so a `Keeper` keeps what stood.
"""

import hashlib
import zlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from django.db import transaction
from django.db.models import Q

from accounting.agent.wire import ItemError, TelemetryBatch
from accounting.ingest.columns import SOURCES, microsecond
from accounting.ingest.dirty import DeviceHour, TooWide, hours_of_spans, hours_to_restate
from accounting.ingest.formats.imported import ImportedFile, ImportRefused, Stated
from accounting.ingest.import_kinds import KINDS, prepared
from accounting.ingest.import_parts import halves, parts
from accounting.ingest.import_service import give_back, note_service, revive
from accounting.ingest.jobs import Span
from accounting.ingest.spans import poster_of
from accounting.ingest.store import speaker, store
from accounting.methods.units import US_PER_HOUR
from accounting.models import (
    ApiToken,
    Device,
    DirtyHour,
    EnergyHour,
    EnergySpan,
    FileImport,
    HeldFile,
    JobMark,
    Site,
    Team,
    User,
)

_AT_ONCE = 2_000  # spans or marks withdrawn in a transaction
_MOST_SHOWN = 20
_CLAIM_HOLDS = timedelta(hours=1)


class Keeper(Protocol):
    """Keeps what was reported. Asked in the transaction that changes it."""

    def hold(self) -> None:
        """Before the change."""

    def keep(self, hours: set[DeviceHour]) -> None:
        """After it."""

    def close(self) -> None:
        """Once all of it is done."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of a file. Nothing is stored."""

    found: ImportedFile
    already: int  # runs whose energy is here
    faults: tuple[str, ...]  # why it cannot be taken for this team or site

    @property
    def may_be_taken(self) -> bool:
        return not (self.faults or self.found.wrong) and self.found.facts.runs > 0


def read(kind: str, body: bytes, *, team: Team | None, stated: Stated) -> ImportedFile:
    """Parse with what is stated and may be stated of this kind.

    Raises:
        ImportRefused: as its format says.
    """
    said = {name: text for name, text in stated.items() if name in KINDS[kind].stated and str(text).strip()}
    return KINDS[kind].parse(body, stated=said | ({"team": team.slug} if team is not None else {}))


def preview(found: ImportedFile, *, team: Team | None, site: Site | None) -> Preview:
    """What is here already, and what stands in the way. A query for 500 runs."""
    runs = {(span.run, span.source) for span in found.batch.energy_spans}
    posters = sorted({poster_of(run) for run, _ in runs})
    sources = {SOURCES[source] for _, source in runs}
    already: set[int] = set()
    for k in range(0, len(posters), 500):
        some = EnergySpan.objects.filter(poster__in=posters[k : k + 500], source__in=sources, **_of(team, site))
        already.update(some.order_by().values_list("poster", flat=True).distinct())
    return Preview(found, len(already), tuple(_faults(found, team)))


def hold(
    body: bytes,
    *,
    kind: str,
    team: Team | None,
    site: Site | None,
    file_name: str,
    stated: Stated,
    by: User,
    now: datetime,
) -> HeldFile:
    """Keep a file until it is confirmed. What a person left unconfirmed before goes."""
    HeldFile.objects.filter(held_by=by, file_import=None).delete()
    packed = zlib.compress(body, 6)
    return HeldFile.objects.create(
        kind=kind,
        team=team,
        site=site,
        file_name=file_name[:200],
        stated=dict(stated),
        body=packed,
        held_by=by,
        held_at=now,
    )


def confirm(held: HeldFile, *, now: datetime) -> FileImport:
    """The import that a held file becomes; `go_on` takes it in. Twice confirmed is once."""
    with transaction.atomic():
        held = HeldFile.objects.select_for_update(of=("self",)).select_related("file_import").get(pk=held.pk)
        if held.file_import is None:
            body = zlib.decompress(held.body)
            held.file_import = _begun(
                body, held.kind, held.team, held.site, held.file_name, held.stated, held.held_by, now
            )
            held.save(update_fields=["file_import"])
        return held.file_import


def go_on(held: HeldFile, *, keeper: Keeper, now: datetime) -> FileImport:
    """Take a confirmed file in, from its beginning; what is here already is passed over. Then it is let go."""
    brought = held.file_import
    if brought is None:
        raise ValueError("the file is not confirmed yet")
    found = read(held.kind, zlib.decompress(held.body), team=held.team, stated=held.stated)
    _take_parts(found, brought, keeper=keeper, now=now)
    HeldFile.objects.filter(pk=held.pk).delete()
    return brought


def claim(*, now: datetime) -> HeldFile | None:
    """The oldest confirmed file that nobody takes in. Who claimed it long ago has died: what it did is repeated."""
    waiting = Q(claimed_at=None) | Q(claimed_at__lt=now - _CLAIM_HOLDS)
    for pk in HeldFile.objects.exclude(file_import=None).filter(waiting).values_list("pk", flat=True):
        if HeldFile.objects.filter(waiting, pk=pk).update(claimed_at=now):
            return HeldFile.objects.select_related("team", "site", "file_import").get(pk=pk)
    return None


def fail(brought: FileImport, why: str) -> None:
    """Say why it broke off. What came in stays, and counts again when it is repeated or withdrawn."""
    _say(brought, state="failed", messages=[why[:300]])


def take(
    found: ImportedFile,
    body: bytes,
    *,
    kind: str,
    team: Team | None,
    site: Site | None,
    file_name: str,
    stated: Stated,
    imported_by: User | None,
    keeper: Keeper,
    now: datetime,
) -> FileImport:
    """Take a whole file in at once.

    Raises:
        ImportRefused: there are errors in it, or nothing.
    """
    if found.wrong or not found.facts.runs:
        raise ImportRefused(f"{found.wrong} wrong lines, {found.facts.runs} runs: nothing was stored")
    brought = _begun(body, kind, team, site, file_name, stated, imported_by, now)
    _take_parts(found, brought, keeper=keeper, now=now)
    return brought


class Sealed(ValueError):
    """Hours that the file speaks of have been sealed: their raw samples are gone, and they stay as they are."""


def withdraw(brought: FileImport, *, keeper: Keeper, now: datetime) -> None:
    """Take back every span and mark that the file brought, in parts; repeated, it goes on where it broke off.

    Raises:
        Sealed: nothing was taken back.
    """
    _refuse_sealed(brought)
    for rows in (brought.energy_spans.order_by("pk"), brought.marks.order_by("pk")):
        while True:
            with transaction.atomic():
                keeper.hold()
                some = list(rows[:_AT_ONCE])
                if not some:
                    break
                _withdraw_some(some, keeper=keeper, now=now)
    with transaction.atomic():
        keeper.hold()
        spans = give_back(brought.brought.get("service", {}), now=now)
        _mark(hours_to_restate(spans), keeper=keeper, now=now)
        HeldFile.objects.filter(file_import=brought).delete()
        brought.withdrawn_at = now
        brought.save(update_fields=["withdrawn_at"])
    keeper.close()


def _refuse_sealed(brought: FileImport) -> None:
    spans = list(brought.energy_spans.values_list("device_id", "started_at_us", "ended_at_us"))
    sealed: dict[int, list[int]] = defaultdict(list)
    of_devices = EnergyHour.objects.filter(sealed=True, device__in={device_id for device_id, _, _ in spans})
    for device_id, hour in of_devices.order_by("hour").values_list("device_id", "hour").distinct():
        sealed[device_id].append(microsecond(hour))
    for device_id, started_us, ended_us in spans:
        hours = sealed[device_id]
        at = bisect_left(hours, started_us // US_PER_HOUR * US_PER_HOUR)
        if at < len(hours) and hours[at] < ended_us:
            raise Sealed(
                f"{brought.file_name} speaks of hours whose raw samples have been retired: they stay as they are, and"
                " what others read there cannot be counted again"
            )


def _withdraw_some(some: list[EnergySpan] | list[JobMark], *, keeper: Keeper, now: datetime) -> None:
    now_us = round(now.timestamp() * 1e6)
    spans = [Span(row.device_id, row.started_at_us, row.ended_at_us or now_us) for row in some]
    type(some[0]).objects.filter(pk__in=[row.pk for row in some]).delete()
    hours = hours_of_spans(spans) if isinstance(some[0], EnergySpan) else hours_to_restate(spans)
    _mark(hours, keeper=keeper, now=now)


def _mark(hours: set[DeviceHour], *, keeper: Keeper, now: datetime) -> None:
    DirtyHour.objects.mark(hours, now=now)
    keeper.keep(hours)


def _begun(
    body: bytes,
    kind: str,
    team: Team | None,
    site: Site | None,
    file_name: str,
    stated: Stated,
    by: User | None,
    now: datetime,
) -> FileImport:
    return FileImport.objects.create(
        kind=kind,
        team=team,
        site=site,
        file_name=file_name[:200],
        sha256=hashlib.sha256(body).hexdigest(),
        stated=dict(stated),
        brought={"state": "waiting"},
        imported_by=by,
        imported_at=now,
    )


def _take_parts(found: ImportedFile, brought: FileImport, *, keeper: Keeper, now: datetime) -> None:
    token = speaker(team=brought.team, site=brought.site)
    counts: Counter[str] = Counter()
    messages: list[str] = []
    service: dict[str, str | None] = dict(brought.brought.get("service", {}))
    batch, unplaced = _placed(found.batch, brought.team, brought.site)
    waiting = list(parts(batch))
    of = len(waiting)
    facts = {
        "runs": found.facts.runs,
        "energy_kwh": found.facts.energy_kwh,
        "without_energy": found.facts.without_energy,
    }
    facts |= {"first": found.facts.first, "last": found.facts.last, "unplaced_marks": unplaced}
    while waiting:
        part = waiting.pop(0)
        try:
            errors = _take_part(part, brought, token, service, counts, keeper=keeper, now=now)
        except TooWide:
            if len(smaller := halves(part)) < 2:
                raise
            waiting[:0] = smaller
            continue
        messages += [f"{error.list}: {error.detail}" for error in errors]
        done = min(of - len(waiting), of)
        _say(brought, state="running", done=done, of=of, service=service, **facts, **counts)
    _say(brought, state="done", done=of, of=of, service=service, messages=messages[:_MOST_SHOWN], **facts, **counts)
    keeper.close()


def _take_part(
    part: TelemetryBatch,
    brought: FileImport,
    token: ApiToken,
    service: dict[str, str | None],
    counts: Counter[str],
    *,
    keeper: Keeper,
    now: datetime,
) -> list[ItemError]:
    """One part, in a transaction. What it changed of devices' service is noted with it."""
    hours: set[DeviceHour] = set()
    named = {(span.host, span.device) for span in part.energy_spans}
    with transaction.atomic():
        keeper.hold()
        part = prepared(brought.kind, part, token=token, now=now)
        revive(named, brought.team, brought.site, now=now)
        with note_service(service, named, brought.team, brought.site):
            reply = store(part, token=token, now=now, import_id=brought.pk, marked=hours)
        keeper.keep(hours)
        _say(brought, service=service)
    counts.update(
        accepted=reply.accepted, duplicates=reply.duplicates, conflicts=reply.conflicts, rejected=reply.rejected
    )
    return reply.errors


def _say(brought: FileImport, **said: object) -> None:
    brought.brought = {**brought.brought, **said}
    brought.save(update_fields=["brought"])


def _placed(batch: TelemetryBatch, team: Team | None, site: Site | None) -> tuple[TelemetryBatch, int]:
    """Without the marks of hosts of which nothing is known: there is nothing that they could hold."""
    names = {mark.host or "" for mark in batch.job_marks}
    known = {span.host for span in batch.energy_spans}
    wanted = sorted(names - known)
    for k in range(0, len(wanted), 500):
        some = Device.objects.filter(host__name__in=wanted[k : k + 500], **_of(team, site, "host__"))
        known |= set(some.order_by().values_list("host__name", flat=True).distinct())
    marks = [mark for mark in batch.job_marks if mark.host in known]
    return replace(batch, job_marks=marks), len(batch.job_marks) - len(marks)


def _faults(found: ImportedFile, team: Team | None) -> list[str]:
    named = {job.team for job in found.batch.jobs if job.team is not None}
    if team is not None:
        foreign = sorted(named - {team.slug})
        return [f"it names the teams {', '.join(foreign)}: this is imported for {team.slug} only"] if foreign else []
    unknown = sorted(named - set(Team.objects.filter(slug__in=named).values_list("slug", flat=True)))
    return [f"there is no team {', '.join(unknown)}: make it first, or state another"] if unknown else []


def _of(team: Team | None, site: Site | None, host: str = "device__host__") -> Mapping[str, object]:
    """Whose hosts a file for a team or a site speaks of."""
    if team is not None:
        return {f"{host}team": team}
    return {f"{host}site": site, f"{host}team": None}


__all__ = [
    "Keeper",
    "Preview",
    "Sealed",
    "claim",
    "confirm",
    "fail",
    "go_on",
    "hold",
    "preview",
    "read",
    "take",
    "withdraw",
]
