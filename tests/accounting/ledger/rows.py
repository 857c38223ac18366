"""Rows that the ledger's tests start from."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from accounting.ledger.instants import hour_of, to_us
from accounting.models import (
    Device,
    DeviceDay,
    DeviceSample,
    DirtyHour,
    EnergyHour,
    FacilitySample,
    Host,
    Job,
    JobMark,
    LedgerHour,
    Quantities,
    Site,
    SiteTerms,
    TeamDay,
    TeamHour,
)

HOUR = timedelta(hours=1)
EIGHT = datetime(2026, 3, 2, 8, tzinfo=UTC)  # where most tests begin
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # their now
COLUMNS = [field.name for field in Quantities._meta.get_fields()]
AGENT, METER, MODEL = DeviceSample.Source.AGENT, DeviceSample.Source.METER, DeviceSample.Source.MODEL


def a_site(slug: str = "paris", **terms: object) -> Site:
    site = Site.objects.create(name=slug, slug=slug)
    if terms:
        SiteTerms.objects.create(site=site, **({"valid_from": datetime(2020, 1, 1, tzinfo=UTC)} | terms))
    return site


def a_device(key: str = "gpu-0", *, site: Site | None = None, team=None, kind: str = "gpu", **fields: object) -> Device:
    host, _ = Host.objects.get_or_create(name="node-1", site=site, team=team)
    return Device.objects.create(host=host, key=key, kind=kind, **({"acquired_at": EIGHT} | fields))


def post(
    device: Device,
    seconds: Sequence[float],
    watts: float | Callable[[float], float] | None = None,
    *,
    counter: Callable[[float], float] | None = None,
    job: Job | None = None,
    source: int = AGENT,
    measured: bool = True,
    start: datetime = EIGHT,
    epoch: int = 1,
) -> list[DeviceSample]:
    """Store readings, seconds after `start`, and mark what ingest would: their hours and their neighbours'."""
    rows = [
        DeviceSample(
            device=device,
            measured_at_us=to_us(start) + round(s * 1_000_000),
            source=source,
            power_w=watts(s) if callable(watts) else watts,
            energy_j=counter(s) if counter else None,
            job=job,
            measured=measured,
            epoch=epoch,
            received_at_us=0,
        )
        for s in seconds
    ]
    DeviceSample.objects.bulk_create(rows)
    hours = {hour_of(start + timedelta(seconds=s)) for s in seconds}
    first, last = min(r.measured_at_us for r in rows), max(r.measured_at_us for r in rows)
    of_source = DeviceSample.objects.filter(device=device, source=source)
    before = of_source.filter(measured_at_us__lt=first).order_by("-measured_at_us").first()
    after = of_source.filter(measured_at_us__gt=last).order_by("measured_at_us").first()
    hours |= {hour_of(start + timedelta(microseconds=n.measured_at_us - to_us(start))) for n in (before, after) if n}
    DirtyHour.objects.mark([(device.pk, hour) for hour in hours], now=NOON)
    return rows


def tell(site: Site, at: datetime, **fields: float) -> FacilitySample:
    return FacilitySample.objects.create(site=site, measured_at_us=to_us(at), received_at_us=0, **fields)


def hold(job: Job, device: Device, start: datetime, end: datetime | None) -> JobMark:
    ended_us = None if end is None else to_us(end)
    return JobMark.objects.create(job=job, device=device, started_at_us=to_us(start), ended_at_us=ended_us)


def ledger() -> dict[str, list[tuple[object, ...]]]:
    """Everything the ledger says, without row numbers and times of writing."""
    energy = [f.name for f in EnergyHour._meta.fields if f.name != "id"]
    of_hour = ("device", "hour", "job", "team", "project", "site", "energy_status", "status", "factor_ids", "method")
    tables = {
        "energy": (EnergyHour, energy),
        "ledger": (LedgerHour, [*of_hour, *COLUMNS]),
        "team hours": (TeamHour, ["hour", "team", "project", "site", "status", *COLUMNS]),
        "team days": (TeamDay, ["day", "team", "project", "site", "status", *COLUMNS]),
        "device days": (DeviceDay, ["day", "device", "team", "status", *COLUMNS]),
    }
    return {name: sorted(model.objects.values_list(*columns), key=repr) for name, (model, columns) in tables.items()}


def wipe() -> None:
    for model in (EnergyHour, LedgerHour, TeamHour, TeamDay, DeviceDay, DirtyHour):
        model.objects.all().delete()
