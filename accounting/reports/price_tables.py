"""Prices, tariffs and exchange rates as people see and download them; the files can be imported again as they are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.conf import settings
from django.db.models import Count, F, Max, Min

from accounting.factorbook.price_files import PRICE_COLUMNS, RATE_COLUMNS
from accounting.factorbook.prices import bands_of
from accounting.methods.tariff import MONTHS, WEEKDAYS, clock
from accounting.models import ExchangeRate, PriceHour, Site, Tariff
from accounting.reports.tables import Column, Table, Value

TEXT = False


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """Imported hourly prices of one site or market zone."""

    of: str
    site_id: int | None  # None: of a market zone
    hours: int
    first: datetime
    last: datetime
    currency: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RateOfCurrency:
    """What is known of one currency: the newest rate, and since when."""

    currency: str
    rate: float
    day: date
    first: date
    days: int
    source: str


def series_lines(sites: Iterable[Site]) -> list[SeriesLine]:
    """Of these sites and of every market zone. One query."""
    ids = [site.pk for site in sites]
    rows = PriceHour.objects.filter(site__in=ids) | PriceHour.objects.filter(site=None)
    found = (
        rows.order_by()
        .values("zone", "currency", "site_id", site_name=F("site__name"))
        .annotate(
            n=Count("pk"), first=Min("hour"), last=Max("hour"), low=Min("price_per_kwh"), high=Max("price_per_kwh")
        )
    )
    lines = [
        SeriesLine(
            row["site_name"] or row["zone"], row["site_id"], row["n"], row["first"], row["last"], row["currency"],
            row["low"], row["high"],
        )
        for row in found
    ]  # fmt: skip
    return sorted(lines, key=lambda line: (line.site_id is None, line.of, line.first))


def rate_lines() -> list[RateOfCurrency]:
    """Rates into the ledger's currency, the newest of each. Two queries."""
    rates = ExchangeRate.objects.filter(into=settings.GREENAI["currency"])
    spans = rates.order_by().values("currency").annotate(first=Min("day"), last=Max("day"), n=Count("pk"))
    newest = {(row.currency, row.day): row for row in rates.filter(day__in={span["last"] for span in spans})}
    lines = []
    for span in spans:
        row = newest[span["currency"], span["last"]]
        lines.append(RateOfCurrency(row.currency, row.rate, row.day, span["first"], span["n"], row.source))
    return sorted(lines, key=lambda line: line.currency)


def hours_table(sites: Iterable[Site]) -> Table:
    ids = [site.pk for site in sites]
    rows = (PriceHour.objects.filter(site__in=ids) | PriceHour.objects.filter(site=None)).order_by("hour", "pk")
    cells = rows.values_list("site__slug", "zone", "hour", "price_per_kwh", "currency", "source")
    body: list[Sequence[Value]] = [(slug or "", *rest) for slug, *rest in cells]
    return Table("hourly-prices", "Hourly prices", _columns(PRICE_COLUMNS), body)


def rates_table() -> Table:
    rows = ExchangeRate.objects.filter(into=settings.GREENAI["currency"]).order_by("currency", "day")
    return Table("exchange-rates", "Exchange rates", _columns(RATE_COLUMNS), list(rows.values_list(*RATE_COLUMNS)))


def tariffs_table(tariffs: Iterable[Tariff]) -> Table:
    """A line a band."""
    columns = (
        Column("site", "Site", TEXT), Column("tariff", "Tariff", TEXT), Column("valid_from", "Holds since", TEXT),
        Column("valid_to", "Until", TEXT), Column("band", "Band", TEXT), Column("weekdays", "Days", TEXT),
        Column("months", "Months", TEXT), Column("start", "From", TEXT), Column("end", "To", TEXT),
        Column("price_per_kwh", "Price per kWh"), Column("currency", "Currency", TEXT),
    )  # fmt: skip
    rows: list[Sequence[Value]] = [
        [
            tariff.site.slug, tariff.name, tariff.valid_from, tariff.valid_to, band.name,
            " ".join(WEEKDAYS[day - 1] for day in sorted(band.weekdays)),
            " ".join(MONTHS[month - 1] for month in sorted(band.months)),
            clock(band.start_minute), clock(band.end_minute), band.price_per_kwh, tariff.currency,
        ]
        for tariff in tariffs
        for band in bands_of(tariff)
    ]  # fmt: skip
    return Table("tariffs", "Tariffs", columns, rows)


def _columns(names: Iterable[str]) -> list[Column]:
    return [Column(name, name.replace("_", " ").capitalize(), name in ("price_per_kwh", "rate")) for name in names]
