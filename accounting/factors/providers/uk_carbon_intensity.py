"""Great Britain's Carbon Intensity API (NESO): half hours, no key. Direct emissions, with imports and losses.

`actual` is reckoned from metered generation; where it is not there yet the forecast stands in, and says estimated.
"""

from dataclasses import dataclass
from datetime import timedelta

from accounting.factors.providers.base import (
    Ask,
    EmissionBasis,
    Flow,
    HourValue,
    Part,
    Series,
    Signal,
    WrongSchema,
    field,
    json_object,
    moment,
    number,
    rows_of,
    whole_hours,
)
from accounting.factors.providers.client import Client

BASE = "https://api.carbonintensity.org.uk/intensity"
WHO = "Carbon Intensity API"
SERIES = Series(Signal.AVERAGE, EmissionBasis.DIRECT, Flow.CONSUMPTION)
AREA = "GB"


def parse(body: bytes, ask: Ask) -> list[HourValue]:
    """Raises WrongSchema."""
    parts = []
    for index, row in enumerate(rows_of(json_object(body, WHO), "data", WHO)):
        where = f"{WHO} row {index}"
        start, end = (moment(field(row, name, where), where) for name in ("from", "to"))
        intensity = field(row, "intensity", where)
        if not isinstance(intensity, dict):
            raise WrongSchema(f"{where}: intensity is {intensity!r:.60}, not an object")
        actual, forecast = field(intensity, "actual", where), field(intensity, "forecast", where)
        if actual is None and forecast is None:
            continue
        value = number(forecast if actual is None else actual, where)
        parts.append(Part(start, end - start, value, actual is None, "forecast" if actual is None else ""))
    return whole_hours(parts, ask, SERIES)


@dataclass(frozen=True, slots=True)
class UkCarbonIntensity:
    name: str = "uk-carbon-intensity"
    title: str = "Carbon Intensity API (Great Britain)"
    key_variable: str = ""
    area_help: str = "GB"
    only_basis: EmissionBasis | None = EmissionBasis.DIRECT
    longest: timedelta = timedelta(days=13)  # its own limit is 14
    url: str = "https://carbon-intensity.github.io/api-definitions/"

    def usual_area(self, zone: str) -> str:
        return AREA if zone == AREA else ""

    def fetch(self, ask: Ask, *, key: str, client: Client) -> list[HourValue]:
        if ask.area != AREA:
            raise WrongSchema(f"{WHO} knows {AREA} only, not {ask.area!r}")
        return parse(client.get(f"{BASE}/{ask.start:%Y-%m-%dT%H:%MZ}/{ask.end:%Y-%m-%dT%H:%MZ}"), ask)
