"""Water used to save electricity: what a site's machines would come to with other ways to cool them."""

from collections.abc import Sequence

from django.conf import settings

from accounting.factorbook import catalog
from accounting.factors import lookup
from accounting.methods.cooling import Cooling, CoolingOutcome, compare_cooling
from accounting.methods.facility import ItEnergy
from accounting.methods.records import Figure, Range
from accounting.reports.rates import CarbonRate, Rate
from accounting.reports.records import Totals
from accounting.reports.tables import Column, Table, Value

NOW = "As it is now"
WORDS = {
    "cooling_tower": "Evaporative: chillers with cooling towers",
    "adiabatic": "Outside air, adiabatic on hot days",
    "air_cooled_chiller": "Dry: air-cooled chillers",
    "free_air": "Outside air alone",
    "dry_cooler": "Liquid to the chips, dry coolers",
}


def cooling_outcomes(totals: Totals, rate: CarbonRate) -> list[CoolingOutcome]:
    """The IT energy of a period by what the site has now and by each way of the catalogue; none without energy.

    The grid, its water and the price are those of the running hour for all of them: only the cooling differs.
    """
    if totals.status is None or totals.it_energy_kwh.mid <= 0:
        return []
    it = ItEnergy(Figure(totals.it_energy_kwh, "kWh", totals.status, ("ledger:it_energy_kwh",)))
    now = Cooling(NOW, _figure(rate.pue), _figure(rate.wue_l_per_kwh))
    others = [
        Cooling(WORDS.get(key, key.replace("_", " ")), pue.figure, wue.figure)
        for key, pue, wue in lookup.coolings(catalog())
    ]
    return compare_cooling(
        it,
        [now, *others],
        ewif_l_per_kwh=_figure(rate.ewif_l_per_kwh),
        intensity_g_per_kwh=_figure(rate.intensity_g_per_kwh),
        price_per_kwh=None if rate.price_per_kwh is None else _figure(rate.price_per_kwh),
    )


def cooling_table(outcomes: Sequence[CoolingOutcome]) -> Table:
    """Every figure with its range, a line a way to cool."""
    quantities = (
        ("facility_energy_kwh", "At the wall, kWh"), ("water_onsite_l", "Water on-site, L"),
        ("water_offsite_l", "Water off-site, L"), ("water_l", "Water, L"), ("co2e_location_g", "Operational CO₂e, g"),
        ("cost", f"Cost, {settings.GREENAI['currency']}"),
    )  # fmt: skip
    ends = (("_low", " low"), ("", ""), ("_high", " high"))
    columns = [Column("cooling", "Cooling", numeric=False)]
    columns += [Column(f"{name}{end}", f"{words}{extra}") for name, words in quantities for end, extra in ends]
    rows: list[Sequence[Value]] = [
        [one.name, *(value for name, _ in quantities for value in _ends(getattr(one, name)))] for one in outcomes
    ]
    return Table("cooling", "Water against electricity", columns, rows)


def _ends(figure: Figure | None) -> tuple[float | None, float | None, float | None]:
    if figure is None:
        return None, None, None
    return figure.range.low, figure.range.mid, figure.range.high


def _figure(rate: Rate) -> Figure:
    return Figure(Range(rate.low, rate.mid, rate.high), rate.unit, rate.status, rate.factor_ids)
