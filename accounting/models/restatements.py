"""What was reported before it was restated, why, and what it came to. `accounting.ledger` is the only writer."""

from django.db import models

from accounting.models.fleet import Device, Project, Site, Team
from accounting.models.ledger import Quantities


class Restatement(models.Model):
    """One change of something that the ledger follows from, and the hours that it restates."""

    class Cause(models.TextChoices):
        OWN_FACTOR = "own_factor", "Own factor"
        PACKAGED_FACTORS = "packaged_factors", "Packaged factors"
        METHODS = "methods", "Methods"
        SITE_TERMS = "site_terms", "Terms of a site"
        DEVICE = "device", "What a device is"
        CONTRACT = "contract", "Contract or tariff"
        PRICES = "prices", "Prices, tariffs or exchange rates"
        PLACEMENT = "placement", "Where a host stands"
        GRID_HOURS = "grid_hours", "Imported grid hours"
        FILE_IMPORT = "file_import", "Imported runs"

    class State(models.TextChoices):
        MARKING = "marking", "Marking hours"
        PENDING = "pending", "Being restated"
        DONE = "done", "Restated"

    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    cause = models.CharField(max_length=20, choices=Cause.choices)
    factor_ids = models.JSONField(default=list)
    method_before = models.CharField(max_length=40, blank=True)
    method_after = models.CharField(max_length=40, blank=True)
    site = models.ForeignKey(Site, null=True, on_delete=models.SET_NULL, related_name="+")
    team = models.ForeignKey(Team, null=True, on_delete=models.SET_NULL, related_name="+")
    first_hour = models.DateTimeField(null=True)
    last_hour = models.DateTimeField(null=True)
    hours = models.PositiveIntegerField(default=0, help_text="Device-hours marked")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-at", "-id")
        indexes = (models.Index(fields=("state",), name="restatement_state"),)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}: {self.reason}"


class RestatedDay(Quantities):
    """The ledger's day row as it stood before, and, once every marked hour is made again, as it stands after."""

    restatement = models.ForeignKey(Restatement, on_delete=models.CASCADE, related_name="days")
    after = models.BooleanField(default=False)
    day = models.DateField()
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="+")
    site = models.ForeignKey(Site, null=True, on_delete=models.CASCADE, related_name="+")
    status = models.CharField(max_length=10)

    class Meta:
        indexes = (
            models.Index(fields=("restatement", "after", "day"), name="restated_day_of"),
            models.Index(fields=("day", "team"), name="restated_day_of_team"),
        )


class RestatedDevice(models.Model):
    """Which hours of a device a restatement marked, and the CO2e of the device from the first to the last of them."""

    restatement = models.ForeignKey(Restatement, on_delete=models.CASCADE, related_name="devices")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
    first_hour = models.DateTimeField()
    last_hour = models.DateTimeField()
    hours = models.PositiveIntegerField()
    co2e_before_g = models.FloatField(help_text="Operational (location-based) and embodied")
    co2e_after_g = models.FloatField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("restatement", "device", "first_hour"), name="restated_device_once_per_run"
            ),
        )
        indexes = (models.Index(fields=("device", "first_hour"), name="restated_device_hours"),)
