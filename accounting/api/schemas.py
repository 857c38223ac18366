"""The quantities of an answer, as programs read them: the same for an estimate and for the ledger."""

from ninja import Field, Schema

from accounting.methods.records import Status


class Quantity(Schema):
    low: float
    mid: float
    high: float
    unit: str
    status: Status
    method: str = Field(description="the formula used, and which of its inputs were given")
    factors: list[str] = Field(description="ids of the factors behind the figure")


class Quantities(Schema):
    """Null: not known, which is not nought."""

    it_energy_kwh: Quantity | None
    facility_energy_kwh: Quantity | None
    co2e_location_kg: Quantity | None
    co2e_market_kg: Quantity | None
    embodied_kg: Quantity | None
    co2e_total_kg: Quantity | None
    water_onsite_l: Quantity | None
    water_offsite_l: Quantity | None
    water_l: Quantity | None
    cost: Quantity | None
    sci_g_per_unit: Quantity | None
