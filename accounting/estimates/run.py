"""One requested run: what may be stated of it, and what is refused. Pure: no catalogue, no database."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from accounting.methods.sci import FunctionalUnit

QUANTITIES = (
    "it_energy_kwh", "facility_energy_kwh", "co2e_location_kg", "co2e_market_kg", "embodied_kg", "co2e_total_kg",
    "water_onsite_l", "water_offsite_l", "water_l", "cost", "sci_g_per_unit",
)  # fmt: skip
LONGEST_TEXT = 200
LEAST = 1e-30  # less, and not 0, is a slip of a unit, and overflows what is divided by it
SHOWN = 60  # characters of a refused value
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Refusal(ValueError):
    """A run that cannot be reckoned. `code` is stable, `field` names the input, `detail` says what to do."""

    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.field = field
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Run:
    """What is stated of a run; None: nothing. The unit is in the name, and `power_w` is of one device."""

    id: str | int | None = None
    device: str | None = None
    count: float | None = None
    hours: float | None = None
    gpu_hours: float | None = None  # of all devices together
    power_w: float | None = None
    utilization: float | None = None
    it_energy_kwh: float | None = None
    facility_energy_kwh: float | None = None
    pue: float | None = None
    zone: str | None = None
    cloud_provider: str | None = None
    cloud_region: str | None = None
    country: str | None = None
    year: int | None = None
    intensity_g_per_kwh: float | None = None
    market_intensity_g_per_kwh: float | None = None
    wue_l_per_kwh: float | None = None  # per kWh of IT energy
    ewif_l_per_kwh: float | None = None  # per kWh of facility energy
    embodied_kg_per_device: float | None = None
    embodied_server_kg: float | None = None  # without the devices
    devices_per_server: float | None = None
    lifetime_hours: float | None = None
    use_ratio: float | None = None  # share of the lifetime in which the device is used
    functional_unit: FunctionalUnit | None = None
    price_per_kwh: float | None = None
    expected: tuple[tuple[str, float], ...] = ()  # published figures, in the unit of the answer's quantity

    @property
    def device_hours(self) -> float | None:
        """Hours of all devices together; `gpu_hours` is the more direct. One device where no count is given."""
        if self.gpu_hours is not None:
            return self.gpu_hours
        return None if self.hours is None else self.hours * (self.count or 1.0)

    @property
    def devices(self) -> float | None:
        """How many devices worked together; None where only their hours are known."""
        if self.count is not None:
            return self.count
        if self.gpu_hours is None:
            return 1.0 if self.hours is not None else None
        return None if self.hours is None else max(1.0, self.gpu_hours / self.hours)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a number may be. Beyond it a value is a slip of a unit, or overflows what is reckoned from it."""

    least: float
    most: float
    open: bool = False  # `least` itself is refused
    whole: bool = False


NUMBERS = {
    "count": Limits(1, 1e7, whole=True),
    "hours": Limits(0, 1e7, open=True),
    "gpu_hours": Limits(0, 1e12, open=True),
    "power_w": Limits(0, 1e6),
    "utilization": Limits(0, 1),
    "it_energy_kwh": Limits(0, 1e13),
    "facility_energy_kwh": Limits(0, 1e13),
    "pue": Limits(1, 10),
    "year": Limits(1990, 2100, whole=True),
    "intensity_g_per_kwh": Limits(0, 2000),
    "market_intensity_g_per_kwh": Limits(0, 2000),
    "wue_l_per_kwh": Limits(0, 100),
    "ewif_l_per_kwh": Limits(0, 1000),
    "embodied_kg_per_device": Limits(0, 1e9),
    "embodied_server_kg": Limits(0, 1e9),
    "devices_per_server": Limits(1, 1e6, whole=True),
    "lifetime_hours": Limits(1, 1e7),
    "use_ratio": Limits(1e-6, 1),
    "price_per_kwh": Limits(0, 1e6),
}
UNIT_COUNT = Limits(1e-9, 1e24)
EXPECTED = Limits(0, 1e30)
TEXTS = ("device", "zone", "cloud_provider", "cloud_region", "country")
KEYS = tuple(f.name for f in fields(Run))


class Repeated(dict[str, Any]):
    """A JSON object in which one key stood twice: which of the values is meant, nobody knows."""

    key: str = ""


def read_run(stated: object) -> Run:
    """Check what a caller stated. Null is the same as not stated.

    Raises:
        Refusal: naming the first field that is wrong.
    """
    if not isinstance(stated, dict):
        raise Refusal("bad_type", "run", f'{shown(stated)} is no run: write an object such as {{"device": "H100"}}')
    _known(stated, KEYS, "")
    values: dict[str, Any] = {"id": _id(stated.get("id"))}
    for key, limits in NUMBERS.items():
        if stated.get(key) is not None:
            values[key] = number(stated[key], key, limits)
    for key in TEXTS:
        if stated.get(key) is not None:
            values[key] = _text(stated[key], key)
    if stated.get("functional_unit") is not None:
        values["functional_unit"] = _functional_unit(stated["functional_unit"])
    if stated.get("expected") is not None:
        values["expected"] = _expected(stated["expected"])
    if "year" in values:
        values["year"] = int(values["year"])
    return Run(**values)


def id_of(stated: object) -> str | int | None:
    """The id of a run that may be refused, where it can be repeated."""
    try:
        return _id(stated.get("id")) if isinstance(stated, dict) else None
    except Refusal:
        return None


def number(value: object, field: str, limits: Limits) -> float:
    """Raises Refusal: not a number, not finite, not whole, negative or out of range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal("bad_type", field, f"{field}: {shown(value)} is not a number")
    try:
        read = float(value)
    except OverflowError:
        read = math.inf
    if not math.isfinite(read):
        raise Refusal("not_finite", field, f"{field}: {shown(value)} is not a finite number")
    span = f"{'above' if limits.open else 'from'} {limits.least:g} to {limits.most:g}"
    if read < 0:
        raise Refusal("negative", field, f"{field}: {shown(value)} is below zero: give a number {span}")
    if not limits.least <= read <= limits.most or (limits.open and read == limits.least):
        raise Refusal(
            "out_of_range", field, f"{field}: {shown(value)} is out of range: give a number {span}{_hint(field, read)}"
        )
    if 0 < read < LEAST:
        detail = f"{field}: {shown(value)} is next to nothing: give 0, or a number from {LEAST:g} on"
        raise Refusal("out_of_range", field, detail)
    if limits.whole and read != int(read):
        raise Refusal("bad_type", field, f"{field}: {shown(value)} is not a whole number")
    return read


def near(word: str, known: Mapping[str, object] | tuple[str, ...] | list[str]) -> str:
    """The end of a sentence: `: did you mean …?`, or a full stop where nothing is near."""
    fits = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f": did you mean {fits[0]!r}?" if fits else "."


def shown(value: object) -> str:
    """A value as a refusal repeats it: short, printable ASCII."""
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _hint(field: str, value: float) -> str:
    if field in ("utilization", "use_ratio") and 1 < value <= 100:
        return f"; for {value:g} % write {value / 100:g}"
    if field.endswith("intensity_g_per_kwh"):
        return "; it is in grams of CO2e per kWh"
    if field == "pue":
        return "; a building draws at least what its machines draw"
    return ""


def _known(stated: dict[Any, Any], keys: tuple[str, ...], inside: str) -> None:
    if isinstance(stated, Repeated):
        field = f"{inside}{stated.key}"
        raise Refusal("repeated_key", shown(field)[1:-1], f"{shown(field)} stands twice: which of the two is meant?")
    for key in stated:
        if key not in keys:
            field = f"{inside}{key}"
            raise Refusal("unknown_key", shown(field)[1:-1], f"{shown(field)} is not known{near(str(key), keys)}")


def _id(value: object) -> str | int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return _text(value, "id", empty=True)


def _text(value: object, field: str, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise Refusal("bad_type", field, f"{field}: {shown(value)} is not text")
    if len(value) > LONGEST_TEXT or _UNPRINTABLE.search(value) or not (empty or value.strip()):
        raise Refusal("bad_text", field, f"{field}: {shown(value)}: 1 to {LONGEST_TEXT} printable characters")
    return value if empty else value.strip()


def _functional_unit(value: object) -> FunctionalUnit:
    field = "functional_unit"
    if not isinstance(value, dict):
        raise Refusal("bad_type", field, f'{field}: {shown(value)}: write {{"name": "token", "count": 1000}}')
    _known(value, ("name", "count", "basis"), f"{field}.")
    if value.get("basis") not in (None, "location"):
        raise Refusal(
            "market_refused", f"{field}.basis",
            f"{field}.basis: {shown(value['basis'])}: a Software Carbon Intensity (ISO/IEC 21031) is location-based "
            "and takes no market instrument: leave it out",
        )  # fmt: skip
    for key in ("name", "count"):
        if value.get(key) is None:
            raise Refusal("missing", f"{field}.{key}", f"{field}.{key} is missing: name what is counted, and how many")
    return FunctionalUnit(_text(value["name"], f"{field}.name"), number(value["count"], f"{field}.count", UNIT_COUNT))


def _expected(value: object) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict):
        raise Refusal("bad_type", "expected", f'expected: {shown(value)}: write {{"co2e_location_kg": 12.5}}')
    _known(value, QUANTITIES, "expected.")
    return tuple(
        (quantity, number(figure, f"expected.{quantity}", EXPECTED))
        for quantity, figure in value.items()
        if figure is not None
    )
