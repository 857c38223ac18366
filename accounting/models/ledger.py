"""What the samples came to. `accounting.ledger` is the only writer; every row can be rebuilt from raw samples.

Each quantity stands as low / mid / high. `covered_s` is time backed by samples, `missing_s` time that should have been:
missing energy is not in the sums.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, models
from django.db.models import F, Q

from accounting.models.fleet import Device, Host, Job, Project, Site, Team
from accounting.models.telemetry import FacilitySample

QUANTITIES = (
    "it_energy_kwh",  # the devices' own draw
    "facility_energy_kwh",  # at the wall of the building: IT energy x PUE
    "co2e_location_g",  # operational, location-based: facility energy x grid intensity
    "co2e_market_g",  # operational, market-based, of the part of the energy (`market_kwh`) for which it is known
    "embodied_g",  # share of making the hardware
    "water_onsite_l",  # IT energy x WUE
    "water_offsite_l",  # facility energy x EWIF
    "cost",  # in the ledger's currency: electricity, rental and carbon price, as far as they are known
)
PARTS = (  # what stands beside the quantities, without a range of its own
    "covered_s",
    "missing_s",
    "measured_kwh",  # IT energy that a meter saw
    "idle_kwh",  # IT energy that is idle draw; without a job all of it
    "market_kwh",  # facility energy that `co2e_market_g` speaks of
    "unpriced_kwh",  # facility energy whose price nobody knows: not in `cost`
    "unpriced_s",  # time of rented devices whose rental price cannot be told in the ledger's currency
    "rental_cost",  # the part of `cost` that is paid for the hour of a device
    "carbon_cost",  # the part of `cost` that is a price on the carbon itself
    "idle_embodied_g",  # the part of `embodied_g` that no job answers for
)


class DirtyHours(models.QuerySet["DirtyHour"]):
    def mark(self, device_hours: Iterable[tuple[int, datetime]], *, now: datetime) -> None:
        """Mark (device id, hour start) pairs for rebuilding, in the caller's transaction. Marking twice is harmless.

        What hangs on these devices' readings goes with them: the parts of a host with a sensor of its whole node, the
        total of a kind beside its devices, and all of a site where cooling power or litres are laid on what its
        machines drew together.
        """
        stale = set(device_hours)
        if not stale:
            return
        stale |= _beside(stale)
        _keep_marks(self.model._meta.db_table, sorted(stale), now=now, stamp=secrets.randbits(62))

    def stale(self) -> "DirtyHours":
        """Those whose rows are to be made: no rebuild has read their newest mark yet."""
        return self.exclude(made=F("stamp"))


def _keep_marks(table: str, device_hours: Sequence[tuple[int, datetime]], *, now: datetime, stamp: int) -> None:
    """One statement, rows locked in the given order. A mark of an hour that is waiting keeps the older mark's age; of
    an hour whose rows are made and only wait for their roll-ups it is a new one."""
    conflict = (
        "ON CONFLICT (device_id, hour) DO UPDATE SET stamp = excluded.stamp, "
        f"marked_at = CASE WHEN {table}.made = {table}.stamp THEN excluded.marked_at ELSE {table}.marked_at END"
    )
    insert = f"INSERT INTO {table} (device_id, hour, marked_at, stamp)"
    devices, hours = zip(*device_hours, strict=True)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            rows = "SELECT d, h, %s::timestamptz, %s::bigint FROM unnest(%s::bigint[], %s::timestamptz[]) AS m(d, h)"
            cursor.execute(f"{insert} {rows} {conflict}", [now, stamp, list(devices), list(hours)])
        else:
            prepared = connection.ops.adapt_datetimefield_value
            cells = [(d, prepared(h), prepared(now), stamp) for d, h in device_hours]
            cursor.executemany(f"{insert} VALUES (%s, %s, %s, %s) {conflict}", cells)


def _beside(device_hours: set[tuple[int, datetime]]) -> set[tuple[int, datetime]]:
    """What hangs on these device-hours. One query where nothing does, else two or three."""
    places = _places(device_hours)
    found = _parts_of_nodes(device_hours) if any(shared for _, _, shared, _ in places) else set()
    site_of = {pk: site_id for pk, site_id, _, told in places if told}
    return found | (_mates_at_sites(device_hours, site_of) if site_of else set())


def _places(device_hours: set[tuple[int, datetime]]) -> list[tuple[int, int, bool, bool]]:
    """Device, site, whether others of its host hang on it, and whether its site tells of cooling or water then.

    Whole numbers stand in the text; every batch asks it.
    """
    device, facility = Device._meta.db_table, FacilitySample._meta.db_table
    holds = timedelta(seconds=settings.GREENAI["facility_max_age_s"])
    reach = max(timedelta(microseconds=FacilitySample.WATER_REACH_US), holds)
    first, last = (pick(hour for _, hour in device_hours) for pick in (min, max))
    start_us, end_us = (round(at.timestamp()) * 1_000_000 for at in (first - reach, last + 2 * reach))
    ids = ", ".join(map(str, sorted({device_id for device_id, _ in device_hours})))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.id, h.site_id, d.kind = %s OR EXISTS (SELECT 1 FROM {device} t WHERE t.host_id = d.host_id "
            f"AND t.is_total AND t.kind = d.kind AND NOT d.is_total), EXISTS (SELECT 1 FROM {facility} f "
            f"WHERE f.site_id = h.site_id AND f.measured_at_us BETWEEN {start_us} AND {end_us} "
            "AND (f.cooling_power_w IS NOT NULL OR f.water_l IS NOT NULL)) "
            f"FROM {device} d JOIN {Host._meta.db_table} h ON h.id = d.host_id WHERE d.id IN ({ids})",
            [Device.Kind.NODE],
        )
        return list(cursor.fetchall())


def _parts_of_nodes(device_hours: set[tuple[int, datetime]]) -> set[tuple[int, datetime]]:
    """The same hours of whatever else is on the host of a sensor of a whole node, and of totals. One query."""
    ids = {device_id for device_id, _ in device_hours}
    behind = defaultdict(list)
    nodes = Q(kind=Device.Kind.NODE, host__devices__isnull=False)
    totals = Q(host__devices__is_total=True, host__devices__kind=F("kind"), is_total=False)
    pairs = Device.objects.filter(nodes | totals, pk__in=ids).order_by().values_list("pk", "host__devices")
    for pk, other in pairs:
        behind[pk].append(other)
    return {(other, hour) for pk, hour in device_hours if pk in behind for other in behind[pk]}


def _mates_at_sites(device_hours: set[tuple[int, datetime]], site_of: dict[int, int]) -> set[tuple[int, datetime]]:
    """The same hours of all devices of these sites. One query."""
    mates = defaultdict(list)
    at_sites = Device.objects.filter(host__site__in=set(site_of.values())).order_by()
    for pk, site_id in at_sites.values_list("pk", "host__site"):
        mates[site_id].append(pk)
    return {(mate, hour) for pk, hour in device_hours if pk in site_of for mate in mates[site_of[pk]]}


class DirtyHour(models.Model):
    """A device-hour whose ledger rows or roll-ups are stale. `stamp` guards against marks that come during a rebuild.

    Marked (`made` is another stamp, or none), made (`made` is `stamp`: its rows are right, their roll-ups are not yet),
    gone. A mark may come at any time, and takes it back to the start.
    """

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="dirty_hours")
    hour = models.DateTimeField()
    marked_at = models.DateTimeField(help_text="Oldest unprocessed mark: the ledger's lag")
    stamp = models.BigIntegerField(default=0, help_text="New with every mark; a rebuild clears only the one it read")
    made = models.BigIntegerField(null=True, help_text="The stamp its rows were made for; their roll-ups are to come")

    objects = DirtyHours.as_manager()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("device", "hour"), name="dirty_once_per_device_hour"),)
        indexes = (
            models.Index(fields=("marked_at", "hour", "device"), name="dirty_in_order"),  # of rebuilding
            models.Index(fields=("hour",), condition=Q(made__isnull=False), name="dirty_made"),
        )


class LedgerPulse(models.Model):
    """One row: when a ledger worker last looked for work. Old marks and no look: no worker runs."""

    looked_at = models.DateTimeField()


class EnergyHour(models.Model):
    """One device, one UTC hour, one job (or none): energy before cooling. Outlives the raw samples once `sealed`."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="energy_hours")
    hour = models.DateTimeField()
    job = models.ForeignKey(Job, null=True, on_delete=models.PROTECT, related_name="energy_hours")
    device_energy_j = models.FloatField()
    device_energy_low_j = models.FloatField()
    device_energy_high_j = models.FloatField()
    covered_s = models.FloatField(help_text="Sample-backed time of this job on this device")
    missing_s = models.FloatField(help_text="Holes longer than the gap limit; only on the row without a job")
    held_s = models.FloatField(help_text="Device-seconds this row answers for: carries the embodied share")
    idle_j = models.FloatField(default=0.0, help_text="The part that is idle draw; without a job all of it")
    shared_by = models.CharField(max_length=40, blank=True, default="", help_text="How jobs at once were told apart")
    status = models.CharField(max_length=10)
    source = models.SmallIntegerField(null=True)
    sealed = models.BooleanField(default=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("device", "hour", "job"), condition=~Q(job=None), name="energy_once_per_device_hour_job"
            ),
            models.UniqueConstraint(
                fields=("device", "hour"), condition=Q(job=None), name="energy_once_per_device_hour_idle"
            ),
        )
        indexes = (models.Index(fields=("hour",)),)


class Quantities(models.Model):
    """The columns every ledger table shares."""

    it_energy_kwh_low = models.FloatField(default=0.0)
    it_energy_kwh = models.FloatField(default=0.0)
    it_energy_kwh_high = models.FloatField(default=0.0)
    facility_energy_kwh_low = models.FloatField(default=0.0)
    facility_energy_kwh = models.FloatField(default=0.0)
    facility_energy_kwh_high = models.FloatField(default=0.0)
    co2e_location_g_low = models.FloatField(default=0.0)
    co2e_location_g = models.FloatField(default=0.0)
    co2e_location_g_high = models.FloatField(default=0.0)
    co2e_market_g_low = models.FloatField(default=0.0)
    co2e_market_g = models.FloatField(default=0.0)
    co2e_market_g_high = models.FloatField(default=0.0)
    embodied_g_low = models.FloatField(default=0.0)
    embodied_g = models.FloatField(default=0.0)
    embodied_g_high = models.FloatField(default=0.0)
    water_onsite_l_low = models.FloatField(default=0.0)
    water_onsite_l = models.FloatField(default=0.0)
    water_onsite_l_high = models.FloatField(default=0.0)
    water_offsite_l_low = models.FloatField(default=0.0)
    water_offsite_l = models.FloatField(default=0.0)
    water_offsite_l_high = models.FloatField(default=0.0)
    cost_low = models.FloatField(default=0.0)
    cost = models.FloatField(default=0.0)
    cost_high = models.FloatField(default=0.0)
    covered_s = models.FloatField(default=0.0)
    missing_s = models.FloatField(default=0.0)
    measured_kwh = models.FloatField(default=0.0, help_text="IT energy that a meter saw: the measured share")
    idle_kwh = models.FloatField(default=0.0, help_text="IT energy that is idle draw; without a job all of it")
    market_kwh = models.FloatField(default=0.0, help_text="Facility energy that the market-based figure speaks of")
    unpriced_kwh = models.FloatField(default=0.0, help_text="Facility energy whose price nobody knows: not in the cost")
    unpriced_s = models.FloatField(default=0.0, help_text="Rented time whose price nobody knows: not in the cost")
    rental_cost = models.FloatField(default=0.0, help_text="Part of the cost that is paid for the device's hour")
    carbon_cost = models.FloatField(default=0.0, help_text="Part of the cost that is a price on the carbon")
    idle_embodied_g = models.FloatField(default=0.0, help_text="Part of the embodied carbon that no job answers for")

    class Meta:
        abstract = True


class LedgerHour(Quantities):
    """One device, one UTC hour, one job (or none), with everything that follows from its energy."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="ledger_hours")
    hour = models.DateTimeField()
    job = models.ForeignKey(Job, null=True, on_delete=models.PROTECT, related_name="ledger_hours")
    team = models.ForeignKey(Team, null=True, on_delete=models.PROTECT, related_name="+")
    project = models.ForeignKey(Project, null=True, on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey(Site, null=True, on_delete=models.PROTECT, related_name="+")
    energy_status = models.CharField(max_length=10)
    status = models.CharField(max_length=10, help_text="The least well known input of any quantity on the row")
    factor_ids = models.JSONField(default=list)
    intensity_step = models.CharField(
        max_length=40, blank=True, default="", help_text="Where its grid intensity was found: telemetry, hourly zone, …"
    )
    method = models.CharField(max_length=40, help_text="Version of the methods that made it")
    rebuilt_at = models.DateTimeField()

    class Meta:
        indexes = (
            models.Index(fields=("hour",)),
            models.Index(fields=("job", "hour")),
            models.Index(fields=("device", "hour")),
        )


class TeamHour(Quantities):
    """Roll-up: one UTC hour of one team's project at one site. No team: energy that no team answers for."""

    hour = models.DateTimeField()
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="+")
    site = models.ForeignKey(Site, null=True, on_delete=models.CASCADE, related_name="+")
    status = models.CharField(max_length=10)
    factor_ids = models.JSONField(default=list, help_text="Of every row below, sorted")

    class Meta:
        indexes = (models.Index(fields=("hour", "team")),)


class TeamDay(Quantities):
    """Roll-up: one UTC day of one team's project at one site."""

    day = models.DateField()
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="+")
    site = models.ForeignKey(Site, null=True, on_delete=models.CASCADE, related_name="+")
    status = models.CharField(max_length=10)
    factor_ids = models.JSONField(default=list, help_text="Of every row below, sorted")

    class Meta:
        indexes = (models.Index(fields=("day", "team")),)


class DeviceDay(Quantities):
    """Roll-up: one UTC day of one device and team, for splits by device without touching hours."""

    day = models.DateField()
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="+")
    status = models.CharField(max_length=10)
    factor_ids = models.JSONField(default=list, help_text="Of every row below, sorted")

    class Meta:
        indexes = (models.Index(fields=("day", "device")),)
