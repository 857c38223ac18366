"""Examples in the text of docs/methodology.md, worked by the code to the words that must stand there: up to ranges."""

import math
from collections.abc import Callable

import numpy as np

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.factors.providers.base import EmissionBasis
from accounting.factors.providers.mix import intensity_of_mix
from accounting.methods import sharing
from accounting.methods.counters import CounterUnit, rising_energy
from accounting.methods.facility import FacilityEnergy, ItEnergy, facility_energy, pue_of_cooling
from accounting.methods.gaps import Hole, estimate_gaps
from accounting.methods.market import CleanHour, carbon_free
from accounting.methods.operational import Basis, Operational, co2e_location_g
from accounting.methods.ranks import Report, repeated_reports
from accounting.methods.records import Figure, Range, Status
from accounting.methods.sci import FunctionalUnit, sci_g_per_unit
from accounting.methods.uncertainty import what_drives
from accounting.methods.units import G_PER_LB, J_PER_KWH, KG_PER_LB
from accounting.methods.water import wue_of_litres
from tests.accounting.methods.test_epochs import joules_of, readings

Example = Callable[[Catalog], list[str]]


def exact(value: float, unit: str = "1", *ids: str) -> Figure:
    return Figure(Range.exact(value), unit, Status.MODELLED, ids)


def spaced(amount: float) -> str:
    """43725 as 43 725."""
    return f"{amount:,.0f}".replace(",", " ")


def counter_and_hole(_: Catalog) -> list[str]:
    counted = rising_energy(np.array([100, 10], dtype=np.int64), unit=CounterUnit.MICROJOULE, wraps_at=105)
    hole = estimate_gaps([Hole(missing_s=1800.0, mean_w=400.0, highest_w=700.0, idle_w=100.0)])
    assert hole is not None
    kwh = hole.gap_estimate_kwh
    return [
        f"100 -> 10 uJ with the limit 105 is {counted.energy_j[-1] * 1e6:g} uJ",
        f"at most 700 W: {kwh.mid:g} kWh, {kwh.low:g} to {kwh.high:g}, labelled `{hole.method}`",
    ]


def two_posters(_: Catalog) -> list[str]:
    nothing = float("nan")
    one = [(at, 7, nothing, 1000 + 300 * at) for at in range(0, 41, 10)]
    other = [(at, 8, nothing, 50 + 300 * at) for at in range(5, 46, 10)]
    (first, second), _covered = joules_of(readings(*sorted(one + other)), 0, 40, 60)
    return [
        f"{spaced(first)} J by the first until 40 s, {second:.0f} J by the second until 45 s, "
        f"{spaced(first + second)} J together"
    ]


def ranks(catalog: Catalog) -> list[str]:
    hour_us, same = 3_600_000_000, catalog.get("tolerance", "same_reading").value
    reports = [Report(f"{n}", "4711", "node", 0, hour_us, 7.2e6, rank=n, of_whole_node=True) for n in range(4)]
    (found,) = repeated_reports(reports, tolerance=same.high - same.mid)
    told, counted = sum(one.energy_j for one in reports) / J_PER_KWH, found.counted.energy_j / J_PER_KWH
    return [
        f"agree within {100 * (same.high - same.mid):g} %",
        f"Four times 2 kWh, {told:g} kWh as reported, become {counted:g} kWh",
    ]


def load_models(catalog: Catalog) -> list[str]:
    def model(key: str) -> Range:
        return catalog.get("power_model", key).value

    def span(value: Range) -> str:
        return f"{value.low:g} to {value.high:g}"

    idle = {kind: catalog.get("idle_share", kind).value for kind in ("cpu", "gpu", "node")}
    one, many, any_count = (
        model(f"node_draw_{of}/nvidia-h100-sxm") for of in ("one_node", "many_nodes", "unknown_count")
    )
    curve = ", ".join(f"{model(f'teads_curve/{load}').mid:g}" for load in (0, 10, 50, 100))
    a, b, c, d = (model(f"boavizta_xeon_platinum/{name}").mid for name in ("a", "b", "c", "minus_d"))
    memory, server, gpus = model("memory_w_per_gb"), model("server_over_cpu"), model("node_over_gpu")
    return [
        f"`TDP x ({idle['cpu'].mid:g} + {1 - idle['cpu'].mid:g} x load)`, idle {span(idle['cpu'])}",
        f"TDP x {curve} at 0, 10, 50, 100 %",
        f"`{a:.2f} x ln({b:g} x (load % + {c:.2f})) - {d:.2f}` W",
        f"curve x {server.mid:g} ({server.low:g} to {server.high:.1f})",
        f"`TDP x ({idle['gpu'].mid:g} + {1 - idle['gpu'].mid:g} x utilization)`",
        f"{memory.mid:g} W/GB, {span(memory)} whatever the load",
        f"x {gpus.mid:g} ({span(gpus)})",
        f"TDP x {one.mid:g} ({span(one)}) up to 8 devices, x {many.mid:g} ({span(many)}) from 64 on",
        f"x ({idle['node'].mid:g} + {1 - idle['node'].mid:g} x utilization)",
        f"{any_count.mid:g} ({any_count.low:g} to {any_count.high:.2f})",
        f"wider ranges ({span(model('node_draw_one_node'))} for one node)",
    ]


def shared_gpu(catalog: Catalog) -> list[str]:
    energy_j, share = 400.0 * 600, catalog.get("idle_share", "gpu").value.mid
    idle_j = sharing.idle_part_j(energy_j, covered_s=600.0, idle_w=share * 700)
    much, little = sharing.share_energy(energy_j, idle_j, [0.6, 0.2], sharing.IdlePolicy.KEPT).of_jobs
    return [
        f"{spaced(energy_j)} J, idle {share:g} x 700 W x 600 s = {spaced(idle_j)} J",
        f"of the {spaced(energy_j - idle_j)} J above it a job that used 60 % gets {spaced(much)} J",
        f"one that used 20 % gets {spaced(little)} J",
    ]


def cooled_building(catalog: Catalog) -> list[str]:
    node, meter = (catalog.get("tolerance", key).figure for key in ("node/measured", "meter"))
    it = ItEnergy(exact(10.0, "kWh").times(node, "kWh"))
    pue = pue_of_cooling(exact(20_000.0, "W").times(meter, "W"), it.kwh.scaled(1000.0, "W"))
    assert pue is not None
    kwh = facility_energy(it, pue).kwh.range
    wue = wue_of_litres(exact(40.0, "L/h"), exact(10_000.0, "W"))
    assert wue is not None
    return [
        f"PUE {pue.range.mid:g}, {kwh.mid:g} kWh an hour, {kwh.low:.3f} to {kwh.high:.3f} kWh",
        f"40 L in an hour of 10 kWh: {wue.range.mid:g} L/kWh",
    ]


def grid_hours(catalog: Catalog) -> list[str]:
    grams = co2e_location_g(FacilityEnergy(exact(6.0, "kWh")), exact(90.0, "g/kWh")).range.mid
    mix = {"coal": 100.0, "gas": 300.0, "wind": 600.0, "storage": 400.0}
    g_per_kwh = intensity_of_mix(mix, catalog, EmissionBasis.DIRECT)
    coal, gas, wind = (catalog.get("fuel_intensity", f"direct/{fuel}").value.mid for fuel in ("coal", "gas", "wind"))
    hourly = [catalog.get("tolerance", f"grid_intensity/hourly{kind}").value for kind in ("", "-mix", "-estimated")]
    published, of_mix, estimated = (f"{one.low:g} to {one.high:g}" for one in hourly)
    return [
        f"told as 90 g/kWh is {grams:g} g",
        f"(100 x {coal:g} + 300 x {gas:g} + 600 x {wind:g}) / 1000 = {g_per_kwh:g} g/kWh",
        f"1000 lb/MWh x {G_PER_LB} / 1000 = {1000 * G_PER_LB / 1000:.2f} g/kWh",
        f"{published} as published, {of_mix} from a mix, {estimated} where the provider itself says estimated",
    ]


def regions_in_states(catalog: Catalog) -> list[str]:
    found = lookup.intensity(catalog, provider="aws", region="us-east-1").factor
    border = catalog.get("tolerance", "region_in_state").value
    return [
        f"`{found.id}`",
        f"{border.low:g} to {border.high:g} times, as eleven published regions",
        f"Virginia: {found.value.mid:g} g/kWh, {found.value.low:.1f} to {found.value.high:.1f}.",
    ]


def clean_hours(_: Catalog) -> list[str]:
    found = carbon_free([CleanHour(30.0, 20.0, 0.4), CleanHour(30.0, 50.0, 0.4), CleanHour(40.0, 0.0, 0.4)])
    assert found is not None
    return [f"(24 + 30 + 16) / 100 = {100 * found.score:.0f} %, by contracts alone {100 * found.contracted:.0f} %"]


def score(_: Catalog) -> list[str]:
    running = Operational(exact(30.0 * 50.0, "g"), Basis.LOCATION)
    g = sci_g_per_unit(running, exact(28.0, "g"), FunctionalUnit("token", 1000)).range.mid
    return [f"(30 kWh x 50 g/kWh + 28 g) / 1000 tokens = {g:g} g a token"]


def tolerances(catalog: Catalog) -> list[str]:
    def per_cent(key: str) -> str:
        value = catalog.get("tolerance", key).value
        assert math.isclose(value.high - 1, 1 - value.low)
        return f"{100 * (value.high - 1):.3g} %"

    assert per_cent("cpu/measured") == per_cent("node/measured")
    memory = catalog.get("tolerance", "memory/modelled").value
    return [
        f"a revenue-grade meter {per_cent('meter')}, a GPU's sensor {per_cent('gpu/measured')}, a CPU's RAPL "
        f"and a node's sensor {per_cent('cpu/measured')}, memory's {per_cent('memory/measured')}",
        f"(memory {memory.low:g} to {memory.high:g} times)",
        f"PUE {per_cent('pue/telemetry')}, WUE {per_cent('wue/telemetry')}, "
        f"intensity {per_cent('grid_intensity/telemetry')}",
        f"PUE {per_cent('pue/declared')} (never below 1), WUE {per_cent('wue/declared')}, "
        f"a footprint {per_cent('embodied/declared')}",
    ]


def drivers(catalog: Catalog) -> list[str]:
    def around(mid: float, width: float) -> Range:
        return Range(mid * math.exp(-width), mid, mid * math.exp(width))

    sensor, grid = math.log(1.25), math.log(1.5)
    widths = (sensor, math.hypot(sensor, sensor), math.hypot(sensor, sensor, grid))
    names = ("sensor", "PUE", "grid")
    share = dict(what_drives([[(name, around(10.0, width)) for name, width in zip(names, widths, strict=True)]]))
    one, two = (2 * sensor) ** 2, (2 * grid) ** 2
    hours, part = (catalog.get("tolerance", key).value for key in ("year_to_hour", "zone_in_country"))
    return [
        f"give {one:.5f}, {one:.5f} and {two:.5f} of {2 * one + two:.5f}",
        f"{100 * share['sensor']:.1f} %, {100 * share['PUE']:.1f} %, {100 * share['grid']:.1f} %",
        f"**Yearly means in an hour**: {hours.low:g} to {hours.high:g} times",
        f"an unknown part of it: {part.low:g} to {part.high:g} times",
    ]


def factors(catalog: Catalog) -> list[str]:
    world = lookup.intensity(catalog).factor
    pue, wue, ewif = lookup.pue(catalog).value, lookup.wue(catalog).value, catalog.get("ewif", "world").value
    northwest = catalog.get("residual_mix", "US-NWPP").value.mid
    france, states = (catalog.get("grid_intensity", zone, 2023).value.mid for zone in ("FR", "US"))
    assert math.isclose(656.53 * KG_PER_LB, northwest, abs_tol=5e-3)
    netherlands = lookup.residual_mix(catalog, "NL", 2025)
    assert netherlands is not None and lookup.residual_mix(catalog, "AT", 2025) is None
    return [
        f"the world's newest is {world.value.mid:.0f} g/kWh, {world.year}",
        f"a survey's mean, {pue.mid:g} ({pue.low:.1f} to {pue.high:g})",
        f"{wue.mid:g} L/kWh ({wue.low:g} to {wue.high:g})",
        f"the world's, {ewif.mid:g} L/kWh ({ewif.low:g} to {ewif.high:g})",
        f"Northwest 656.53 = {northwest:.2f} g/kWh",
        f"France 2023: {france:g}, now",
        f"the United States: {states:g}, now",
        f"`{netherlands.id}`",
    ]


def restated(catalog: Catalog) -> list[str]:
    france = catalog.get("grid_intensity", "FR").value.mid
    before, after = (
        co2e_location_g(FacilityEnergy(exact(1.5, "kWh")), exact(g, "g/kWh")).range.mid for g in (france, 40.0)
    )
    return [
        f"1.5 x {france:g} = {before:.2f} g",
        f"1.5 x 40 = {after:g} g",
        f"the hour is {before:.2f} g again",
    ]


ENERGY: list[tuple[str, Example]] = [
    ("Energy", counter_and_hole),
    ("Energy", two_posters),
    ("Energy", ranks),
    ("Without a meter", load_models),
    ("Whose energy it was", shared_gpu),
    ("The facility", cooled_building),
    ("Location-based", regions_in_states),
    ("Hour by hour", grid_hours),
    ("Market-based", clean_hours),
    ("Software Carbon Intensity", score),
    ("Ranges and what drives them", tolerances),
    ("Ranges and what drives them", drivers),
    ("Where factors come from", factors),
    ("Own factors and restatement", restated),
]
