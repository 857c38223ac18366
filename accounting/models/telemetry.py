"""What was measured, as it came in. `accounting.ingest` is the only writer.

Instants are integer microseconds since 1970 (UTC): exact, the same on SQLite and PostgreSQL, and numpy reads them as
they are (docs/decisions/0002). Hours elsewhere are ordinary datetimes.
"""

from typing import Self

from django.db import connection, models
from django.db.models import Q

from accounting.models.fleet import Device, Host, Job, Site


class Agent(models.Model):
    """A program that posts. Its silence and its losses are shown, never guessed away."""

    STAND_IN_KEY = "hardware-worker"  # meters its own experiments only: silence between them says nothing
    TRACK_KEY = "greenai-track"  # meters one job from inside it, where nobody else does: the same
    PASSING_KEYS = (STAND_IN_KEY, TRACK_KEY)

    key = models.CharField(max_length=120)
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="agents")
    version = models.CharField(max_length=40, blank=True)
    boot_id = models.CharField(max_length=80, blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    clock_offset_s = models.FloatField(null=True, blank=True, help_text="Agent's clock minus the server's")
    dropped_total = models.BigIntegerField(default=0, help_text="Samples its spool had to drop")
    sensors = models.JSONField(default=dict, help_text='Sensor name -> "ok" or why it does not work there')

    class Meta:
        ordering = ("host", "key")
        constraints = (models.UniqueConstraint(fields=("host", "key"), name="agent_once_per_host"),)

    def __str__(self) -> str:
        return f"{self.key} on {self.host}"


class AgentStream(models.Model):
    """Which sequence numbers of one agent and boot have been taken, as disjoint ranges [[first, last], …]."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="streams")
    boot_id = models.CharField(max_length=80)
    taken = models.JSONField(default=list)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("agent", "boot_id"), name="stream_once_per_boot"),)


class DeviceSample(models.Model):
    """One reading of one device by one kind of source. `power_w`, `energy_j` or both."""

    class Source(models.IntegerChoices):
        """Best first: one source counts per device and interval, the others stay as cross-checks."""

        METER = 1, "Meter"
        AGENT = 2, "GreenAI agent"
        DCGM = 3, "DCGM exporter"
        KEPLER = 4, "Kepler"
        NODE_EXPORTER = 5, "node_exporter"
        OTLP = 6, "OpenTelemetry"
        SLURM = 7, "Slurm"
        CODECARBON = 8, "CodeCarbon"
        MODEL = 9, "Model"

    pk = models.CompositePrimaryKey("device_id", "measured_at_us", "source")
    device = models.ForeignKey(Device, on_delete=models.DO_NOTHING, related_name="samples", db_index=False)
    measured_at_us = models.BigIntegerField()
    source = models.SmallIntegerField(choices=Source.choices)
    power_w = models.FloatField(null=True)
    energy_j = models.FloatField(null=True, help_text="Counter that only rises within one `epoch`")
    utilization = models.FloatField(null=True, help_text="0..1")
    memory_used_bytes = models.BigIntegerField(null=True)
    job = models.ForeignKey(Job, null=True, on_delete=models.DO_NOTHING, related_name="samples", db_index=False)
    measured = models.BooleanField(help_text="False: modelled on the host, for want of a sensor")
    epoch = models.BigIntegerField(help_text="Hash of the poster's boot: counters are compared only within one")
    revision = models.IntegerField(default=0)
    received_at_us = models.BigIntegerField()

    @staticmethod
    def between(first_us: int | None, last_us: int | None, *, column: str = "measured_at_us") -> str:
        """Bounds for the text of a query on samples, both inclusive; TRUE on SQLite.

        As numbers in the text they let PostgreSQL leave the other days out when it plans. SQLite has no days, and would
        walk the key from here instead of from the bound that a query seeks by.
        """
        bounds = [f"{column} >= {first_us:d}"] if first_us is not None else []
        bounds += [f"{column} <= {last_us:d}"] if last_us is not None else []
        return " AND ".join(bounds) if bounds and connection.vendor == "postgresql" else "TRUE"


class RawRetention(models.Model):
    """How far raw samples have been retired. One row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    kept_since = models.DateTimeField(
        help_text="Start of the first UTC day whose raw samples are kept; before it none is taken"
    )
    sealed_before = models.DateTimeField(help_text="What rests on samples from before it is sealed: they may go")

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="one_raw_retention"),)


class EnergySpans(models.QuerySet["EnergySpan"]):
    def touching(self, start_us: int, end_us: int) -> Self:
        """Spans that share time with [start_us, end_us); few are looked at, since only long ones reach far."""
        near = Q(started_at_us__gte=start_us - EnergySpan.LONG_US, is_long=False)
        long = Q(started_at_us__gte=start_us - EnergySpan.LONGEST_US, is_long=True)
        return self.filter(near | long, started_at_us__lt=end_us, ended_at_us__gt=start_us)


class EnergySpan(models.Model):
    """What a device drew in [started_at_us, ended_at_us), told by a tool that adds up itself: a tracker, a scheduler.

    Without energy: time that the tool should have told of, and did not. A poster's spans do not overlap.
    """

    LONG_US = 2 * 3_600_000_000  # longer ones are few, and looked up apart
    LONGEST_US = 366 * 24 * 3_600_000_000

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="energy_spans", db_index=False)
    source = models.SmallIntegerField(choices=DeviceSample.Source.choices)
    poster = models.BigIntegerField(help_text="Hash of the run, or of the poster's boot: whose spans follow each other")
    started_at_us = models.BigIntegerField()
    ended_at_us = models.BigIntegerField()
    is_long = models.BooleanField()
    energy_j = models.FloatField(null=True, help_text="Empty: not known, the time counts as missing")
    job = models.ForeignKey(Job, null=True, on_delete=models.DO_NOTHING, related_name="energy_spans", db_index=False)
    measured = models.BooleanField(help_text="False: modelled, for want of a sensor")
    revision = models.IntegerField(default=0)
    file_import = models.ForeignKey(
        "FileImport", null=True, on_delete=models.PROTECT, related_name="energy_spans", help_text="Empty: posted"
    )
    received_at_us = models.BigIntegerField()

    objects = EnergySpans.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("device", "source", "poster", "ended_at_us"), name="span_once_per_end"),
        )
        indexes = (
            models.Index(fields=("device", "started_at_us"), name="span_by_start"),
            models.Index(fields=("device", "started_at_us"), condition=Q(is_long=True), name="span_long_by_start"),
            models.Index(fields=("file_import",), condition=~Q(file_import=None), name="span_by_import"),
        )


class FacilitySample(models.Model):
    """One reading of a site; it holds from `measured_at_us` until the next, at most `facility_max_age`.

    Only `water_l` looks back: to the water reading before, where that is at most `WATER_REACH_US` old.
    """

    WATER_REACH_US = 24 * 3_600_000_000

    pk = models.CompositePrimaryKey("site_id", "measured_at_us")
    site = models.ForeignKey(Site, on_delete=models.DO_NOTHING, related_name="samples", db_index=False)
    measured_at_us = models.BigIntegerField()
    pue = models.FloatField(null=True)
    cooling_power_w = models.FloatField(null=True)
    wue_l_per_kwh = models.FloatField(null=True)
    water_l = models.FloatField(null=True)
    grid_intensity_g_per_kwh = models.FloatField(null=True)
    revision = models.IntegerField(default=0)
    received_at_us = models.BigIntegerField()


class JobMark(models.Model):
    """A job held a device during [started_at_us, ended_at_us); an open end means it still does."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="marks")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="marks")
    started_at_us = models.BigIntegerField()
    ended_at_us = models.BigIntegerField(null=True)
    file_import = models.ForeignKey(
        "FileImport",
        null=True,
        on_delete=models.PROTECT,
        related_name="marks",
        db_index=False,
        help_text="Empty: posted",
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("job", "device", "started_at_us"), name="mark_once_per_job_and_start"),
        )
        indexes = (
            models.Index(fields=("device", "started_at_us")),
            models.Index(fields=("file_import",), condition=~Q(file_import=None), name="mark_by_import"),
        )


class DeviceUse(models.Model):
    """How much of a device a job used in the interval that ends at `measured_at_us`, by one reading of the device."""

    pk = models.CompositePrimaryKey("device_id", "measured_at_us", "job_id", "mig_slice")
    device = models.ForeignKey(Device, on_delete=models.DO_NOTHING, related_name="uses", db_index=False)
    measured_at_us = models.BigIntegerField()
    job = models.ForeignKey(Job, on_delete=models.DO_NOTHING, related_name="uses", db_index=False)
    mig_slice = models.CharField(max_length=60, blank=True, default="", help_text="Empty: the whole device")
    utilization = models.FloatField(null=True, help_text="0..1 of the slice, or of the device; empty: not told")
    mig_fraction = models.FloatField(null=True, help_text="The slice's part of the device, above 0 up to 1")
    received_at_us = models.BigIntegerField()


class SampleConflict(models.Model):
    """The same key came again with other values: kept aside and shown, never counted."""

    device = models.ForeignKey(Device, null=True, on_delete=models.CASCADE, related_name="conflicts")
    site = models.ForeignKey(Site, null=True, on_delete=models.CASCADE, related_name="conflicts")
    measured_at_us = models.BigIntegerField()
    stored = models.JSONField()
    offered = models.JSONField()
    received_at = models.DateTimeField()

    class Meta:
        ordering = ("-received_at",)
