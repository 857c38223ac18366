"""Examples in the text of docs/methodology.md, worked by the code: making, water, money, providers' reports."""

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.methods import components, cost, embodied
from accounting.methods.cooling import Cooling, compare_cooling
from accounting.methods.embodied import Life
from accounting.methods.facility import FacilityEnergy, ItEnergy
from accounting.methods.records import Range
from accounting.methods.tariff import Band, bands_in_hour
from accounting.methods.units import L_PER_GALLON
from accounting.reports.reconcile import Basis, Key, Ours, Theirs, compare
from tests.golden.worked_energy import Example, exact


def accelerator_kg(catalog: Catalog, model: str) -> tuple[float, str]:
    """(kilograms by its parts, the sum as it is written)."""
    die, memory, tdp = (
        find(catalog, model) for find in (lookup.accelerator_die, lookup.accelerator_memory, lookup.accelerator_tdp)
    )
    assert die and memory and tdp
    mm2, gb, board, per_w, assembly = (
        catalog.get("embodied_component", f"gpu_{key}").figure
        for key in ("die_per_mm2", "vram_per_gb", "board", "cooling_per_w", "assembly")
    )
    kg = components.gpu_kg(
        die_mm2=die.figure, memory_gb=memory.figure, tdp_w=tdp.figure, per_mm2=mm2, per_gb=gb, board=board,
        cooling_per_w=per_w, assembly=assembly,
    ).range.mid  # fmt: skip
    a, b, c, d, e = (one.range.mid for one in (mm2, gb, board, per_w, assembly))
    sizes = (die.value.mid, memory.value.mid, tdp.value.mid)
    return kg, f"{sizes[0]:g} mm2 x {a:g} + {sizes[1]:g} GB x {b:g} + {c:g} + {sizes[2]:g} W x {d:g} + {e:g}"


def parts(catalog: Catalog) -> list[str]:
    per_gb, base = (catalog.get("embodied_component", key).figure for key in ("ram_per_gb", "ram_base"))
    memory_kg = components.memory_kg(384.0, 12, base=base, per_gb=per_gb).range.mid
    (h100, sum_h100), (l4, sum_l4) = (accelerator_kg(catalog, f"NVIDIA {name}") for name in ("H100 80GB HBM3", "L4"))
    b200, a100 = (accelerator_kg(catalog, f"NVIDIA {name}")[0] for name in ("B200", "A100-SXM4-40GB"))
    published = [catalog.get("embodied", f"gpu/{name}").value for name in ("b200", "a100", "h100")]
    return [
        f"384 x {per_gb.range.mid:g} + 12 x {base.range.mid:g} = {memory_kg:.0f} kg",
        f"{sum_h100} = {h100:.0f} kg",
        f"{sum_l4} = {l4:.1f} kg",
        f"B200 {b200:.0f} against the maker's {published[0].mid:.0f} kg",
        f"A100 {a100:.0f} against {published[1].mid:.0f} kg",
        f"the published row's ({published[2].low:g} to {published[2].high:g} kg)",
    ]


def lives(_: Catalog) -> list[str]:
    whole, scrapped = Life(0.0, 10.5 * 3600), Life(0.0, 40.0 * 3600, retired_s=10.0 * 3600)
    rate = embodied.embodied_rate_g_per_h(exact(100.0, "kg"), exact(40.0, "h")).range.mid
    left_kg = embodied.written_off_g(exact(100.0, "kg"), scrapped).range.mid / 1000
    used_s, _unused = embodied.held_by_use(1800.0, utilization=0.4)
    end = datetime(2026, 3, 2, 8, 20) + timedelta(seconds=whole.ends_s)
    grams = 1000.0 * used_s / 3600
    return [
        f"from 08:20 comes to {100 * embodied.accrued_share(whole, at_s=math.inf):g} kg at {end:%H:%M}",
        f"scrapped after 10: {rate / 1000:g} kg an hour, and {left_kg:g} kg in the last",
        f"at a use of 0.4: {grams:g} g for the job, {1000 - grams:g} g for nobody",
    ]


def use_ratio(_: Catalog) -> list[str]:
    kg = 150.0 + 800.0 / 8
    whole, half = (
        embodied.embodied_rate_g_per_h(exact(kg, "kg"), exact(40_000.0 * u, "h")).range.mid * 400 / 1000
        for u in (1.0, 0.5)
    )
    return [f"for 400 device hours: {whole:g} kg, and {half:g} kg at *u* = 0.5"]


def water_by_fuel(catalog: Catalog) -> list[str]:
    twh = {"nuclear": (335.65, 672), "hydro": (53.19, 4491), "gas": (31.43, 205), "oil": (9.71, 826)}
    twh |= {"biomass": (9.5, 553), "coal": (2.16, 687), "solar": (23.26, 1)}
    gallons = sum(energy * each for energy, each in twh.values()) / 513.51
    litres = catalog.get("ewif", "FR").value.mid
    assert math.isclose(gallons * L_PER_GALLON / 1000, litres, abs_tol=5e-4)
    ireland, washington = (lookup.ewif(catalog, zone).value.mid for zone in ("IE", "US-WA"))
    return [
        f"gives {gallons:.1f} gal/MWh = {litres:.3f} L/kWh",
        f"in Washington ({washington:g} L/kWh) the plants save {130 * washington:.0f} L of that, "
        f"in Ireland {130 * ireland:.0f} L",
        *_two_ways_to_cool(),
    ]


def _two_ways_to_cool() -> list[str]:
    ways = [Cooling(n, exact(pue), exact(wue, "L/kWh")) for n, pue, wue in (("tower", 1.25, 1.8), ("dry", 1.38, 0.05))]
    found = compare_cooling(
        ItEnergy(exact(1000.0, "kWh")), ways, ewif_l_per_kwh=exact(3.0, "L/kWh"),
        intensity_g_per_kwh=exact(100.0, "g/kWh"), price_per_kwh=exact(0.2, "EUR/kWh"),
    )  # fmt: skip
    return [
        f"{one.name} {one.facility_energy_kwh.range.mid:g} kWh, {one.water_l.range.mid:g} L, "
        f"{one.co2e_location_g.range.mid / 1000:g} kg, {one.cost.range.mid:g}"
        for one in found
        if one.cost
    ]


def cooling_row(catalog: Catalog, way: str) -> str:
    """The row of the table of ways to cool, for 1000 kWh of IT energy in Ireland."""
    pue, wue = catalog.get("cooling_pue", way), catalog.get("cooling_wue", way)
    (one,) = compare_cooling(
        ItEnergy(exact(1000.0, "kWh")), [Cooling(way, pue.figure, wue.figure)],
        ewif_l_per_kwh=lookup.ewif(catalog, "IE").figure, intensity_g_per_kwh=exact(0.0, "g/kWh"), price_per_kwh=None,
    )  # fmt: skip
    spans = [f"{f.value.mid:g} ({f.value.low:g} to {f.value.high:g})" for f in (pue, wue)]
    amounts = (one.facility_energy_kwh, one.water_onsite_l, one.water_offsite_l, one.water_l)
    return f"| `{way}` | {' | '.join(spans)} | {' | '.join(f'{amount.range.mid:.0f}' for amount in amounts)} |"


def money(_: Catalog) -> list[str]:
    power = cost.electricity_cost(FacilityEnergy(exact(30.0, "kWh")), exact(0.25, "EUR/kWh"))
    rent = cost.rental_cost(exact(2.5, "EUR/h"), held_s=5400.0)
    carbon = cost.carbon_cost(exact(1500.0, "g"), exact(80.0, "EUR/t"))
    whole = cost.total_cost([power, rent, carbon])
    assert whole is not None
    euros = cost.converted(exact(0.30, "USD/kWh"), exact(0.9, "EUR/USD"), "EUR/kWh").range.mid
    return [
        f"30 kWh x 0.25 = {power.range.mid:.2f}; 90 minutes x 2.50/h = {rent.range.mid:.2f}",
        f"x 80/t = {carbon.range.mid:.2f}; together {whole.range.mid:.2f}",
        f"0.30 USD/kWh x 0.9 EUR/USD = {euros:.2f} EUR/kWh",
        "29 March 2026 has {} hours of night and {} of day".format(*_night_and_day(date(2026, 3, 29))),
        "25 October {} and {}".format(*_night_and_day(date(2026, 10, 25))),
    ]


def _night_and_day(day: date) -> tuple[str, str]:
    """Hours of each band of a local day in Paris, night until 06:00."""
    paris, daily, yearly = ZoneInfo("Europe/Paris"), frozenset(range(1, 8)), frozenset(range(1, 13))
    bands = [Band("night", daily, yearly, 0, 360, 0.1), Band("day", daily, yearly, 360, 1440, 0.3)]
    begin, end = (
        datetime(d.year, d.month, d.day, tzinfo=paris).astimezone(UTC) for d in (day, day + timedelta(days=1))
    )
    held = {"night": 0.0, "day": 0.0}
    for hour in range((end - begin) // timedelta(hours=1)):
        for band, share in bands_in_hour(bands, begin + timedelta(hours=hour), paris):
            held[band.name] += share
    return f"{held['night']:g}", f"{held['day']:g}"


def provider_report(_: Catalog) -> list[str]:
    ours = Ours(
        sites=("Virginia",), operational_kg=Range(288.0, 360.0, 468.0), embodied_kg=Range(70.0, 100.0, 130.0),
        facility_kwh=900.0, coverage=0.9, days=31, intensity=("US-VA",), intensity_years=(2026,),
    )  # fmt: skip
    theirs = Theirs(scope1_kg=50.0, scope2_kg=500.0, scope3_kg=150.0, total_kg=700.4)
    found = compare(theirs, ours, basis=Basis.LOCATION, month_year=2026)
    kg = {cause.key: f"{float(cause.kg):g}" for cause in found.causes}
    return [
        f"Difference {float(found.difference_kg or 0):g} = {kg[Key.SCOPE_1]} (scope 1) + {kg[Key.SCOPE_3]} (scope 3) + "
        f"{kg[Key.COVERAGE]} (coverage: 360 x 0.1 / 0.9) + {kg[Key.INTENSITY]} (intensity:",
        f"(500 - 400) g/kWh) + {kg[Key.ROUNDING]} (rounding)",
    ]


MAKING: list[tuple[str, Example]] = [
    ("Embodied carbon", parts),
    ("Embodied carbon", lives),
    ("Estimates", use_ratio),
    ("Water", water_by_fuel),
    ("Cost", money),
    ("Reconciliation", provider_report),
]
