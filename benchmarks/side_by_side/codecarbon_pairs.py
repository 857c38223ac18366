"""CodeCarbon 3.3.2 beside accounting.methods: the same readings, loads and places through both."""

import tempfile
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from accounting.agent.sensors.machine import Machine
from accounting.agent.sensors.rapl import RaplSensor
from accounting.factors import lookup, power_models
from accounting.factors.catalog import load_packaged
from accounting.methods.energy import BinnedEnergy, PowerSeries, integrate
from accounting.methods.estimate import cpu_curve_w, cpu_linear_w, memory_w
from accounting.methods.facility import KWH, ItEnergy, facility_energy
from accounting.methods.operational import co2e_location_g
from accounting.methods.records import Range
from accounting.methods.units import G_PER_KG, J_PER_KWH, S_PER_HOUR, US_PER_S, W_PER_KW
from accounting.methods.water import offsite_l, onsite_l
from benchmarks.side_by_side.codecarbon_replay import FedCpu, Trace, loaded_cpu, posted, track
from benchmarks.side_by_side.pairs import Pair, known

YEAR = 2023  # of the grid tables that CodeCarbon carries; ours has it beside newer ones
CATALOG = load_packaged()
EVERY_15_S = [15.0 * k for k in range(1, 241)]  # its default interval, over an hour
PUE, WUE = 1.5, 1.8
RAPL_RANGE_UJ = 262_143_328_850


def pairs() -> list[Pair]:
    return [*energy(), *boundary(), *places(), *models()]


def pair(what: str, theirs: float, ours: float | Range, unit: str, why: str) -> Pair:
    return Pair("codecarbon 3.3.2", what, theirs, Range.exact(ours) if isinstance(ours, float) else ours, unit, why)


def energy() -> list[Pair]:
    first = EVERY_15_S[:40]
    ramp = track(fed(rising), first, country_iso_code="FRA").energy_consumed * J_PER_KWH
    fine = track(fed(rising), first, monitor_every_s=1.0, country_iso_code="FRA").energy_consumed * J_PER_KWH
    mine = trapezoid(rising, [0.0, *first]).energy_j[0]
    ticks_s = [t for t in EVERY_15_S if not 1200 < t < 2400]
    stalled = track(fed(asleep), ticks_s, country_iso_code="FRA").energy_consumed * J_PER_KWH
    gap = trapezoid(asleep, [0.0, *ticks_s])
    sent = posted([120.9] * 30, 0.01)
    short = posted([15.0] * 8 + [0.9], 0.001)
    wrapped_theirs_j, wrapped_ours_j = wrapped()
    return [
        pair(
            "power up from 100 to 700 W in 600 s, one reading every 15 s",
            ramp,
            float(mine),
            "J",
            "theirs takes the last reading for the whole interval, ours a straight line between two (exact)",
        ),
        pair("the same with its 1 s monitor", fine, float(mine), "J", "the same rectangle, of 1 s"),
        pair(
            "300 W, asleep at 30 W from 1200 to 2400 s and not read then",
            stalled,
            float(gap.energy_j[0]),
            "J",
            "theirs fills the hole with the reading after it (true: 756000 J); "
            f"ours leaves {gap.missing_us[0] // US_PER_S} s missing and says so",
        ),
        pair(
            "a RAPL counter that wraps, 150 J",
            wrapped_theirs_j,
            wrapped_ours_j,
            "J",
            "both count through the wrap; theirs rounds a joule to 2.77778e-7 kWh",
        ),
        pair(
            "30 measurements of 120.9 s, as posted",
            float(sum(s["duration"] for s in sent)),
            30 * 120.9,
            "s",
            "theirs cuts each post's duration to whole seconds; ours counts whole microseconds",
        ),
        pair(
            "8 measurements of 15 s and a last of 0.9 s, 1 Wh each, as posted",
            sum(s["energy_consumed"] for s in short),
            9 * 0.001,
            KWH,
            "theirs drops a post shorter than 1 s",
        ),
    ]


def boundary() -> list[Pair]:
    data = track(fed(lambda _: 1000.0), EVERY_15_S, country_iso_code="FRA", pue=PUE, wue=WUE)
    it = ItEnergy(known(1.0, KWH))
    facility = facility_energy(it, known(PUE, "1"))
    intensity = lookup.intensity(CATALOG, zone="FR", year=YEAR).factor.figure
    ewif = lookup.ewif(CATALOG, "FR").figure
    onsite = onsite_l(it, known(WUE, "L/kWh"))
    both = _sum(onsite.range, offsite_l(facility, ewif).range)
    two_hours = [15.0 * k for k in range(1, 481)]
    shifted = track(fed(by_night), two_hours, force_carbon_intensity_g_co2e_kwh=200.0, country_iso_code="FRA")
    return [
        pair(
            "energy of 1 kW for an hour at PUE 1.5",
            data.energy_consumed,
            it.kwh.range,
            KWH,
            "their energy_consumed is the building's, and the PUE is not sent with it; ours names both",
        ),
        pair(
            "the building's energy",
            data.energy_consumed,
            facility.kwh.range,
            KWH,
            "the same formula, once; a post of theirs is stored as facility energy and never multiplied again",
        ),
        pair(
            "carbon in France",
            data.emissions * G_PER_KG,
            co2e_location_g(facility, intensity).range,
            "g",
            "the same yearly mean; ours has the range of the hours",
        ),
        pair(
            "water on site at WUE 1.8",
            data.water_consumed,
            onsite.range,
            "L",
            "WUE is per kWh of IT energy (ISO/IEC 30134-9); theirs multiplies it by energy that has the PUE inside",
        ),
        pair("all water", data.water_consumed, both, "L", "theirs leaves out what the power plants use"),
        pair(
            "1.8 kW in an hour of 300 g/kWh, then 0.2 kW in one of 100 g/kWh",
            shifted.emissions * G_PER_KG,
            hourly(),
            "g",
            "theirs prices the run at one figure, here the mean of 200; ours each hour at its own",
        ),
    ]


def places() -> list[Pair]:
    return [
        place("France", {"country_iso_code": "FRA"}, {"zone": "FR"}, "the same source and year"),
        place(
            "Virginia",
            {"country_iso_code": "USA", "region": "virginia"},
            {"zone": "US-VA"},
            "the same source (eGRID 2023)",
        ),
        cloud("aws us-east-1", "theirs has no region of AWS: the world's mean, without a word in the result"),
        cloud("aws eu-west-3", "the same; this is France"),
        cloud("azure eastus", "the same; this is Virginia"),
        cloud("gcp europe-west9", "both from Google's table, ours of 2024", year=2024),
        place(
            "aws eu-west-3 from a laptop in Germany",
            {"country_iso_code": "DEU", "cloud_provider": "aws", "cloud_region": "eu-west-3"},
            {"provider": "aws", "region": "eu-west-3"},
            "theirs takes the country of the machine that asks",
        ),
    ]


def models() -> list[Pair]:
    half, steps = (lambda _: 50.0), (lambda t: 100.0 if t <= 900 else 25.0 if t <= 2700 else 75.0)
    linear = [
        cpu_linear_w(known(100.0, "W"), load, idle_share=CATALOG.get("idle_share", "cpu").figure)
        for load in (0.5, 1.0, 0.25, 0.75)
    ]
    curve = cpu_curve_w(known(100.0, "W"), 0.5, curve=power_models.teads_curve(CATALOG))
    over = [(linear[1], 0.25), (linear[2], 0.5), (linear[3], 0.25)]
    wh = Range(*(sum(getattr(w.range, end) * h for w, h in over) for end in ("low", "mid", "high")))
    memory = memory_w(1024.0, power_models.number(CATALOG, "memory_w_per_gb").figure)
    return [
        pair(
            "CPU of 100 W TDP at half load, machine mode",
            load_w(half, "machine"),
            linear[0].range,
            "W",
            "theirs: TDP x (0.1 + 0.9 x load cubed); ours straight from idle to TDP",
        ),
        pair(
            "the same, process mode",
            load_w(half, "process"),
            linear[0].range,
            "W",
            "theirs: TDP x load, a second curve",
        ),
        pair(
            "the same, TEADS curve", load_w(half, "machine"), curve.range, "W", "0.75 x TDP, fitted on loaded servers"
        ),
        pair(
            "a quarter hour at 100 %, half at 25 %, a quarter at 75 %, machine mode",
            load_w(steps, "machine"),
            wh,
            "Wh",
            "a cube is far below a line at low load",
        ),
        pair(
            "1 TB of memory",
            ram_w(1024.0),
            memory.range,
            "W",
            "theirs counts modules (its rule gives 8 of them here), ours gigabytes, by Green Algorithms",
        ),
    ]


def fed(watts: Trace) -> Callable[[SimpleNamespace], Any]:
    return lambda clock: FedCpu(watts, clock)


def rising(second: float) -> float:
    return 100.0 + second


def asleep(second: float) -> float:
    return 30.0 if 1200 < second < 2400 else 300.0


def by_night(second: float) -> float:
    return 1800.0 if second <= 3600 else 200.0


def trapezoid(watts: Trace, at_s: Sequence[float]) -> BinnedEnergy:
    """Our integration of readings at these seconds, at the product's gap limit."""
    at_us = (np.array(at_s) * US_PER_S).astype(np.int64)
    power_w = np.array([watts(second) for second in at_s])
    none, epoch = np.full(at_us.size, np.nan), np.ones_like(at_us)
    series = PowerSeries(at_us, power_w, none, epoch, np.ones(at_us.size, dtype=bool))
    return integrate(series, at_us[[0, -1]], max_gap_us=120 * US_PER_S)


def hourly() -> float:
    """1.8 kWh at 300 g and 0.2 kWh at 100 g."""
    parts = ((1.8, 300.0), (0.2, 100.0))
    grams = [
        co2e_location_g(facility_energy(ItEnergy(known(e, KWH)), known(1.0, "1")), known(i, "g/kWh")) for e, i in parts
    ]
    return sum(g.range.mid for g in grams)


def place(what: str, theirs: dict[str, str], ours: dict[str, str], why: str, *, year: int = YEAR) -> Pair:
    data = track(fed(lambda _: 1000.0), [S_PER_HOUR], **theirs)
    found = lookup.intensity(
        CATALOG, zone=ours.get("zone", ""), provider=ours.get("provider", ""), region=ours.get("region", ""), year=year
    )
    per_kwh = data.emissions * G_PER_KG / data.energy_consumed
    return pair(f"intensity of {what}", per_kwh, found.factor.value, "g/kWh", f"{why}; ours `{found.factor.id}`")


def cloud(what: str, why: str, *, year: int = YEAR) -> Pair:
    provider, region = what.split()
    ours = {"provider": provider, "region": region}
    return place(what, {"cloud_provider": provider, "cloud_region": region}, ours, why, year=year)


def load_kwh(load_percent: Trace, mode: str) -> float:
    def cpu(clock: SimpleNamespace) -> Any:
        return loaded_cpu(100.0, load_percent, clock, mode=mode)

    return float(track(cpu, EVERY_15_S, country_iso_code="FRA").energy_consumed)


def load_w(load_percent: Trace, mode: str) -> float:
    """Its mean watts over the hour, which are its watt-hours too."""
    return load_kwh(load_percent, mode) * W_PER_KW


def ram_w(gigabytes: float) -> float:
    from codecarbon.external.ram import RAM

    ram = RAM()
    ram.is_arm_cpu = False  # not this machine's: a server's
    return float(ram._calculate_ram_power(gigabytes))


def wrapped() -> tuple[float, float]:
    """50 J to the end of the counter and 100 J beyond it, read by their RAPL file and by our sensor."""
    from codecarbon.core.rapl import RAPLFile
    from codecarbon.core.units import Time

    with tempfile.TemporaryDirectory() as name:
        zone = Path(name) / "intel-rapl:0"
        zone.mkdir()
        (zone / "name").write_text("package-0\n")
        (zone / "max_energy_range_uj").write_text(f"{RAPL_RANGE_UJ}\n")
        (zone / "energy_uj").write_text(f"{RAPL_RANGE_UJ - 50_000_000}\n")
        theirs = RAPLFile("Processor Energy Delta_0(kWh)", str(zone / "energy_uj"), str(zone / "max_energy_range_uj"))
        seconds = chain((0.0, 1.0))
        ours = RaplSensor(Machine(powercap=Path(name), monotonic=lambda: next(seconds)))
        before = ours.read()[0].energy_j or 0.0
        (zone / "energy_uj").write_text("100000000\n")
        theirs.delta(Time(seconds=1.0))
        after = ours.read()[0].energy_j or 0.0
    return theirs.energy_delta.kWh * J_PER_KWH, after - before


def _sum(a: Range, b: Range) -> Range:
    return Range(a.low + b.low, a.mid + b.mid, a.high + b.high)
