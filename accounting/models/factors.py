"""Hourly grid intensity as providers told it, and the feeds that fetch it. `ledger.gridfeed` writes the hours."""

from django.db import models


class GridHour(models.Model):
    """One UTC hour of one zone as one provider told it. Average and marginal, direct and life-cycle stay apart."""

    class Signal(models.TextChoices):
        AVERAGE = "average", "Average"
        MARGINAL = "marginal", "Marginal"

    class EmissionBasis(models.TextChoices):
        LIFECYCLE = "lifecycle", "Life cycle"
        DIRECT = "direct", "Direct"

    class Flow(models.TextChoices):
        CONSUMPTION = "consumption", "Consumption"
        PRODUCTION = "production", "Production"

    zone = models.CharField(max_length=20, help_text="As sites state it, for example FR or US-CA")
    hour = models.DateTimeField()
    signal = models.CharField(max_length=10, choices=Signal.choices)
    emission_basis = models.CharField(max_length=10, choices=EmissionBasis.choices)
    flow = models.CharField(max_length=12, choices=Flow.choices)
    provider = models.CharField(max_length=30)
    value_g_per_kwh = models.FloatField()
    is_estimated = models.BooleanField(default=False, help_text="The provider itself calls it so")
    estimation_method = models.CharField(max_length=120, blank=True)
    fetched_at = models.DateTimeField()
    revision = models.PositiveIntegerField(default=0, help_text="How often the value was replaced")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("zone", "hour", "signal", "emission_basis", "flow", "provider"),
                name="grid_hour_once_per_series",
            ),
        )
        indexes = (models.Index(fields=("provider", "zone", "hour")),)

    def __str__(self) -> str:
        return f"{self.zone} {self.hour:%Y-%m-%dT%HZ} by {self.provider}"


class GridFeed(models.Model):
    """A zone that a provider is asked about again and again. The key is in the environment, never here."""

    provider = models.CharField(max_length=30)
    zone = models.CharField(max_length=20, help_text="The zone its hours are stored under")
    area = models.CharField(max_length=40, help_text="The provider's own name for it")
    emission_basis = models.CharField(
        max_length=10, choices=GridHour.EmissionBasis.choices, default=GridHour.EmissionBasis.LIFECYCLE
    )
    enabled = models.BooleanField(default=True)
    key_variable = models.CharField(max_length=80, blank=True, help_text="Environment variable that holds the key")
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    failures = models.PositiveSmallIntegerField(default=0, help_text="In a row")
    next_try_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("zone", "provider")
        constraints = (
            models.UniqueConstraint(fields=("provider", "zone", "emission_basis"), name="feed_once_per_zone_and_basis"),
        )

    def __str__(self) -> str:
        return f"{self.provider} for {self.zone}"
