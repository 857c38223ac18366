"""An answer of estimates as a person reads it in a terminal: one block a run, one line a quantity."""

from typing import Any

from accounting.methods.units import G_PER_KG
from accounting.reports.display import Shown, show

WORDS = (
    ("it_energy_kwh", "IT energy", "energy_kwh"),
    ("facility_energy_kwh", "Facility energy", "energy_kwh"),
    ("co2e_location_kg", "CO₂e, location-based", "carbon_g"),
    ("co2e_market_kg", "CO₂e, market-based", "carbon_g"),
    ("embodied_kg", "CO₂e of making", "carbon_g"),
    ("co2e_total_kg", "CO₂e, total", "carbon_g"),
    ("water_onsite_l", "Water on site", "water_l"),
    ("water_offsite_l", "Water off site", "water_l"),
    ("water_l", "Water, total", "water_l"),
    ("cost", "Cost", "cost"),
    ("sci_g_per_unit", "SCI", "carbon_g"),
)  # fmt: skip
KINDS = {name: kind for name, _, kind in WORDS}
G_PER = {name: G_PER_KG for name in KINDS if name.endswith("_kg")}  # as the kind `carbon_g` is read


def text_of(answered: dict[str, Any]) -> str:
    blocks = [_block(number, run) for number, run in enumerate(answered["runs"], start=1)]
    return "\n\n".join(blocks) if blocks else "No runs."


def _block(number: int, run: dict[str, Any]) -> str:
    name = f"Run {number}" if run["id"] is None else f"Run {number}: {run['id']}"
    if error := run.get("error"):
        return f"{name}\n  refused ({error['code']}): {error['detail']}"
    lines = [_line(words, name_of, run[name_of]) for name_of, words, _ in WORDS if run[name_of] is not None]
    unknown = [words for name_of, words, _ in WORDS if run[name_of] is None and name_of != "sci_g_per_unit"]
    if unknown:
        lines.append(f"  not known: {', '.join(unknown)}")
    return "\n".join([name, *lines, *(f"  ! {warning}" for warning in run["warnings"])])


def shown_quantity(name: str, quantity: dict[str, Any]) -> tuple[Shown, str]:
    """The figure in words, and its unit: kilograms are shown as grams or tonnes where that fits."""
    by, kind = G_PER.get(name, 1.0), KINDS[name]
    low, mid, high = (quantity[end] * by for end in ("low", "mid", "high"))
    shown = show(kind, mid, low, high, currency=quantity["unit"] if kind == "cost" else "")
    per = f" per {quantity['unit'].removeprefix('g/')}" if name == "sci_g_per_unit" else ""
    return shown, f"{shown.unit}{per}"


def _line(words: str, name: str, quantity: dict[str, Any]) -> str:
    shown, unit = shown_quantity(name, quantity)
    span = f"  ({shown.low} to {shown.high})" if shown.is_range else ""
    return f"  {words:<22} {shown.mid:>9} {unit}{span}  {quantity['status'].lower()}, {quantity['method']}"
