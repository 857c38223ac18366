"""A checked batch into the database, in one transaction: the only writer of samples, jobs, marks, hosts and devices.

Read `_store` downwards: who may post what, what the names stand for, the samples, the marks, the hours they stale.
Every batch takes its locks in this order and each table's rows in the order of their keys, so that batches wait for
each other but never in a circle.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b

import numpy as np
from django.conf import settings
from django.db import transaction
from numpy.typing import NDArray

from accounting.agent import wire
from accounting.agent.wire import ItemError, TelemetryReply
from accounting.ingest.admit import Admitted, admit
from accounting.ingest.agents import hear, take
from accounting.ingest.columns import EPOCH, NO_SEQ, SampleColumns, columns, microsecond
from accounting.ingest.dirty import (
    DeviceHour,
    hours_of_jobs,
    hours_of_samples,
    hours_of_spans,
    hours_to_make,
    hours_to_restate,
)
from accounting.ingest.facility import KeptFacility, keep_facility
from accounting.ingest.fleet import Fleet, register
from accounting.ingest.intake import count_intake
from accounting.ingest.jobs import Jobs, Span, keep_marks, register_jobs
from accounting.ingest.partitions import days_of, written
from accounting.ingest.retirement import without_old
from accounting.ingest.samples import joined, keep, set_aside
from accounting.ingest.shapes import CheckedBatch
from accounting.ingest.spans import KeptSpans, keep_spans
from accounting.ingest.uses import KeptUses, keep_uses
from accounting.ingest.validate import check
from accounting.methods.units import US_PER_S
from accounting.models import ApiToken, Device, DirtyHour, FacilitySample, Site, Team


def latest_accepted(now: datetime) -> datetime:
    """The last instant that does not lie in the future: agents' clocks are granted some error."""
    return now + timedelta(seconds=settings.GREENAI["future_limit_s"])


def store(
    batch: CheckedBatch | wire.TelemetryBatch,
    *,
    token: ApiToken,
    now: datetime,
    errors: Iterable[ItemError] = (),
    import_id: int | None = None,
    marked: set[DeviceHour] | None = None,
    protocol: str = "telemetry",
) -> TelemetryReply:
    """Store what is new, set aside what contradicts, and say what became of every item.

    Args:
        batch: as `validate.parse` gave it; a batch made in Python is checked first.
        token: who speaks. A person's import has none: `speaker` makes a stand-in.
        errors: what `validate.parse` found.
        import_id: the `FileImport` that brought its spans and marks.
        marked: is given the device-hours that the ledger must make again.
        protocol: what the poster speaks; only counted by it.

    Raises:
        EnvelopeError: a batch made in Python cannot be read.
        TooWide: it reaches over too many device-hours; nothing was stored.
    """
    if isinstance(batch, wire.TelemetryBatch):
        batch, found = check(batch, latest=latest_accepted(now))
        errors = [*errors, *found]

    def write() -> TelemetryReply:
        with transaction.atomic():
            return _store(admit(batch, token=token, errors=errors), token, now, import_id, protocol, marked)

    return written(days_of([sample.measured_at for sample in batch.device_samples]), write)


def speaker(*, team: Team | None = None, site: Site | None = None) -> ApiToken:
    """Stands in for a token where a person brings a file for a team or a site. Never saved."""
    return ApiToken(name="import", team=team, site=site)


def _store(
    admitted: Admitted,
    token: ApiToken,
    now: datetime,
    import_id: int | None,
    protocol: str,
    marked: set[DeviceHour] | None,
) -> TelemetryReply:
    fleet = register(admitted.batch, token=token, now=now)
    admitted = without_old(admitted, fleet, now=now)
    batch, now_us = admitted.batch, microsecond(now)
    stream = None
    if batch.agent is not None:
        stream = hear(batch.agent, host_id=fleet.host_ids[batch.agent.host], now=now)
    taken = stream.taken if stream is not None else []
    jobs = register_jobs(admitted, token=token)

    samples = _columns(batch, fleet, jobs)
    epoch = _epoch(batch, token)
    parts = [
        keep(part, taken=taken, epoch=of_part, received_at_us=now_us, now=now)
        for of_part, part in _by_epoch(batch, samples, epoch)
    ]
    kept = parts[0] if len(parts) == 1 else joined(parts)
    facility = KeptFacility()
    if batch.facility_samples:
        facility = keep_facility(batch.facility_samples, token.site, taken=taken, now=now)
    uses = keep_uses(batch.device_uses, fleet, jobs, now=now) if batch.device_uses else KeptUses()
    told = KeptSpans()
    if batch.energy_spans:
        told = keep_spans(batch.energy_spans, fleet, jobs, poster=epoch, now=now, import_id=import_id)
    conflicts = [*kept.conflicts, *facility.conflicts, *uses.conflicts, *told.conflicts]
    set_aside(conflicts)
    if stream is not None:
        take(stream, _numbers(batch, samples))

    spans, mark_errors = keep_marks(admitted, fleet, jobs, now_us=now_us, import_id=import_id)
    gained = _lower_acquired(_firsts(kept.changed, told.spans), fleet)
    spans += [Span(device.pk, microsecond(device.acquired_at), now_us) for device in fleet.redescribed]
    spans += _spans_of_facility(facility, token)
    spans += uses.spans
    hours = hours_of_samples(kept.changed, now_us=now_us) | hours_of_spans(told.spans)
    hours |= hours_to_make(gained) | hours_to_restate(spans)
    hours |= hours_of_jobs(jobs.moved)
    DirtyHour.objects.mark(hours, now=now)
    if marked is not None:
        marked |= hours

    errors = [*admitted.errors, *mark_errors]
    duplicates = kept.duplicates + facility.duplicates + uses.duplicates + told.duplicates
    accepted = kept.accepted + len(facility.changed_us) + uses.accepted + told.accepted
    reply = TelemetryReply(accepted, duplicates, len(conflicts), len(errors), errors)
    told_of = [*np.unique(samples.device_id).tolist(), *{span.device_id for span in told.spans}]
    count_intake(reply, token=token, protocol=protocol, device_ids=told_of, now=now)
    return reply


def _columns(batch: CheckedBatch, fleet: Fleet, jobs: Jobs) -> SampleColumns:
    named = [(sample.host, sample.device) for sample in batch.device_samples]
    ids = {name: fleet.device_id(*name) for name in set(named)}
    job_ids = jobs.ids_of([sample.job for sample in batch.device_samples])
    return columns(batch.device_samples, [ids[name] for name in named], job_ids)


def _epoch(batch: CheckedBatch, token: ApiToken) -> int:
    """A number for the poster's boot. Without an agent nothing is known of boots; the token stands in."""
    agent = batch.agent
    boot = f"token {token.pk}" if agent is None else f"{agent.host}\n{agent.id}\n{agent.boot_id}"
    return _number_of(boot)


def _by_epoch(batch: CheckedBatch, samples: SampleColumns, epoch: int) -> Iterator[tuple[int, SampleColumns]]:
    """The samples by whose boot their counters are of: all the poster's own, unless they name others."""
    if not any(sample.boot for sample in batch.device_samples):
        yield epoch, samples
        return
    rows: dict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(batch.device_samples):
        rows[sample.boot].append(row)
    for boot, some in sorted(rows.items()):
        of_boot = _number_of(f"{epoch}\n{boot}") if boot else epoch
        yield of_boot, samples.take(np.array(some, dtype=np.int64))


def _number_of(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _numbers(batch: CheckedBatch, samples: SampleColumns) -> NDArray[np.int64]:
    of_facility = [sample.seq for sample in batch.facility_samples if sample.seq is not None]
    return np.append(samples.seq[samples.seq != NO_SEQ], of_facility).astype(np.int64)


def _firsts(changed: SampleColumns, spans: Iterable[Span]) -> dict[int, int]:
    """The first instant that was told of each device."""
    firsts = np.unique(changed.device_id, return_index=True)[1]  # rows are sorted by device, then time
    found = dict(zip(*(c[firsts].tolist() for c in (changed.device_id, changed.measured_at_us)), strict=True))
    for span in spans:
        found[span.device_id] = min(span.start_us, found.get(span.device_id, span.start_us))
    return found


def _lower_acquired(firsts: Mapping[int, int], fleet: Fleet) -> list[Span]:
    """A device was in service when it was read, however late the reading comes in. The time it gains by that."""
    gained: list[Span] = []
    if not fleet.older:
        return gained
    known = {device.pk: device for device in fleet.devices.values()}
    for device_id, first_us in sorted(firsts.items()):
        acquired_us = microsecond(known[device_id].acquired_at)
        if first_us < acquired_us:
            first = EPOCH + timedelta(microseconds=first_us)
            Device.objects.filter(pk=device_id, acquired_at__gt=first).update(acquired_at=first)
            gained.append(Span(device_id, first_us, acquired_us))
            if _life_may_be_over(known[device_id]):
                fleet.redescribed.append(known[device_id])
    return gained


def _life_may_be_over(device: Device) -> bool:
    """Whether an earlier start moves hours beyond those gained: the end of its life, or what is left to write off."""
    return device.retired_at is not None or device.lifetime_h is not None or device.served_h_before > 0.0


def _spans_of_facility(facility: KeptFacility, token: ApiToken) -> list[Span]:
    """All the site's devices, as long as a reading holds; litres also reach the water readings beside them."""
    if not facility.changed_us:
        return []
    holds_us = round(settings.GREENAI["facility_max_age_s"] * US_PER_S)
    device_ids = Device.objects.filter(host__site=token.site_id).order_by().values_list("pk", flat=True)
    reach_us = FacilitySample.WATER_REACH_US
    spans = [(at, at + holds_us) for at in facility.changed_us]
    spans += [(at - reach_us, at + reach_us) for at in facility.water_us]
    return [Span(device_id, start_us, end_us) for device_id in device_ids for start_us, end_us in spans]
