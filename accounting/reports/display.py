"""Figures as people read them: three significant digits and a unit that fits. Tables and CSV keep full precision."""

import math
from dataclasses import dataclass

SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "energy_kwh": ((1 / 3.6e9, "mJ"), (1 / 3.6e6, "J"), (1e-3, "Wh"), (1.0, "kWh"), (1e3, "MWh"), (1e6, "GWh")),
    "carbon_g": ((1e-3, "mg"), (1.0, "g"), (1e3, "kg"), (1e6, "t"), (1e9, "kt")),
    "water_l": ((1e-3, "mL"), (1.0, "L"), (1e3, "m³")),
    "power_w": ((1.0, "W"), (1e3, "kW"), (1e6, "MW")),
    "energy_j": ((1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"), (1e6, "MJ"), (1e9, "GJ")),
    "bytes": ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")),
    "time_s": ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s")),
    "intensity_g_per_kwh": ((1.0, "g/kWh"),),
    "l_per_kwh": ((1.0, "L/kWh"),),
    "percent": ((0.01, "%"),),
    "number": ((1.0, ""),),
}
LEAST = {"Wh": 1e-5}  # from 0.01 Wh on, in the unit of the kind: mWh beside MWh would be misread, below come joules
CENTS = {"EUR": "cent", "USD": "cent", "AUD": "cent", "CAD": "cent", "GBP": "pence"}  # below a tenth of the currency


@dataclass(frozen=True, slots=True)
class Shown:
    """One figure in words: low, mid and high share the unit that fits mid."""

    low: str
    mid: str
    high: str
    unit: str

    @property
    def is_range(self) -> bool:
        """Whether low and high still differ once rounded."""
        return self.low != self.high


def significant(value: float, *, digits: int = 3) -> str:
    """`digits` significant digits, no exponent, commas from ten thousand on, and a true minus sign."""
    if not math.isfinite(value):
        raise ValueError(f"not a figure that can be shown: {value}")
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    if rounded and math.floor(math.log10(abs(rounded))) > math.floor(math.log10(abs(value))):
        decimals -= 1  # 9.996 became 10.00: one digit too many
    text = f"{abs(rounded):,.{max(decimals, 0)}f}"
    return f"−{text}" if rounded < 0 else text


def show(kind: str, mid: float, low: float | None = None, high: float | None = None, *, currency: str = "") -> Shown:
    """Put a figure and its range in words.

    Args:
        kind: a key of SCALES, the unit the numbers are in; or "cost", with `currency`.
    """
    size = abs(mid) if mid else abs(high or 0.0)
    factor, unit = scale(kind, size, currency=currency)
    digits = 2 if kind == "cost" and 0 < size < 0.001 else 3  # 0.0076 cent: its size is all that matters there
    ends = (mid if low is None else low, mid, mid if high is None else high)
    return Shown(*(significant(end / factor, digits=digits) for end in ends), unit)


def scale(kind: str, size: float, *, currency: str = "") -> tuple[float, str]:
    """The unit in which `size` reads well, and how much of the kind's own unit it is; nothing is 0 of its own unit."""
    scales = _money(currency) if kind == "cost" else SCALES[kind]
    if size == 0:
        return next((one for one in scales if one[0] == 1.0), scales[0])
    return next((one for one in reversed(scales) if size >= _least(*one, currency)), scales[0])


def base_unit(kind: str, *, currency: str = "") -> str:
    """The unit that the numbers of a kind are in."""
    return scale(kind, 0.0, currency=currency)[1]


def _money(currency: str) -> tuple[tuple[float, str], ...]:
    whole = ((1.0, currency), (1e3, f"k {currency}"), (1e6, f"M {currency}"))
    return ((0.01, CENTS[currency]), *whole) if currency in CENTS else whole


def _least(factor: float, unit: str, currency: str) -> float:
    """From what size on a unit is used: from one of it, rounded up."""
    if unit == currency and currency in CENTS:
        return 0.1
    return LEAST.get(unit, factor * 0.9995)


def duration(seconds: float) -> str:
    """The two largest units of a time span: "45 s", "3 min 20 s", "2 h 5 min", "4 d 3 h"."""
    left = max(round(seconds), 0)
    parts = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)
