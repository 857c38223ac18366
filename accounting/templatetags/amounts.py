"""Figures, ranges and chips in templates: `{% load amounts %}`. The words come from `accounting.reports.display`."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounting.reports import display, tables

register = template.Library()


def _shown(value: Any, kind: str) -> display.Shown:
    """Words for a number, or for anything with low, mid and high."""
    currency = settings.GREENAI["currency"]
    if hasattr(value, "mid"):
        return display.show(kind, value.mid, value.low, value.high, currency=currency)
    return display.show(kind, float(value), currency=currency)


def _base_unit(kind: str) -> str:
    return display.base_unit(kind, currency=settings.GREENAI["currency"])


@register.filter
def amount(value: Any, kind: str) -> str:
    """`{{ kwh|amount:"energy_kwh" }}` -> 38.4 kWh; nothing known -> an en dash."""
    if value is None or value == "":
        return "–"
    shown = _shown(value, kind)
    return f"{shown.mid} {shown.unit}".rstrip()


@register.simple_tag
def figure(value: Any, kind: str) -> SafeString:
    """The large figure of a card, its unit small beside it; pointing at it shows six digits in the unit of the CSV."""
    if value is None:
        return format_html('<div class="fig">{}</div>', "–")
    shown = _shown(value, kind)
    exactly = f"{tables.words(float(getattr(value, 'mid', value)))} {_base_unit(kind)}".rstrip()
    return format_html('<div class="fig" title="{}">{} <small>{}</small></div>', exactly, shown.mid, shown.unit)


@register.filter
def spread(value: Any, kind: str) -> str:
    """`{{ range|spread:"carbon_g" }}` -> 34.9 – 43.0 kg: low and high, in the unit that fits mid."""
    if value is None:
        return "–"
    shown = _shown(value, kind)
    if not shown.is_range:
        return f"{shown.mid} {shown.unit}".rstrip()
    return f"{shown.low} – {shown.high} {shown.unit}".rstrip()


@register.filter
def exact(value: Any) -> str:
    """`{{ grams|exact }}` -> six significant digits, for tables; the CSV has every digit."""
    return tables.words(float(value) if isinstance(value, Decimal) else value)


@register.filter
def signed(value: Any) -> str:
    """`{{ kg|signed }}` -> +1.2, −0.3 or 0: what a part adds to a difference, six significant digits."""
    if value is None:
        return "–"
    shown = tables.words(abs(float(value)))
    return shown if float(value) == 0 else f"{'+' if float(value) > 0 else '−'}{shown}"


@register.filter
def busy(share: float) -> str:
    """`{{ 0.634|busy }}` -> 63 %: how busy a device is needs no decimals."""
    return f"{share * 100:.0f} %"


@register.filter
def duration(seconds: float | None) -> str:
    """`{{ seconds|duration }}` -> 2 h 5 min."""
    return "–" if seconds is None else display.duration(seconds)


@register.filter
def since(moment: datetime | None) -> str:
    """`{{ moment|since }}` -> 3 min 20 s, counted to the time of the page; never -> "never"."""
    return "never" if moment is None else display.duration((timezone.now() - moment).total_seconds())


@register.inclusion_tag("partials/chip.html")
def chip(status: str | None, words: str = "") -> dict[str, str]:
    """`{% chip row.status %}`: MEASURED, MODELLED or DEFAULT; `words` adds what it speaks of ("82 % measured")."""
    key = (status or "").upper()
    hints = {
        "MEASURED": "A meter or sensor saw it",
        "MODELLED": "Computed from a model of the hardware or the grid",
        "DEFAULT": "A stand-in value: nobody has said what holds here",
    }
    return {"key": key.lower(), "words": words or key.lower(), "hint": hints.get(key, "")}


@register.inclusion_tag("partials/bar.html")
def bar(*parts: float) -> dict[str, Any]:
    """`{% bar operational embodied %}`: shares of a whole, side by side; nothing where the whole is nothing."""
    whole = sum(parts)
    return {"percents": [f"{part / whole * 100:.2f}" for part in parts] if whole > 0 else []}


@register.inclusion_tag("partials/spark.html")
def spark(values: list[float], colour: str = "c1") -> dict[str, Any]:
    """`{% spark values "c2" %}`: a small line without axes; draws nothing from fewer than two values."""
    if len(values) < 2:
        return {"points": ""}
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = 100 / (len(values) - 1)
    points = " ".join(f"{i * step:.2f},{30 - (v - low) / span * 27:.2f}" for i, v in enumerate(values))
    return {"points": points, "colour": colour}
