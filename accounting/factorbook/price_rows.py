"""The one writer of prices, tariffs and exchange rates. Each call tells which hours of which sites it touches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.conf import settings
from django.db.models import Q

from accounting.factorbook.currencies import held_by_rate
from accounting.factorbook.price_files import PriceLine, RateLine
from accounting.methods.tariff import Band, check_cover
from accounting.models import Device, ExchangeRate, PriceHour, Site, SiteTerms, Tariff, TariffBand

_AT_ONCE = 1000
FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Touched:
    """What a change of prices moves: hours, or stretches [start, end), of sites, and stretches of rented devices."""

    hours: dict[int, set[datetime]] = field(default_factory=dict)  # by site id
    spans: list[tuple[int, datetime, datetime]] = field(default_factory=list)  # site id, start, end
    device_spans: list[tuple[int, datetime, datetime]] = field(default_factory=list)


def save_prices(lines: Sequence[PriceLine]) -> Touched:
    """Keep hourly prices; an hour that has one already takes the new one. In the caller's transaction."""
    sites = dict(Site.objects.values_list("slug", "pk"))
    of_zone: dict[str, set[int]] = {}
    for zone, site_id in SiteTerms.objects.exclude(price_zone="").values_list("price_zone", "site_id"):
        of_zone.setdefault(zone, set()).add(site_id)
    touched = Touched()
    for line in lines:
        for site_id in [sites[line.site]] if line.site else of_zone.get(line.zone, ()):
            touched.hours.setdefault(site_id, set()).add(line.hour)
    for of_site in (True, False):
        _replace_hours([_price_hour(line, sites) for line in lines if bool(line.site) == of_site], of_site)
    return touched


def drop_prices(*, site: Site | None = None, zone: str = "") -> Touched:
    """Take back every hourly price of a site, or of a market zone. In the caller's transaction."""
    rows = PriceHour.objects.filter(site=site, zone=zone)
    hours = set(rows.order_by().values_list("hour", flat=True))
    of_zone = SiteTerms.objects.filter(price_zone=zone).order_by().values_list("site_id", flat=True)
    site_ids = {site.pk} if site else set(of_zone)
    rows.delete()
    return Touched(hours={site_id: set(hours) for site_id in site_ids if hours})


def save_rates(lines: Sequence[RateLine]) -> Touched:
    """Keep exchange rates into the ledger's currency. In the caller's transaction."""
    into = settings.GREENAI["currency"]
    rows = [ExchangeRate(currency=x.currency, into=into, day=x.day, rate=x.rate, source=x.source) for x in lines]
    ExchangeRate.objects.bulk_create(
        rows,
        _AT_ONCE,
        update_conflicts=True,
        update_fields=["rate", "source"],
        unique_fields=["currency", "into", "day"],
    )
    touched = Touched()
    for currency in sorted({line.currency for line in lines}):
        days = list(
            ExchangeRate.objects.filter(currency=currency, into=into).order_by("day").values_list("day", flat=True)
        )
        following = dict(zip(days, [*days[1:], None], strict=True))
        spans = [held_by_rate(line.day, following[line.day]) for line in lines if line.currency == currency]
        touched.spans += [(site_id, *span) for site_id in _sites_in(currency) for span in _joined(spans)]
        rented = Device.objects.filter(rental_currency=currency, rental_price_per_h__isnull=False)
        of_devices = sorted(rented.order_by().values_list("pk", flat=True))
        touched.device_spans += [(pk, *span) for pk in of_devices for span in _joined(spans)]
    return touched


def save_tariff(
    site: Site,
    *,
    name: str,
    currency: str,
    valid_from: datetime,
    valid_to: datetime | None,
    bands: Sequence[Band],
) -> tuple[Tariff, Touched]:
    """Keep a tariff over the one that began at that very moment, where there is one. In the caller's transaction.

    Raises:
        TariffRefused: two bands at once, or a time without a band.
    """
    check_cover(bands)
    said = {"name": name, "currency": currency, "valid_to": valid_to}
    before = Tariff.objects.filter(site=site, valid_from=valid_from).first()
    ends = [end_of(before)] if before else []
    tariff, _ = Tariff.objects.update_or_create(site=site, valid_from=valid_from, defaults=said)
    tariff.bands.all().delete()
    TariffBand.objects.bulk_create(_band_row(tariff, band) for band in bands)
    # Until it ends, or the one before ended: an hour that loses a tariff is touched too.
    return tariff, Touched(spans=[(site.pk, valid_from, max([*ends, _next_start(tariff)]))])


def drop_tariff(tariff: Tariff) -> Touched:
    """Take a tariff back: its hours fall to what held before. In the caller's transaction."""
    touched = Touched(spans=[(tariff.site_id, tariff.valid_from, _next_start(tariff))])
    tariff.delete()
    return touched


def end_of(tariff: Tariff) -> datetime:
    """When a tariff ends: as stated, or where the next one begins."""
    return min(tariff.valid_to or FOR_EVER, _next_start(tariff))


def _next_start(tariff: Tariff) -> datetime:
    later = Tariff.objects.filter(site=tariff.site_id, valid_from__gt=tariff.valid_from).order_by("valid_from").first()
    return later.valid_from if later else FOR_EVER


def _replace_hours(rows: Iterable[PriceHour], of_site: bool) -> None:
    """Conditional constraints are no target of an upsert on every database: the old rows go first."""
    fresh = list(rows)
    for start in range(0, len(fresh), _AT_ONCE):
        batch = fresh[start : start + _AT_ONCE]
        owners = {row.site_id if of_site else row.zone for row in batch}
        whose = Q(site__in=owners) if of_site else Q(zone__in=owners, site=None)
        wanted = {(row.site_id if of_site else row.zone, row.hour) for row in batch}
        known = PriceHour.objects.filter(whose, hour__in={row.hour for row in batch})
        stale = [row.pk for row in known if (row.site_id if of_site else row.zone, row.hour) in wanted]
        PriceHour.objects.filter(pk__in=stale).delete()
        PriceHour.objects.bulk_create(batch)


def _price_hour(line: PriceLine, sites: dict[str, int]) -> PriceHour:
    return PriceHour(
        site_id=sites[line.site] if line.site else None,
        zone=line.zone,
        hour=line.hour,
        price_per_kwh=line.price_per_kwh,
        currency=line.currency,
        source=line.source,
    )


def _band_row(tariff: Tariff, band: Band) -> TariffBand:
    return TariffBand(
        tariff=tariff,
        name=band.name,
        weekdays=sorted(band.weekdays),
        months=sorted(band.months),
        start_minute=band.start_minute,
        end_minute=band.end_minute,
        price_per_kwh=band.price_per_kwh,
    )


def _sites_in(currency: str) -> list[int]:
    """Sites that anything is told of in this currency."""
    in_terms = Q(terms__price_currency=currency) | Q(terms__carbon_price_currency=currency)
    of_zones = PriceHour.objects.filter(currency=currency, site=None).order_by()
    zones = set(of_zones.values_list("zone", flat=True).distinct())
    told = in_terms | Q(tariffs__currency=currency) | Q(price_hours__currency=currency) | Q(terms__price_zone__in=zones)
    return sorted(set(Site.objects.filter(told).order_by().values_list("pk", flat=True)))


def _joined(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The same time in as few stretches as it takes."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
