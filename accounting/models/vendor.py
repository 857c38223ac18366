"""Carbon reports of cloud providers, as they delivered them. `accounting.ingest.vendor` is the only writer."""

from django.db import models


class VendorReport(models.Model):
    """One file. It stays when a newer one tells of its months; its rows then count no more."""

    class State(models.TextChoices):
        COUNTS = "counts", "Counts"
        PARTLY = "partly", "Counts in part"
        REPLACED = "replaced", "Replaced"

    provider = models.CharField(max_length=10, help_text="aws, gcp or azure")
    file_name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64, unique=True, help_text="Of the file: the same content comes in once")
    imported_by = models.CharField(max_length=200, help_text="Kept as text, so it outlives the person")
    imported_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.COUNTS)
    notes = models.JSONField(default=list, help_text="What a reader must know beside the figures")

    class Meta:
        ordering = ("-imported_at", "-id")

    def __str__(self) -> str:
        return f"{self.file_name} ({self.provider})"


class VendorFootprint(models.Model):
    """A month of one account, region and service in kg CO2e. Null: the provider does not tell, which is not nought."""

    report = models.ForeignKey(VendorReport, on_delete=models.CASCADE, related_name="footprints")
    provider = models.CharField(max_length=10)
    month = models.DateField(help_text="Its first day")
    account = models.CharField(max_length=120, blank=True)
    region = models.CharField(max_length=60)
    service = models.CharField(max_length=120, blank=True)
    model_version = models.CharField(max_length=40, blank=True, help_text="Of the provider's method")
    scopes = models.CharField(max_length=20, blank=True, help_text="What its figure holds; empty: not stated")
    scope1_kg = models.FloatField(null=True)
    scope2_location_kg = models.FloatField(null=True)
    scope2_market_kg = models.FloatField(null=True)
    scope3_kg = models.FloatField(null=True)
    scope3_market_kg = models.FloatField(null=True, help_text="Where the provider tells it apart from location-based")
    total_location_kg = models.FloatField(null=True)
    total_market_kg = models.FloatField(null=True)
    unstated_kg = models.FloatField(null=True, help_text="A figure of which nobody said what it holds")
    counts = models.BooleanField(
        default=True, help_text="Of all deliveries of its month and account the newest method's"
    )

    class Meta:
        indexes = (models.Index(fields=("provider", "month", "counts")),)

    def __str__(self) -> str:
        return f"{self.provider} {self.region} {self.month:%Y-%m}"
