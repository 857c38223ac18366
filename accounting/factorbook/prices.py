"""What a kilowatt-hour costs at a site in an hour: imported series, tariff, stated, the place's, the currency's."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from django.db.models import Q

from accounting.factorbook.currencies import Exchange, load_exchange
from accounting.factorbook.stated import stated_in_terms
from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.methods.cost import stated_price
from accounting.methods.facility import Held, time_mean
from accounting.methods.records import Figure
from accounting.methods.tariff import Band, TariffRefused, bands_in_hour
from accounting.models import PriceHour, SiteTerms, Tariff


@dataclass(frozen=True, slots=True)
class DatedTariff:
    """A tariff with its bands, as the clock of its site reads them."""

    slug: str
    name: str
    currency: str
    since: datetime
    until: datetime | None
    bands: Sequence[Band]
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class PriceBook:
    """All that people told of prices, for the sites and hours it was loaded for."""

    series: Mapping[tuple[int | str, datetime], PriceHour]  # by site or market zone, and hour
    tariffs: Mapping[int, Sequence[DatedTariff]]  # of each site, oldest first
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Priced:
    """The price of an hour in the ledger's currency. None: nobody knows it, and `note` says why."""

    per_kwh: Figure | None
    carbon_per_t: Figure | None = None  # of operational CO2e; None: no price on carbon
    note: str = ""


STEP_WORDS = {  # by how the id of a price begins
    "price-hour": "imported hourly price",
    "tariff": "tariff",
    "site": "stated in the site's terms",
    "price": "typical price",
}


def load_prices(hours: Mapping[int, Sequence[datetime]], terms: Mapping[int, Sequence[SiteTerms]]) -> PriceBook:
    """Everything that prices these hours of these sites. None without sites, else four queries at most."""
    if not hours:
        return PriceBook({}, {}, load_exchange((), ()))
    of_sites = [one for site_id in hours for one in terms[site_id]]
    zones = {one.price_zone for one in of_sites} - {""}
    all_hours = {hour for of_site in hours.values() for hour in of_site}
    rows = PriceHour.objects.filter(Q(site__in=list(hours)) | Q(zone__in=zones, site=None), hour__in=all_hours)
    series = {(row.site_id or row.zone, row.hour): row for row in rows}
    tariffs = _tariffs(hours)
    told = [row.currency for row in series.values()]
    told += [one.currency for of_site in tariffs.values() for one in of_site]
    told += [currency for one in of_sites for currency in (one.price_currency, one.carbon_price_currency)]
    return PriceBook(series, tariffs, load_exchange(told, all_hours))


def price_of(book: PriceBook, catalog: Catalog, terms: SiteTerms | None, hour: datetime, *, zone: str = "") -> Priced:
    """The first that answers: series of the site, of its market zone, tariff, terms, the place's, the currency's.

    `zone`: the grid the site draws from, as stated or as its cloud region's.

    A price that is told in a currency without a rate is unknown: no later step speaks over what was told.
    """
    carbon, note = _carbon_price(book.exchange, terms, hour)
    told = _told(book, catalog, terms, hour) if terms else None
    if told is not None:
        figure, currency = told
        price = book.exchange.convert(figure, currency, hour)
        return Priced(price, carbon, note if price else book.exchange.missing(currency, hour))
    typical = lookup.price_in(catalog, zone, book.exchange.into)
    if typical is None:
        unknown = f"no typical price in {book.exchange.into} is known: state the site's price"
        return Priced(None, carbon, note or unknown)
    return Priced(typical.figure, carbon, note)


def step_words(factor_ids: Iterable[str]) -> str:
    """Which step gave a price, in words; empty where none did."""
    kinds = [factor_id.partition(":")[0] for factor_id in factor_ids]
    return next((words for kind, words in STEP_WORDS.items() if kind in kinds), "")


def _told(book: PriceBook, catalog: Catalog, terms: SiteTerms, hour: datetime) -> tuple[Figure, str] | None:
    """What people told of this hour, and the currency it is in."""
    row = book.series.get((terms.site_id, hour)) or book.series.get((terms.price_zone, hour))
    if row is not None:
        source = f"price-hour:{row.zone or terms.site.slug}"
        return stated_price(row.price_per_kwh, f"{row.currency}/kWh", (source,)), row.currency
    tariff = _tariff_at(book.tariffs.get(terms.site_id, ()), hour)
    if tariff is not None and (price := _by_bands(tariff, hour)) is not None:
        return price, tariff.currency
    if terms.electricity_price_per_kwh is None:
        return None
    currency = terms.price_currency or book.exchange.into
    return stated_in_terms(catalog, terms, "price", terms.electricity_price_per_kwh, f"{currency}/kWh"), currency


def _by_bands(tariff: DatedTariff, hour: datetime) -> Figure | None:
    """The mean of the bands that hold in the hour, by time; None where the zone's clock changed its rules since."""
    try:
        held = bands_in_hour(tariff.bands, hour, tariff.zone)
    except TariffRefused:
        return None
    unit, since = f"{tariff.currency}/kWh", f"{tariff.since.astimezone(UTC):%Y-%m-%d}"
    parts = [
        Held(stated_price(band.price_per_kwh, unit, (f"tariff:{tariff.slug}:{band.name}@{since}",)), share)
        for band, share in held
    ]
    return time_mean(parts, unit)


def _tariff_at(tariffs: Sequence[DatedTariff], hour: datetime) -> DatedTariff | None:
    current = next((one for one in reversed(tariffs) if one.since <= hour), None)
    return current if current and (current.until is None or hour < current.until) else None


def _tariffs(hours: Mapping[int, Sequence[datetime]]) -> dict[int, list[DatedTariff]]:
    found: dict[int, list[DatedTariff]] = defaultdict(list)
    rows = Tariff.objects.filter(site__in=list(hours)).select_related("site").prefetch_related("bands")
    for row in rows.order_by("site", "valid_from"):
        zone = ZoneInfo(row.site.time_zone)
        dated = (row.site.slug, row.name, row.currency, row.valid_from, row.valid_to)
        found[row.site_id].append(DatedTariff(*dated, bands_of(row), zone))
    return found


def bands_of(tariff: Tariff) -> list[Band]:
    """The rows of a tariff as the methods read them."""
    return [
        Band(
            name=row.name,
            weekdays=frozenset(row.weekdays),
            months=frozenset(row.months),
            start_minute=row.start_minute,
            end_minute=row.end_minute,
            price_per_kwh=row.price_per_kwh,
        )
        for row in tariff.bands.all()
    ]


def _carbon_price(exchange: Exchange, terms: SiteTerms | None, hour: datetime) -> tuple[Figure | None, str]:
    """(price of a tonne, why a stated one is not known)."""
    if terms is None or terms.carbon_price_per_t is None:
        return None, ""
    currency = terms.carbon_price_currency or exchange.into
    source = f"site:{terms.site.slug}:carbon_price@{terms.valid_from.astimezone(UTC):%Y-%m-%d}"
    stated = stated_price(terms.carbon_price_per_t, f"{currency}/t", (source,))
    price = exchange.convert(stated, currency, hour)
    return price, "" if price else f"carbon price: {exchange.missing(currency, hour)}"
