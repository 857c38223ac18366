"""What electricity costs, hour by hour, and what a currency is worth. Written by `accounting.factorbook.prices`."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from accounting.models.fleet import Site

CURRENCY = 3  # letters, ISO 4217


class Tariff(models.Model):
    """A time-of-use contract of a site, in the site's own time zone, until the next one or `valid_to`."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="tariffs")
    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=CURRENCY)
    valid_from = models.DateTimeField(help_text="UTC; hours that start before it keep the earlier price")
    valid_to = models.DateTimeField(null=True, blank=True, help_text="UTC, exclusive; empty: until the next tariff")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("site", "valid_from")
        constraints = (models.UniqueConstraint(fields=("site", "valid_from"), name="one_tariff_per_site_and_start"),)

    def __str__(self) -> str:
        return f"{self.name} at {self.site} from {self.valid_from:%Y-%m-%d}"


class TariffBand(models.Model):
    """One price of a tariff: on these weekdays, in these months, between two minutes of the local day."""

    tariff = models.ForeignKey(Tariff, on_delete=models.CASCADE, related_name="bands")
    name = models.CharField(max_length=60)
    weekdays = models.JSONField(help_text="1 Monday to 7 Sunday")
    months = models.JSONField(help_text="1 to 12")
    start_minute = models.PositiveSmallIntegerField(help_text="Of the local day, 0 to 1439")
    end_minute = models.PositiveSmallIntegerField(help_text="Of the local day, exclusive; 1440 is midnight")
    price_per_kwh = models.FloatField()

    class Meta:
        ordering = ("tariff", "pk")

    def __str__(self) -> str:
        return self.name


class PriceHour(models.Model):
    """What a kilowatt-hour cost in one UTC hour at a site, or in a market zone. Below nought where the market paid."""

    site = models.ForeignKey(Site, null=True, on_delete=models.CASCADE, related_name="price_hours")
    zone = models.CharField(max_length=40, blank=True, help_text="A market zone, for example DE-LU; empty: the site's")
    hour = models.DateTimeField()
    price_per_kwh = models.FloatField()
    currency = models.CharField(max_length=CURRENCY)
    source = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("hour", "pk")
        constraints = (
            models.UniqueConstraint(fields=("site", "hour"), condition=Q(zone=""), name="price_once_per_site_hour"),
            models.UniqueConstraint(fields=("zone", "hour"), condition=Q(site=None), name="price_once_per_zone_hour"),
            models.CheckConstraint(
                condition=(Q(site=None) & ~Q(zone="")) | (~Q(site=None) & Q(zone="")), name="price_of_a_site_or_a_zone"
            ),
        )


class ExchangeRate(models.Model):
    """Units of `into` for one unit of `currency` on a day. `into` is the ledger's currency when it was imported."""

    currency = models.CharField(max_length=CURRENCY)
    into = models.CharField(max_length=CURRENCY)
    day = models.DateField()
    rate = models.FloatField(validators=[MinValueValidator(0.0)])
    source = models.CharField(max_length=200)

    class Meta:
        ordering = ("currency", "day")
        constraints = (models.UniqueConstraint(fields=("currency", "into", "day"), name="rate_once_per_day"),)
