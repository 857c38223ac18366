"""Since when devices are in service, as an import finds it and as its withdrawal leaves it.

An import brings devices into service from their first span. Taken back, that must go too, or their making would still
be accounted for in hours of which nothing is told any more.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db.models import F, Q

from accounting.ingest.columns import EPOCH, microsecond
from accounting.ingest.jobs import Span
from accounting.models import Device, DeviceSample, DeviceUse, EnergySpan, JobMark, Site, Team

_Named = Collection[tuple[str | None, str]]  # host, device
Service = Mapping[str, str | None]  # device id -> in service from, before the import; None: it was not known


@contextmanager
def note_service(service: dict[str, str | None], named: _Named, team: Team | None, site: Site | None) -> Iterator[None]:
    """Note of each device that an import touches what was known before, the first time."""
    before = {device.pk: device.acquired_at for device in _devices(named, team, site)}
    yield
    for device in _devices(named, team, site):
        was = before.get(device.pk)
        if was != device.acquired_at:
            service.setdefault(str(device.pk), was.isoformat() if was is not None else None)


def revive(named: _Named, team: Team | None, site: Site | None, *, now: datetime) -> None:
    """Bring back devices that a withdrawal has put out of service."""
    gone = _devices(named, team, site, retired_at=F("acquired_at"))
    Device.objects.filter(pk__in=[device.pk for device in gone]).update(retired_at=None, retirement="", acquired_at=now)


def give_back(service: Service, *, now: datetime) -> list[Span]:
    """As it was before; the time in which that makes a difference.

    A device that other readings came of since stays in service from the first of them. One of which nothing is left
    was in service at no time.
    """
    spans = []
    for device in Device.objects.filter(pk__in=[int(pk) for pk in service]).order_by("pk"):
        written = service[str(device.pk)]
        told = [at for at in (_first_told(device), datetime.fromisoformat(written) if written else None) if at]
        spans.append(Span(device.pk, microsecond(device.acquired_at), microsecond(max(now, device.acquired_at))))
        if told:
            device.acquired_at = min(told)
        elif not JobMark.objects.filter(device=device).exists():
            device.retired_at, device.retirement = device.acquired_at, Device.Retirement.PASSED_ON
        device.save(update_fields=["acquired_at", "retired_at", "retirement"])
    return spans


def _first_told(device: Device) -> datetime | None:
    firsts = [
        model.objects.filter(device=device).order_by(column).values_list(column, flat=True).first()
        for model, column in (
            (EnergySpan, "started_at_us"),
            (DeviceSample, "measured_at_us"),
            (DeviceUse, "measured_at_us"),
        )
    ]
    known = [at for at in firsts if at is not None]
    return EPOCH + timedelta(microseconds=min(known)) if known else None


def _devices(named: _Named, team: Team | None, site: Site | None, **more: object) -> list[Device]:
    mine = Q(host__team=team) if team is not None else Q(host__site=site, host__team=None)
    hosts, keys = sorted({host for host, _ in named if host}), sorted({key for _, key in named})
    found: list[Device] = []
    for k in range(0, len(hosts), 500):
        found += Device.objects.filter(mine, host__name__in=hosts[k : k + 500], key__in=keys, **more)
    return found
