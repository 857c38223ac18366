"""Ledger totals in the words of the API: kg, kWh, L and money, each with range, status, formula and factors.

The names are those of `POST /api/v1/estimates`, so that an estimate and what became of it stand side by side.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from accounting.methods.operational import Basis, Operational
from accounting.methods.records import Figure, Range, Status
from accounting.methods.sci import FunctionalUnit, sci_g_per_unit
from accounting.methods.units import G_PER_KG
from accounting.reports.provenance import describe
from accounting.reports.records import Totals, plus

_ROUNDING = 1e-9  # of one sum against another
NAMES = (  # of every quantity, in the order of an answer
    "it_energy_kwh", "facility_energy_kwh", "co2e_location_kg", "co2e_market_kg", "embodied_kg", "water_onsite_l",
    "water_offsite_l", "water_l", "cost", "co2e_total_kg", "sci_g_per_unit",
)  # fmt: skip
_ENERGY = ("energy",)
_FACILITY = (*_ENERGY, "pue")
_LOCATION = (*_FACILITY, "intensity")
_MARKET = (*_FACILITY, "market")
_WATER = (*_FACILITY, "wue", "ewif")
_TOPICS = {  # what the ids of each topic move
    "it_energy_kwh": _ENERGY,
    "facility_energy_kwh": _FACILITY,
    "co2e_location_kg": _LOCATION,
    "co2e_market_kg": _MARKET,
    "embodied_kg": ("embodied",),
    "water_onsite_l": (*_ENERGY, "wue"),
    "water_offsite_l": (*_FACILITY, "ewif"),
    "water_l": _WATER,
    "cost": (*_FACILITY, "price"),
}
_METHODS = {
    "it_energy_kwh": "counters, else trapezoid over power, as the readings cover it",
    "facility_energy_kwh": "IT energy x PUE, hour by hour",
    "co2e_location_kg": "facility energy x grid intensity, hour by hour",
    "co2e_market_kg": "facility energy x contracts, supplier or residual mix",
    "embodied_kg": "footprint / lifetime x time in service",
    "co2e_total_kg": "operational and embodied",
    "water_onsite_l": "IT energy x WUE, hour by hour",
    "water_offsite_l": "facility energy x EWIF",
    "water_l": "on-site and off-site",
    "cost": "electricity, rental and carbon price, as far as they are known",
    "sci_g_per_unit": "((E x I) + M) / R, ISO/IEC 21031, location-based",
}
_WORDS_OF_TOPIC = {  # beginnings of ids, and quantities as own factors and sites name them
    "energy": ("tolerance", "tdp", "accelerator_tdp", "cpu_tdp", "power_model", "idle_share", "attribution"),
    "pue": ("pue", "cloud_pue", "cooling_power"),
    "intensity": (
        "intensity", "grid_intensity", "continent_grid_intensity", "cloud_grid_intensity", "grid", "zone_in_country",
        "year_to_hour", "fuel", "fuel_intensity",
    ),
    "market": ("contract", "certificate", "supplier", "residual_mix", "residual", "cfe", "cloud_cfe"),
    "wue": ("wue", "cloud_wue", "water"),
    "ewif": ("ewif", "continent_ewif"),
    "price": ("price", "price_zone", "price-hour", "tariff", "exchange", "rental", "carbon_price"),
    "embodied": (
        "embodied", "embodied_component", "embodied_server", "lifetime", "device", "component", "server", "die",
        "die_mm2", "memory", "accelerator_memory", "host", "allocation",
    ),
}  # fmt: skip
_ALSO = {"tdp": ("embodied",), "accelerator_tdp": ("embodied",)}  # a cooler is made for the power of its chip
_TOPIC = {word: topic for topic, words in _WORDS_OF_TOPIC.items() for word in words}


@dataclass(frozen=True, slots=True)
class Quantity:
    """One figure of an answer. `method` is the formula, `factors` the ids of everything that moved it."""

    low: float
    mid: float
    high: float
    unit: str
    status: Status
    method: str
    factors: tuple[str, ...]


def quantities(
    totals: Totals,
    factor_ids: Iterable[str],
    *,
    currency: str,
    basis: str = "location",
    functional_unit: FunctionalUnit | None = None,
) -> dict[str, Quantity | None]:
    """Every quantity by name; None: not known, or (`sci_g_per_unit`) not asked for.

    Args:
        basis: "location" or "market": which operational figure is in `co2e_total_kg`. SCI is location-based always.
    """
    evidence = _Evidence(totals, factor_ids)
    known = _ranges(totals)
    operational = f"co2e_{basis}_kg"
    known["co2e_total_kg"] = _sum(known[operational], known["embodied_kg"])
    topics = {**_TOPICS, "co2e_total_kg": (*_TOPICS[operational], "embodied")}
    if totals.carbon_cost:
        topics["cost"] = (*topics["cost"], "intensity")
    answer = {
        name: reach and evidence.quantity(name, reach, _unit(name, currency), topics[name])
        for name, reach in known.items()
    }
    answer["sci_g_per_unit"] = None
    if functional_unit is not None and totals.status is not None:
        running = Operational(Figure(totals.co2e_location_g, "g", totals.status, ("operational",)), Basis.LOCATION)
        made = Figure(totals.embodied_g, "g", totals.status, ("embodied",))
        score = sci_g_per_unit(running, made, functional_unit)
        answer["sci_g_per_unit"] = evidence.quantity(
            "sci_g_per_unit", score.range, score.unit, (*_LOCATION, "embodied")
        )
    return answer


class _Evidence:
    """Which of the factors moved a quantity, and how well they are known."""

    def __init__(self, totals: Totals, factor_ids: Iterable[str]) -> None:
        lines = describe(factor_ids)
        self._topics = {line.id: topics_of(line.id) for line in lines}
        self._statuses = {line.id: line.status for line in lines}
        self._energy = Status.MEASURED if (totals.measured_share or 0.0) > 1 - _ROUNDING else Status.MODELLED

    def quantity(self, name: str, reach: Range, unit: str, topics: Collection[str]) -> Quantity:
        moving = tuple(i for i, of in self._topics.items() if not set(of).isdisjoint(topics))
        statuses = [status for i in moving if _is_input(i, topics) and (status := self._statuses[i])]
        worst = Status.worst([*statuses, self._energy] if "energy" in topics else statuses)
        return Quantity(reach.low, reach.mid, reach.high, unit, worst, _METHODS[name], moving)


def _is_input(factor_id: str, topics: Collection[str]) -> bool:
    """Whether how well it is known counts: not for how far a reading may be off, nor for what tells idle draw apart."""
    if factor_id.startswith("tolerance:") or (factor_id.startswith("own:") and ":tolerance:" in factor_id):
        return False
    of_split = {"idle_share", "tdp", "accelerator_tdp"}
    return _word_of(factor_id) not in of_split or not set(topics).isdisjoint(topics_of(factor_id)[1:])


def _unit(name: str, currency: str) -> str:
    if name == "cost":
        return currency
    return {"kwh": "kWh", "l": "L", "kg": "kg"}[name.rpartition("_")[2]]


def topic_of(factor_id: str) -> str:
    """What an id speaks of: energy, pue, intensity, market, wue, ewif, price or embodied; empty where unknown."""
    word = _word_of(factor_id)
    return _TOPIC.get(word, "energy" if factor_id.startswith("tolerance:") or ":tolerance:" in factor_id else "")


def topics_of(factor_id: str) -> tuple[str, ...]:
    """The same, and what else the number may have moved."""
    return (topic_of(factor_id), *_ALSO.get(_word_of(factor_id), ()))


def _word_of(factor_id: str) -> str:
    """telemetry:paris:pue, site:paris:pue@2026-11-21, own:7:pue:default and tolerance:pue/declared speak of pue."""
    kind, _, rest = factor_id.partition(":")
    if kind in ("telemetry", "site", "own"):
        _, _, rest = rest.partition(":")
        kind, _, rest = rest.partition(":")
        kind = kind.partition("@")[0]
    if kind == "device" and rest.endswith(":rental"):
        return "rental"
    return rest.partition("/")[0] if kind == "tolerance" else kind


def _ranges(totals: Totals) -> dict[str, Range | None]:
    known = totals.status is not None
    per_kg = 1 / G_PER_KG
    found: dict[str, Range | None] = {
        "it_energy_kwh": totals.it_energy_kwh,
        "facility_energy_kwh": totals.facility_energy_kwh,
        "co2e_location_kg": totals.co2e_location_g.scaled(per_kg),
        "co2e_market_kg": totals.market_g.scaled(per_kg) if totals.market_g else None,
        "embodied_kg": totals.embodied_g.scaled(per_kg),
        "water_onsite_l": totals.water_onsite_l,
        "water_offsite_l": totals.water_offsite_l,
        "water_l": totals.water_l,
        "cost": totals.known_cost,
    }
    return found if known else dict.fromkeys(found)


def _sum(operational: Range | None, embodied: Range | None) -> Range | None:
    return plus(operational, embodied) if operational is not None and embodied is not None else None
