"""Hosts and devices of a batch: found by name within what the token speaks for, registered when first heard of.

A site's token speaks for the site's hosts that no team claims, a team's token for the team's own; so a name can never
reach another team's machine. A device that a sample names before anyone described it is of kind "other".
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from django.db import connection
from django.db.models import Q

from accounting.ingest.shapes import CheckedBatch
from accounting.models import ApiToken, Device, Host

_HOST, _DEVICE = Host._meta.db_table, Device._meta.db_table
DESCRIBED = ("kind", "model", "tdp_w", "memory_bytes")


@dataclass
class Fleet:
    """What the names of one batch stand for."""

    host_ids: dict[str, int]
    device_ids: dict[tuple[int, str], int]  # every device of those hosts, by host and key
    own_host: str | None = None  # the agent's: what an item without a host means
    older: bool = False  # whether a sample may be from before its device is said to have come
    redescribed: list[Device] = field(default_factory=list)  # known before, and to be counted otherwise now

    @cached_property
    def devices(self) -> dict[tuple[int, str], Device]:
        """The devices themselves, for the few batches that need more than their numbers. One query."""
        return _devices(self.host_ids.values())

    def device_id(self, host: str | None, key: str) -> int:
        return self.device_ids[self.host_ids[host or self.own_host or ""], key]

    def device_ids_of(self, host: str | None) -> list[int]:
        host_id = self.host_ids[host or self.own_host or ""]
        return [pk for (held_by, _), pk in sorted(self.device_ids.items()) if held_by == host_id]

    def device(self, host: str | None, key: str) -> Device:
        return self.devices[self.host_ids[host or self.own_host or ""], key]

    def devices_of(self, host: str | None) -> list[Device]:
        host_id = self.host_ids[host or self.own_host or ""]
        return [device for (held_by, _), device in sorted(self.devices.items()) if held_by == host_id]


def register(batch: CheckedBatch, *, token: ApiToken, now: datetime) -> Fleet:
    """Find or make every host and device the batch names. Items without any host must have been taken out before."""
    own_host = batch.agent.host if batch.agent is not None else None
    named = {(s.host or own_host, s.device) for s in (*batch.device_samples, *batch.device_uses, *batch.energy_spans)}
    named |= {(item.host or own_host, item.device) for item in (*batch.devices, *batch.job_marks)}
    told = [*(s.measured_at for s in batch.device_samples), *(span.started_at for span in batch.energy_spans)]
    first = min(told, default=None)
    fleet = _find({host for host, _ in named} | ({own_host} if own_host is not None else set()), token, first)
    fleet.own_host = own_host
    _add_devices({(fleet.host_ids[host], key) for host, key in named if key is not None}, fleet, now)
    _describe(batch, fleet)
    return fleet


def _find(names: set[str], token: ApiToken, first: datetime | None) -> Fleet:
    """The hosts of these names with every device they have. One query, written out: every batch asks it."""
    fleet = Fleet({}, {})
    if not names:
        return fleet
    mine, owner = "h.site_id = %s AND h.team_id IS NULL", token.site_id
    if token.team_id is not None:
        mine, owner = "h.team_id = %s", token.team_id
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT h.name, h.id, d.key, d.id, d.acquired_at > %s FROM {_HOST} h JOIN {_DEVICE} d ON d.host_id = h.id "
            f"WHERE {mine} AND h.name IN ({', '.join(['%s'] * len(names))})",
            [connection.ops.adapt_datetimefield_value(first), owner, *names],
        )
        for name, host_id, key, pk, later in cursor.fetchall():
            fleet.host_ids[name] = host_id
            fleet.device_ids[host_id, key] = pk
            fleet.older = fleet.older or bool(later)
    if missing := names - fleet.host_ids.keys():
        fleet.host_ids |= _hosts(missing, token)
    return fleet


def _hosts(names: set[str], token: ApiToken) -> dict[str, int]:
    """Hosts without a device yet, made where there are none."""
    mine = Host.objects.filter(team=token.team_id, name__in=names).order_by()
    if token.team_id is None:
        mine = mine.filter(site=token.site_id)
    found = dict(mine.values_list("name", "pk"))
    if missing := names - found.keys():
        new = [Host(name=name, site_id=token.site_id, team_id=token.team_id) for name in sorted(missing)]
        Host.objects.bulk_create(new, ignore_conflicts=True)  # another batch may have been first
        found = dict(mine.values_list("name", "pk"))
    return found


def _devices(host_ids: Iterable[int]) -> dict[tuple[int, str], Device]:
    return {(d.host_id, d.key): d for d in Device.objects.filter(host__in=list(host_ids)).order_by()}


def _add_devices(named: set[tuple[int, str]], fleet: Fleet, now: datetime) -> None:
    missing = sorted(named - fleet.device_ids.keys())
    if missing:
        fleet.redescribed += _sharing_a_server({host_id for host_id, _ in missing}, fleet)
        new = [Device(host_id=host_id, key=key, acquired_at=now) for host_id, key in missing]
        Device.objects.bulk_create(new, ignore_conflicts=True)
        fleet.devices |= _devices({host_id for host_id, _ in missing})
        fleet.device_ids |= {place: device.pk for place, device in fleet.devices.items()}
        fleet.older = True


def _sharing_a_server(joined: set[int], fleet: Fleet) -> list[Device]:
    """Devices that carry less of their server from now on, since another one of their host carries it with them."""
    beside = [device for (host_id, _), device in sorted(fleet.devices.items()) if host_id in joined]
    if not beside:
        return []
    stated = ~Q(server_embodied_kg=None) | ~Q(server_model="") | ~Q(server_parts={})
    shared = set(Host.objects.filter(stated, pk__in=joined).order_by().values_list("pk", flat=True))
    shared |= {device.host_id for device in beside if device.kind == Device.Kind.NODE}
    return [device for device in beside if device.host_id in shared]


def _describe(batch: CheckedBatch, fleet: Fleet) -> None:
    """Take over what a sensor says of its device. What it leaves empty stays as it was, and so do its defaults."""
    for item in batch.devices:
        device = fleet.device(item.host, item.device)
        said = {name: getattr(item, name) for name in DESCRIBED if getattr(item, name) not in (None, "")}
        said |= {"units": item.units} if item.units > 1 else {}
        said |= {"is_total": True} if item.total else {}
        changed = {name: value for name, value in said.items() if getattr(device, name) != value}
        if not changed:
            continue
        for name, value in changed.items():
            setattr(device, name, value)
        device.save(update_fields=list(changed))
        # A sensor of the whole node decides what counts of its host's other devices, each of them what of a total.
        reaches_others = "kind" in changed or "is_total" in changed
        fleet.redescribed += fleet.devices_of(item.host) if reaches_others else [device]
