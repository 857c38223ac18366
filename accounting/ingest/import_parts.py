"""A file's batch in parts of which each is a transaction. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from accounting.agent.wire import TelemetryBatch

PART = 2_000  # spans, marks, or jobs


def parts(batch: TelemetryBatch) -> Iterator[TelemetryBatch]:
    """Spans in time first, then marks, then jobs that have neither; each part with its own jobs and devices."""
    jobs, devices, told = {job.job: job for job in batch.jobs}, {}, set()
    for device in batch.devices:
        devices[device.host, device.device] = device
    spans = sorted(batch.energy_spans, key=lambda span: span.started_at)
    for k in range(0, len(spans), PART):
        some = spans[k : k + PART]
        names = {span.job for span in some if span.job is not None}
        told |= names
        yield TelemetryBatch(
            energy_spans=some,
            jobs=[jobs[name] for name in sorted(names) if name in jobs],
            devices=[devices[key] for key in sorted({(s.host, s.device) for s in some} & devices.keys(), key=str)],
        )
    marks = sorted(batch.job_marks, key=lambda mark: mark.started_at)
    for k in range(0, len(marks), PART):
        some_marks = marks[k : k + PART]
        named = {mark.job for mark in some_marks}
        told |= named
        yield TelemetryBatch(job_marks=some_marks, jobs=[jobs[name] for name in sorted(named) if name in jobs])
    rest = [job for job in batch.jobs if job.job not in told]
    for k in range(0, len(rest), PART):
        yield TelemetryBatch(jobs=rest[k : k + PART])


def halves(part: TelemetryBatch) -> list[TelemetryBatch]:
    """The same in two, where it reaches over too many device-hours; as it is, where it cannot be halved."""
    for name in ("energy_spans", "job_marks"):
        items = getattr(part, name)
        if len(items) > 1:
            middle = len(items) // 2
            return [replace(part, **{name: items[:middle]}), replace(part, **{name: items[middle:]})]
    return [part]
