"""Machines as people keep them: every device with what it draws, what it came to, and what is known of its site."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, OuterRef, QuerySet, Subquery

from accounting.models import Agent, Device, Host, SampleConflict, Site, SiteTerms
from accounting.reports.live import LiveDevice, LiveView, visible_devices
from accounting.reports.queries import split
from accounting.reports.records import Sees, Totals


@dataclass(frozen=True, slots=True)
class DeviceLine:
    device: Device
    live: LiveDevice | None
    totals: Totals | None  # None: nothing in the period
    conflicts: int
    agent_seen_at: datetime | None

    @property
    def state(self) -> str:
        """ "live", "silent" or "retired"."""
        if self.device.retired_at is not None:
            return "retired"
        return "live" if self.live else "silent"


def device_lines(
    visibility: Sees, start: datetime, end: datetime, *, view: LiveView, devices: QuerySet[Device] | None = None
) -> list[DeviceLine]:
    """Every visible device, by host. Four queries."""
    shown = (visible_devices(visibility) if devices is None else devices).select_related("host__site", "host__team")
    seen_at = Agent.objects.filter(host=OuterRef("host")).order_by("-last_seen_at").values("last_seen_at")[:1]
    rows = shown.annotate(agent_seen_at=Subquery(seen_at)).order_by("host__name", "key")
    now_by_id = {one.id: one for one in view.devices}
    totals = {part.id: part.totals for part in split(visibility, start, end, by="device")}
    conflicts = conflict_counts(row.pk for row in rows)
    return [
        DeviceLine(row, now_by_id.get(row.pk), totals.get(row.pk), conflicts.get(row.pk, 0), row.agent_seen_at)
        for row in rows
    ]


def conflict_counts(device_ids: Iterable[int]) -> dict[int, int]:
    """Readings set aside because the same key had come with other values, by device."""
    found = SampleConflict.objects.filter(device_id__in=list(device_ids)).order_by()
    return dict(found.values_list("device_id").annotate(Count("pk")))


def visible_hosts(visibility: Sees) -> QuerySet[Host]:
    if visibility.team_ids is None:
        return Host.objects.all()
    return Host.objects.filter(team_id__in=sorted(visibility.team_ids))


def visible_sites(visibility: Sees) -> QuerySet[Site]:
    """Sites where the person has a machine; every site for those who see all."""
    if visibility.team_ids is None:
        return Site.objects.all()
    return Site.objects.filter(hosts__in=visible_hosts(visibility)).distinct()


@dataclass(frozen=True, slots=True)
class SiteLine:
    site: Site
    hosts: int
    terms: SiteTerms | None  # what holds now

    @property
    def has_zone(self) -> bool:
        return bool(self.terms and self.terms.grid_zone)


def site_lines(visibility: Sees, *, now: datetime) -> list[SiteLine]:
    """Every visible site with the terms that hold now. Two queries."""
    sites = list(visible_sites(visibility).annotate(host_count=Count("hosts", distinct=True)).order_by("name"))
    current: dict[int, SiteTerms] = {}
    for terms in SiteTerms.objects.filter(site__in=sites, valid_from__lte=now).order_by("site", "valid_from"):
        current[terms.site_id] = terms
    return [SiteLine(site, site.host_count, current.get(site.pk)) for site in sites]


def unplaced(visibility: Sees) -> Sequence[Host]:
    """Hosts that stand at no site: their power cannot be given a grid. One query."""
    return list(visible_hosts(visibility).filter(site=None).annotate(devices_in=Count("devices")))
