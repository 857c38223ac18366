"""ENTSO-E Transparency Platform, document A75 (actual generation per type, process A16) of a control area or zone.

Market time units of 15, 30 or 60 minutes. What a zone's pumps and batteries draw (outBiddingZone) is not generation.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element

from accounting.factors.places import entsoe_areas
from accounting.factors.providers.base import (
    HOUR,
    Ask,
    EmissionBasis,
    HourValue,
    NoKey,
    Part,
    WrongSchema,
    moment,
    number,
    whole_hours,
)
from accounting.factors.providers.client import Client, Refused
from accounting.factors.providers.mix import OTHER, STORAGE, FuelFactors, fuel_of, intensity_of_mix, series_of
from accounting.factors.providers.safe_xml import child, children, local_name, parse_xml, text

URL = "https://web-api.tp.entsoe.eu/api"
WHO = "ENTSO-E"
NOTHING_FOUND = "999"
_EIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"
QUARTER = timedelta(minutes=15)
MOST_STEPS = 10_000
STEPS = {"PT60M": HOUR, "PT30M": HOUR / 2, "PT15M": HOUR / 4}
FUELS = {
    "B01": "biomass", "B02": "lignite", "B03": "coal", "B04": "gas", "B05": "coal", "B06": "oil", "B07": "lignite",
    "B08": "lignite", "B09": "geothermal", "B10": STORAGE, "B11": "hydro", "B12": "hydro", "B13": "hydro",
    "B14": "nuclear", "B15": "biomass", "B16": "solar", "B17": "waste", "B18": "wind", "B19": "wind", "B20": OTHER,
    "B25": STORAGE,
}  # fmt: skip


def is_eic(code: str) -> bool:
    """Sixteen characters, the last of which checks the others (ENTSO-E, Energy Identification Coding Scheme)."""
    if len(code) != 16 or set(code) - set(_EIC):
        return False
    weighed = sum(_EIC.index(character) * (16 - position) for position, character in enumerate(code[:15]))
    return code[15] == _EIC[36 - (weighed - 1) % 37]


def parse(body: bytes, ask: Ask, factors: FuelFactors) -> list[HourValue]:
    """Both bases of each whole hour.

    A fuel that is not told generated nothing, unless the last that was told of it was above nought: then it has not
    been published yet, and what is told of the others would be another mix. Such hours are gaps.

    Raises:
        WrongSchema: also where the document says why there is no answer, unless that is "no matching data".
    """
    root = parse_xml(body, who=WHO)
    if local_name(root) == "Acknowledgement_MarketDocument":
        return _nothing(root)
    if local_name(root) != "GL_MarketDocument" or text(child(root, "type", WHO)) != "A75":
        raise WrongSchema(f"{WHO}: expected GL_MarketDocument of type A75, got {local_name(root)}")
    told: dict[str, dict[datetime, float]] = defaultdict(dict)
    for series in children(root, "TimeSeries"):
        for psr, start, mw in _quarters(series, ask):
            if start in told[psr]:
                raise WrongSchema(f"{WHO}: {psr} is told twice for {start:%Y-%m-%dT%H:%MZ}")
            told[psr][start] = mw
    return _values(_whole_quarters(told), ask, factors)


def _whole_quarters(told: Mapping[str, Mapping[datetime, float]]) -> dict[datetime, dict[str, float]]:
    """MW by fuel of every quarter of an hour in which no fuel is still to be published."""
    running = dict.fromkeys(told, 0.0)
    whole: dict[datetime, dict[str, float]] = {}
    for start in sorted({start for of_fuel in told.values() for start in of_fuel}):
        running |= {psr: of_fuel[start] for psr, of_fuel in told.items() if start in of_fuel}
        if all(start in of_fuel or running[psr] <= 0 for psr, of_fuel in told.items()):
            mix: dict[str, float] = defaultdict(float)
            for psr, of_fuel in told.items():
                mix[fuel_of(psr, FUELS, WHO)] += max(0.0, of_fuel.get(start, 0.0))
            whole[start] = mix
    return whole


def _nothing(root: Element) -> list[HourValue]:
    reason = child(root, "Reason", WHO)
    code, words = text(child(reason, "code", WHO)), text(child(reason, "text", WHO))
    if code == NOTHING_FOUND:
        return []
    raise WrongSchema(f"{WHO} answers with reason {code}: {words[:200]}")


def _quarters(series: Element, ask: Ask) -> Iterator[tuple[str, datetime, float]]:
    """(fuel code, start, MW) of each quarter hour of a series of generation.

    With curve type A03 a position that is left out repeats the one before it.
    """
    if not (domains := children(series, "inBiddingZone_Domain.mRID")):
        return
    if text(domains[0]) != ask.area:
        raise WrongSchema(f"{WHO}: asked for {ask.area}, answered for {text(domains[0])}")
    if (unit := text(child(series, "quantity_Measure_Unit.name", WHO))) != "MAW":
        raise WrongSchema(f"{WHO}: the unit is {unit!r}, not MAW (megawatt)")
    psr = text(child(child(series, "MktPSRType", WHO), "psrType", WHO))
    repeats = text(child(series, "curveType", WHO)) == "A03"
    for period in children(series, "Period"):
        interval = child(period, "timeInterval", WHO)
        start, end = (moment(text(child(interval, name, WHO)), WHO) for name in ("start", "end"))
        resolution = text(child(period, "resolution", WHO))
        if (step := STEPS.get(resolution)) is None:
            raise WrongSchema(f"{WHO}: resolution {resolution!r} is none of {sorted(STEPS)}")
        known = {
            int(number(text(child(p, "position", WHO)), WHO)): number(text(child(p, "quantity", WHO)), WHO)
            for p in children(period, "Point")
        }
        yield from ((psr, at, mw) for at, mw in _held(start, end, step, known, repeats=repeats))


def _held(
    start: datetime, end: datetime, step: timedelta, known: Mapping[int, float], *, repeats: bool
) -> Iterator[tuple[datetime, float]]:
    if (end - start) / step > MOST_STEPS:
        raise WrongSchema(f"{WHO}: a period from {start.isoformat()} to {end.isoformat()} is longer than was asked for")
    held: float | None = None
    for position in range(1, (end - start) // step + 1):
        held = known.get(position, held if repeats else None)
        if held is not None:
            at = start + (position - 1) * step
            yield from ((at + k * QUARTER, held) for k in range(step // QUARTER))


def _values(quarters: Mapping[datetime, Mapping[str, float]], ask: Ask, factors: FuelFactors) -> list[HourValue]:
    """Energy is summed over the hour before it is divided: a quarter hour counts by what it generated."""
    hours: dict[datetime, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    filled: Counter[datetime] = Counter()
    for start, mix in quarters.items():
        hour = start.replace(minute=0)
        filled[hour] += 1
        for fuel, mw in mix.items():
            hours[hour][fuel] += mw * (QUARTER / HOUR)
    found: list[HourValue] = []
    for basis in EmissionBasis:
        whole = ((hour, intensity_of_mix(mix, factors, basis)) for hour, mix in hours.items() if filled[hour] == 4)
        parts = [Part(hour, HOUR, g, False, "generation mix") for hour, g in whole if g is not None]
        found += whole_hours(parts, ask, series_of(basis))
    return sorted(found, key=lambda value: (value.hour, value.series.basis))


@dataclass(frozen=True, slots=True)
class Entsoe:
    factors: FuelFactors
    name: str = "entsoe"
    title: str = "ENTSO-E Transparency Platform"
    key_variable: str = "ENTSOE_TOKEN"
    area_help: str = "an EIC code such as 10YFR-RTE------C"
    only_basis: EmissionBasis | None = None
    longest: timedelta = timedelta(days=10)
    url: str = "https://transparency.entsoe.eu/"

    def usual_area(self, zone: str) -> str:
        return entsoe_areas().get(zone, "")

    def fetch(self, ask: Ask, *, key: str, client: Client) -> list[HourValue]:
        if not key:
            raise NoKey(f"{self.title} wants a key: set {self.key_variable}")
        query = {
            "securityToken": key,
            "documentType": "A75",
            "processType": "A16",
            "in_Domain": ask.area,
            "periodStart": f"{ask.start:%Y%m%d%H%M}",
            "periodEnd": f"{ask.end:%Y%m%d%H%M}",
        }
        try:
            body = client.get(URL, query=query, headers={"Accept": "application/xml"})
        except Refused as refused:
            if refused.status != 400:
                raise
            body = refused.body  # it says there why not, and "no matching data" is one of the reasons
        return parse(body, ask, self.factors)
