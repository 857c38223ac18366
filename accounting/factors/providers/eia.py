"""US EIA API v2, electricity/rto/fuel-type-data: hourly net generation by fuel of balancing authorities (EIA-930).

EIA stamps an hour by its end ("hour ending", Hourly Electric Grid Monitor, About, Time reporting); here it begins one
hour earlier.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from accounting.factors.providers.base import (
    HOUR,
    Ask,
    EmissionBasis,
    HourValue,
    NoKey,
    Part,
    WrongSchema,
    field,
    json_object,
    number,
    rows_of,
    whole_hours,
)
from accounting.factors.providers.client import Client
from accounting.factors.providers.mix import OTHER, STORAGE, FuelFactors, fuel_of, intensity_of_mix, series_of

URL = "https://api.eia.gov/v2/electricity/rto/fuel-type-data/data/"
WHO = "EIA"
PAGE = 5_000
MOST_PAGES = 10
FUELS = {
    "COL": "coal", "NG": "gas", "OIL": "oil", "NUC": "nuclear", "WAT": "hydro", "WND": "wind", "SUN": "solar",
    "GEO": "geothermal", "SNB": "solar", "WNB": "wind", "BAT": STORAGE, "PS": STORAGE, "UES": STORAGE, "OES": STORAGE,
    "OTH": OTHER, "UNK": OTHER,
}  # fmt: skip


def rows_and_total(body: bytes) -> tuple[list[dict[str, Any]], int]:
    """One page's rows, and how many there are on all pages. Raises WrongSchema."""
    answer = json_object(body, WHO)
    response = answer.get("response")
    if not isinstance(response, dict):
        raise WrongSchema(f"{WHO}: no object under 'response'; there is {sorted(answer)[:8]}")
    return rows_of(response, "data", WHO), int(number(field(response, "total", WHO), f"{WHO} total"))


def parse(rows: Iterable[dict[str, Any]], ask: Ask, factors: FuelFactors) -> list[HourValue]:
    """Both bases of each hour. A fuel that an hour does not name generated nothing then; an hour without rows is a gap.

    Raises:
        WrongSchema
    """
    mixes: dict[datetime, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    seen: set[tuple[datetime, str]] = set()
    for index, row in enumerate(rows):
        where = f"{WHO} row {index}"
        if row.get("respondent") != ask.area:
            raise WrongSchema(f"{where}: asked for {ask.area!r}, answered for {row.get('respondent')!r}")
        if row.get("value-units") != "megawatthours":
            raise WrongSchema(f"{where}: the unit is {row.get('value-units')!r}, not megawatthours")
        hour, code = _begins(field(row, "period", where), where), str(field(row, "fueltype", where))
        if (hour, code) in seen:
            raise WrongSchema(f"{where}: {code} stands twice in {row['period']}")
        seen.add((hour, code))
        if field(row, "value", where) is not None:
            mixes[hour][fuel_of(code, FUELS, where)] += max(0.0, number(row["value"], where))
    return _values(mixes, ask, factors)


def _values(mixes: dict[datetime, dict[str, float]], ask: Ask, factors: FuelFactors) -> list[HourValue]:
    found: list[HourValue] = []
    for basis in EmissionBasis:
        known = ((hour, intensity_of_mix(mix, factors, basis, country="us")) for hour, mix in mixes.items())
        parts = [Part(hour, HOUR, g, False, "generation mix") for hour, g in known if g is not None]
        found += whole_hours(parts, ask, series_of(basis))
    return sorted(found, key=lambda value: (value.hour, value.series.basis))


def _begins(period: Any, where: str) -> datetime:
    try:
        return datetime.strptime(str(period), "%Y-%m-%dT%H").replace(tzinfo=UTC) - HOUR
    except ValueError as error:
        raise WrongSchema(f"{where}: period {period!r:.40} is not like 2026-01-01T00") from error


@dataclass(frozen=True, slots=True)
class Eia:
    factors: FuelFactors
    name: str = "eia"
    title: str = "US EIA, Hourly Electric Grid Monitor"
    key_variable: str = "EIA_API_KEY"
    area_help: str = "CISO, ERCO, PJM, …"
    only_basis: EmissionBasis | None = None
    longest: timedelta = timedelta(days=10)
    url: str = "https://www.eia.gov/opendata/documentation.php"

    def usual_area(self, zone: str) -> str:
        """None: a balancing authority is not a state."""
        return ""

    def fetch(self, ask: Ask, *, key: str, client: Client) -> list[HourValue]:
        if not key:
            raise NoKey(f"{self.title} wants a key: set {self.key_variable}")
        rows: list[dict[str, Any]] = []
        for page in range(MOST_PAGES):
            more, total = rows_and_total(client.get(URL, query=_query(ask, key, page * PAGE)))
            rows += more
            if len(rows) >= total or not more:
                return parse(rows, ask, self.factors)
        raise WrongSchema(f"{WHO}: more than {MOST_PAGES * PAGE} rows for {ask.area}")


def _query(ask: Ask, key: str, offset: int) -> dict[str, str]:
    return {
        "api_key": key,
        "frequency": "hourly",
        "data[0]": "value",
        "facets[respondent][]": ask.area,
        "start": f"{ask.start + HOUR:%Y-%m-%dT%H}",
        "end": f"{ask.end:%Y-%m-%dT%H}",
        "sort[0][column]": "period",
        "sort[0][direction]": "asc",
        "offset": str(offset),
        "length": str(PAGE),
    }
