"""What was bought: contracts and certificates, and who claims them. Claims are written by `accounting.ledger` alone."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from accounting.models.fleet import Site


class Matching(models.TextChoices):
    """How instruments are set against consumption."""

    ANNUAL = "annual", "Within the year (rule of 2015)"
    HOURLY = "hourly", "By the hour, same zone (draft rule)"


class EnergyContract(models.Model):
    """A contract or a lot of certificates of one vintage year: a PPA over several years is one row a year."""

    class Kind(models.TextChoices):
        PPA = "ppa", "Power purchase agreement"
        CERTIFICATE = "certificate", "Certificate (GO, REC, I-REC)"
        TARIFF = "tariff", "Green tariff"
        SUPPLIER = "supplier", "Supplier-specific factor"

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    zone = models.CharField(max_length=20, help_text="Grid zone that it generates into, for example FR or US-CA")
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.CASCADE, related_name="contracts")
    mwh = models.FloatField(validators=[MinValueValidator(1e-6)], help_text="Volume of the vintage year")
    vintage = models.PositiveSmallIntegerField(validators=[MinValueValidator(2000), MaxValueValidator(2100)])
    start = models.DateTimeField(help_text="Generation from here …")
    end = models.DateTimeField(help_text="… until here, exclusive; both within the vintage year, UTC")
    g_per_kwh = models.FloatField(default=0.0, validators=[MinValueValidator(0.0), MaxValueValidator(2000.0)])
    registry = models.CharField(max_length=60, blank=True)
    reference = models.CharField(max_length=120, blank=True, help_text="Number in the registry")
    retired = models.BooleanField(default=False, help_text="Cancelled in the registry on your behalf")
    note = models.TextField(blank=True, max_length=500)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-vintage", "name", "pk")
        constraints = (
            models.CheckConstraint(condition=Q(end__gt=F("start")), name="contract_ends_after_it_starts"),
            models.UniqueConstraint(
                fields=("registry", "reference", "vintage"),
                condition=~Q(reference=""),
                name="contract_once",
                violation_error_message="This number of this registry and vintage is entered already",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.vintage})"

    @property
    def counts(self) -> bool:
        """Whether it may be claimed: a certificate only once it is retired (Scope 2 Guidance, quality criteria)."""
        return self.retired or self.kind != self.Kind.CERTIFICATE

    @property
    def hours(self) -> float:
        """Length of its period."""
        return (self.end - self.start).total_seconds() / 3600


class ContractHour(models.Model):
    """What an instrument generated in one hour. A contract without any such row generates evenly over its period."""

    contract = models.ForeignKey(EnergyContract, on_delete=models.CASCADE, related_name="profile")
    hour = models.DateTimeField()
    kwh = models.FloatField(validators=[MinValueValidator(0.0)])

    class Meta:
        ordering = ("contract", "hour")
        constraints = (models.UniqueConstraint(fields=("contract", "hour"), name="generation_once_per_hour"),)


class InstrumentUse(models.Model):
    """What a site claims of an instrument in [start, end): an hour, or a year's stretch. `share` of its consumption."""

    contract = models.ForeignKey(EnergyContract, on_delete=models.CASCADE, related_name="uses")
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+")
    mode = models.CharField(max_length=10, choices=Matching.choices)
    start = models.DateTimeField()
    end = models.DateTimeField()
    kwh = models.FloatField()
    share = models.FloatField()
    g_per_kwh = models.FloatField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("contract", "site", "mode", "start"), name="claim_once_per_stretch"),
        )
        indexes = (models.Index(fields=("site", "start")),)


class StaleMatch(models.Model):
    """A UTC day whose claims have to be worked out again, and with it those of its year."""

    day = models.DateField(unique=True)
