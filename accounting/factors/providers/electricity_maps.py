"""Electricity Maps API v3, /carbon-intensity/history and /past-range: flow-traced averages of some 350 zones."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

from accounting.factors.providers.base import (
    HOUR,
    Ask,
    EmissionBasis,
    Flow,
    HourValue,
    NoKey,
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
from accounting.factors.providers.client import Client, Refused

BASE = "https://api.electricitymaps.com/v3/carbon-intensity"
WHO = "Electricity Maps"
FREE_REACH = timedelta(hours=24)  # what /history answers, and all that a free key is given


def parse(body: bytes, ask: Ask) -> list[HourValue]:
    """Both endpoints: /history lists under `history`, /past-range under `data`.

    Raises:
        WrongSchema: also where the answer is of another zone. The service may answer for the place of whoever asks
            when it does not know the zone; that is never taken.
    """
    answer = json_object(body, WHO)
    rows = rows_of(answer, "history" if "history" in answer else "data", WHO)
    parts: dict[EmissionBasis, list[Part]] = defaultdict(list)
    for number_, row in enumerate(rows):
        where = f"{WHO} row {number_}"
        zone = row.get("zone", answer.get("zone"))
        if zone != ask.area:
            raise WrongSchema(f"{where}: asked for zone {ask.area!r}, answered for {zone!r}")
        if field(row, "carbonIntensity", where) is None:
            continue
        parts[_basis(row, ask, where)].append(_part(row, where))
    found = [
        (basis, whole_hours(of, ask, Series(Signal.AVERAGE, basis, Flow.CONSUMPTION))) for basis, of in parts.items()
    ]
    return sorted((value for _, values in found for value in values), key=lambda value: value.hour)


def _basis(row: dict[str, object], ask: Ask, where: str) -> EmissionBasis:
    """As the row names it; a row of another basis than was asked for is no answer."""
    said = field(row, "emissionFactorType", where)
    if said != ask.basis:
        raise WrongSchema(f"{where}: asked for {ask.basis} emission factors, answered with {said!r}")
    return ask.basis


def _part(row: dict[str, object], where: str) -> Part:
    estimated = field(row, "isEstimated", where)
    if not isinstance(estimated, bool):
        raise WrongSchema(f"{where}: isEstimated is {estimated!r}, not true or false")
    return Part(
        start=moment(field(row, "datetime", where), where),
        span=HOUR,
        g_per_kwh=number(row["carbonIntensity"], where),
        is_estimated=estimated,
        estimation_method=str(row.get("estimationMethod") or "")[:60],
    )


@dataclass(frozen=True, slots=True)
class ElectricityMaps:
    name: str = "electricity-maps"
    title: str = "Electricity Maps"
    key_variable: str = "ELECTRICITY_MAPS_TOKEN"
    area_help: str = "FR, DE, US-CAL-CISO, …"
    only_basis: EmissionBasis | None = None
    longest: timedelta = timedelta(days=10)  # past-range's own limit for hours
    url: str = "https://portal.electricitymaps.com/developer-hub/api/reference"

    def usual_area(self, zone: str) -> str:
        """Countries, Nordic zones and Canadian provinces have the same names; US and Chinese ones do not."""
        return "" if zone.startswith(("US-", "CN-")) else zone

    def fetch(self, ask: Ask, *, key: str, client: Client) -> list[HourValue]:
        """/past-range; where the key does not cover it, what /history knows of the last day."""
        if not key:
            raise NoKey(f"{self.title} wants a key: set {self.key_variable}")
        common = {"zone": ask.area, "emissionFactorType": ask.basis.value, "shouldUseFallbackCallerLookup": "false"}
        headers = {"auth-token": key}
        reach = {"start": f"{ask.start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{ask.end:%Y-%m-%dT%H:%M:%SZ}"}
        if ask.end - ask.start > FREE_REACH:
            try:
                body = client.get(f"{BASE}/past-range", query={**common, **reach}, headers=headers)
                return parse(body, ask)
            except Refused as refused:
                if refused.status not in (401, 403):
                    raise
        return parse(client.get(f"{BASE}/history", query=common, headers=headers), ask)
