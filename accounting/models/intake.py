"""What came in by which token and protocol, counted. `accounting.ingest.intake` is the only writer."""

from datetime import UTC, datetime

from django.db import models

from accounting.models.access import ApiToken
from accounting.models.fleet import Device


class IntakeHour(models.Model):
    """Items of one token and protocol in one UTC hour. Counted in the transaction that stored them: exact.

    Rows of one hour are told apart by `shard`, so that posters with one token seldom wait for each other. Hours that
    nobody looks at any more are added up in the row of the hour `BEFORE`, so that sums over all rows never fall.
    """

    BEFORE = datetime(1970, 1, 1, tzinfo=UTC)

    token = models.ForeignKey(ApiToken, null=True, on_delete=models.SET_NULL, related_name="intake_hours")
    protocol = models.CharField(max_length=20, help_text="telemetry, codecarbon, prometheus, otlp, …")
    hour = models.DateTimeField(help_text="In which they came, whenever they were measured")
    shard = models.SmallIntegerField(default=0)
    accepted = models.BigIntegerField(default=0)
    duplicates = models.BigIntegerField(default=0)
    conflicts = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    last_at = models.DateTimeField(help_text="When the newest of them came")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("token", "protocol", "hour", "shard"), name="intake_once_per_token_hour_and_shard"
            ),
        )
        indexes = (models.Index(fields=("hour",), name="intake_by_hour"),)


class IntakeDevice(models.Model):
    """A device that a token has told of by a protocol. `last_seen_at` is right to the hour."""

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="intake_devices")
    protocol = models.CharField(max_length=20)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="told_by")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("token", "protocol", "device"), name="intake_once_per_token_and_device"),
        )
