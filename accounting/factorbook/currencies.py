"""One ledger currency: what stands in another is brought into it by the rate of the day."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.conf import settings

from accounting.methods.cost import MOST_STALE_DAYS, DatedRate, converted, rate_on, stated_price
from accounting.methods.records import Figure
from accounting.models import ExchangeRate


@dataclass(frozen=True, slots=True)
class Exchange:
    """Rates into the ledger's currency, by currency and rising day."""

    into: str
    rates: Mapping[str, Sequence[DatedRate]]

    def convert(self, amount: Figure, currency: str, hour: datetime) -> Figure | None:
        """An amount per something (`USD/kWh`) in the ledger's currency; None where no rate of that week is known.

        The id of the rate says the day it was published, and how many days old it is where that is not the hour's own.
        """
        _, _, per = amount.unit.partition("/")
        unit = f"{self.into}/{per}" if per else self.into
        if currency in ("", self.into):
            return amount
        day = hour.astimezone(UTC).date()
        found = rate_on(self.rates.get(currency, ()), day)
        if found is None:
            return None
        stale = f"@{found.age_days}-days-old" if found.age_days else ""
        source = f"exchange:{currency}:{found.published.isoformat()}{stale}"
        return converted(amount, stated_price(found.rate, f"{self.into}/{currency}", (source,)), unit)

    def missing(self, currency: str, hour: datetime) -> str:
        """Why an amount could not be converted, and what to do."""
        return (
            f"no exchange rate from {currency} to {self.into} is known for {hour.astimezone(UTC):%Y-%m-%d} or the "
            f"{MOST_STALE_DAYS} days before: import one under Prices"
        )


def load_exchange(currencies: Iterable[str], hours: Iterable[datetime]) -> Exchange:
    """The rates that could hold in these hours. One query; none where everything is in the ledger's currency."""
    into = settings.GREENAI["currency"]
    foreign, days = set(currencies) - {"", into}, [hour.astimezone(UTC).date() for hour in hours]
    if not foreign or not days:
        return Exchange(into, {})
    first, last = min(days) - timedelta(days=MOST_STALE_DAYS), max(days)
    rows = ExchangeRate.objects.filter(currency__in=foreign, into=into, day__range=(first, last)).order_by("day")
    rates: dict[str, list[DatedRate]] = defaultdict(list)
    for currency, day, rate in rows.values_list("currency", "day", "rate"):
        rates[currency].append(DatedRate(day, rate))
    return Exchange(into, dict(rates))


def held_by_rate(day: date, following: date | None) -> tuple[datetime, datetime]:
    """[start, end) of the hours that the rate of a day can move: until the next one, a week at most."""
    last = day + timedelta(days=MOST_STALE_DAYS + 1)
    until = last if following is None else min(last, following)
    return _midnight(day), _midnight(until)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
