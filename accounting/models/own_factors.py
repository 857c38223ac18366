"""Factors that an organisation states itself, over the packaged ones. Only `accounting.factorbook.own` writes them."""

from django.db import models
from django.db.models import F, Q

from accounting.models.fleet import Site, Team


class OwnFactors(models.QuerySet["OwnFactor"]):
    def in_force(self) -> "OwnFactors":
        """Neither withdrawn nor replaced by a later version; each still only within its own period."""
        return self.filter(withdrawn_at=None, superseded_by=None)


class OwnFactor(models.Model):
    """One version of a factor. A correction is a new row that supersedes this one: what was said once is kept."""

    class Status(models.TextChoices):
        MEASURED = "MEASURED", "Measured: a meter or an analysis of this very thing"
        MODELLED = "MODELLED", "Modelled: computed from something known of it"
        DEFAULT = "DEFAULT", "Default: a stand-in"

    quantity = models.CharField(max_length=60)
    key = models.CharField(max_length=120, help_text="What it is of: a zone, a device kind, a currency")
    value = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()
    unit = models.CharField(max_length=30)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.MODELLED)
    source = models.CharField(max_length=300)
    url = models.CharField(max_length=500, blank=True)
    page = models.CharField(max_length=200, blank=True)
    year = models.PositiveSmallIntegerField(null=True, blank=True)
    licence = models.CharField(max_length=120, blank=True)
    note = models.TextField(blank=True)
    reason = models.TextField(help_text="Why the organisation uses this figure: read by whoever audits it")
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.PROTECT, related_name="own_factors")
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT, related_name="own_factors")
    valid_from = models.DateTimeField(null=True, blank=True, help_text="First hour it holds for, UTC; empty: always")
    valid_to = models.DateTimeField(null=True, blank=True, help_text="First hour it no longer holds for; empty: open")
    version = models.PositiveIntegerField(default=1)
    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.CharField(max_length=200, blank=True)
    withdrawn_reason = models.TextField(blank=True)

    objects = OwnFactors.as_manager()

    class Meta:
        ordering = ("quantity", "key", "-pk")
        indexes = (models.Index(fields=("quantity", "key"), name="own_factor_of"),)
        constraints = (
            models.CheckConstraint(condition=Q(site=None) | Q(team=None), name="own_factor_of_one_scope"),
            models.CheckConstraint(
                condition=Q(low__lte=F("value")) & Q(value__lte=F("high")), name="own_factor_is_a_range"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="own_factor_has_a_reason"),
        )

    def __str__(self) -> str:
        return f"{self.quantity} {self.key} ({self.scope}), version {self.version}"

    @property
    def factor_id(self) -> str:
        """As the ledger's rows name it."""
        return f"own:{self.pk}:{self.quantity}:{self.key}"

    @property
    def scope(self) -> str:
        if self.site_id is not None:
            return f"site {self.site}"
        return f"team {self.team}" if self.team_id is not None else "organisation"

    @property
    def superseded_by_or_none(self) -> "OwnFactor | None":
        return getattr(self, "superseded_by", None)

    @property
    def is_in_force(self) -> bool:
        return self.withdrawn_at is None and self.superseded_by_or_none is None


class FactorStamp(models.Model):
    """One row, pk 1: another random stamp with every change of own factors, so that every process sees it."""

    stamp = models.BigIntegerField(default=0)


class SeenCatalogue(models.Model):
    """One row, pk 1: the packaged factors and the methods that the ledger was last made with."""

    method = models.CharField(max_length=40)
    digest = models.CharField(max_length=64)
    rows = models.JSONField(default=dict, help_text="id -> [quantity, key, low, mid, high, unit, status]")
    seen_at = models.DateTimeField()
