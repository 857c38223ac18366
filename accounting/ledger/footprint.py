"""One energy row and the factors of its place and hour -> everything a ledger row says."""

from dataclasses import dataclass

from accounting.factorbook.terms import SiteFactors
from accounting.factors.catalog import Catalog
from accounting.factors.idle import idle_draw_w
from accounting.ledger.energy_hours import EnergyRow, tolerances
from accounting.ledger.paid import Rental, cost_of
from accounting.methods.facility import ItEnergy, facility_energy
from accounting.methods.market import operational_market
from accounting.methods.operational import co2e_location_g
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import J_PER_KWH
from accounting.methods.water import offsite_l, onsite_l
from accounting.models import Device

METHOD = "2026.4"  # goes up whenever the same inputs would give other figures


@dataclass(frozen=True, slots=True)
class Footprint:
    """The quantities of accounting.models.ledger.QUANTITIES, by name, with what moved them."""

    figures: dict[str, Figure]  # a quantity that is not known is not in it
    parts: dict[str, float]  # of accounting.models.ledger.PARTS, those that do not come from the readings alone
    status: Status
    factor_ids: list[str]
    intensity_step: str = ""


def footprint(
    row: EnergyRow, device: Device, factors: SiteFactors, embodied: Figure, rental: Rental | None, book: Catalog
) -> Footprint:
    """Carbon, water and cost of a row. Status and factor ids come from the inputs that moved a figure of it."""
    it = ItEnergy(it_kwh(row, device, book))
    facility = facility_energy(it, factors.pue)
    figures = {
        "it_energy_kwh": it.kwh,
        "facility_energy_kwh": facility.kwh,
        "co2e_location_g": co2e_location_g(facility, factors.intensity_g_per_kwh),
        "embodied_g": embodied,
        "water_onsite_l": onsite_l(it, factors.wue_l_per_kwh),
        "water_offsite_l": offsite_l(facility, factors.ewif_l_per_kwh),
    }
    paid = cost_of(row, facility, figures["co2e_location_g"], factors, rental)
    if paid.cost is not None:
        figures["cost"] = paid.cost
    market_share = 0.0
    if factors.market is not None:
        figures["co2e_market_g"], market_share = operational_market(facility, factors.market).g, factors.market.share
    standing = ("embodied_g", "cost") if paid.parts["rental_cost"] else ("embodied_g",)
    moved = [figures[name] for name in standing] if row.held_s > 0 or embodied.range.high > 0 else []
    if row.device_energy_j.high > 0:
        moved += [figure for name, figure in figures.items() if name not in standing]
    ids = {i for f in moved for i in f.factor_ids} | set(_split_by(row, device, book))
    return Footprint(
        figures=figures,
        parts={
            "measured_kwh": row.measured_j / J_PER_KWH,
            "idle_kwh": row.idle_j / J_PER_KWH,
            "idle_embodied_g": embodied.range.mid if row.job_id is None else 0.0,
            "market_kwh": facility.kwh.range.mid * market_share,
            **paid.parts,
        },
        status=Status.worst([*(f.status for f in moved), *([Status.MODELLED] if row.shared_by else [])]),
        factor_ids=sorted(ids),
        intensity_step=factors.intensity_step,
    )


def _split_by(row: EnergyRow, device: Device, book: Catalog) -> list[str]:
    """What told idle draw from the rest, and jobs that shared the device from each other: `attribution:use`, …"""
    if row.job_id is None:
        return []
    idle = idle_draw_w(book, kind=device.kind, model=device.model, tdp_w=device.tdp_w) if row.idle_j else None
    return [*(idle.factor_ids if idle else ()), *(f"attribution:{how}" for how in row.shared_by.split())]


def it_kwh(row: EnergyRow, device: Device, book: Catalog) -> Figure:
    """What the device drew, before cooling, as far as its readings may be off."""
    sensor, model = tolerances(book, row.source, device.kind)
    used = ([sensor.id] if row.measured_j > 0 else []) + ([model.id] if row.status is not Status.MEASURED else [])
    joules = row.device_energy_j
    kwh = Range(joules.low / J_PER_KWH, joules.mid / J_PER_KWH, joules.high / J_PER_KWH)
    return Figure(kwh, "kWh", row.status, tuple(used))
