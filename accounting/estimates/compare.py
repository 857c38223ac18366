"""A published figure against ours: does it agree, and if not, what is the likeliest slip?

Pure. Each cause predicts what the published figure would be had the slip been made; the cause whose prediction comes
nearest is named, where it comes near enough. Without one, the intensity or energy that the figure implies is judged.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from accounting.estimates.run import Run
from accounting.methods.units import G_PER_KG, KG_PER_LB, L_PER_GALLON

TOLERANCE = 0.05  # further from ours, and outside our range, is a mismatch
NEAR = 0.02  # so near to what a slip predicts is taken for the slip

UNITS: dict[str, tuple[tuple[float, str], ...]] = {
    "kwh": (
        (1000.0, "Wh for kWh"),
        (1e-3, "MWh for kWh"),
        (3.6, "MJ for kWh"),
        (3600.0, "kJ for kWh"),
        (3.6e6, "J for kWh"),
        (1e-6, "GWh for kWh"),
    ),
    "kg": (
        (1000.0, "g for kg"),
        (1e-3, "t for kg"),
        (1e6, "mg for kg"),
        (1 / KG_PER_LB, "lb for kg"),
        (KG_PER_LB, "kg taken for lb"),
        (1 / (2000 * KG_PER_LB), "short tons for kg"),
    ),
    "l": (
        (1 / L_PER_GALLON, "US gallons for L"),
        (L_PER_GALLON, "L taken for US gallons"),
        (1e-3, "m3 for L"),
        (1000.0, "mL for L"),
    ),
    "g": ((1e-3, "kg for g"), (1000.0, "mg for g"), (1e-6, "t for g")),
    "cost": (
        (100.0, "cents for the currency"),
        (0.01, "the currency taken for cents"),
        (1000.0, "a price per MWh taken for one per kWh"),
        (1e-3, "a price per kWh taken for one per MWh"),
    ),
}


@dataclass(frozen=True, slots=True)
class Mid:
    low: float
    mid: float
    high: float


@dataclass(frozen=True, slots=True)
class Mismatch:
    quantity: str
    expected: float
    got: float
    ratio: float | None  # expected / got; None where ours is nought, or next to it
    likely_cause: str
    explanation: str


@dataclass(frozen=True, slots=True)
class _Slip:
    cause: str
    figure: float  # what would have been published
    words: str
    doubt: float = 0.0  # of two that fit alike the one with less is named


def mismatches(
    run: Run, ours: Mapping[str, Mid | None], *, pue: float, grids: tuple[float, float]
) -> tuple[list[Mismatch], list[str]]:
    """Every expected figure that does not agree, and a note for each that there is nothing to compare with.

    Args:
        pue: facility over IT energy of the run.
        grids: the lowest and the highest g/kWh that any known grid has.
    """
    found, notes = [], []
    for quantity, expected in run.expected:
        mid = ours[quantity]
        if mid is None:
            notes.append(f"expected.{quantity}: {quantity} is not known here: nothing to compare with")
        elif (mismatch := _compare(run, ours, quantity, expected, mid, pue, grids)) is not None:
            found.append(mismatch)
    return found, notes


def _compare(
    run: Run,
    ours: Mapping[str, Mid | None],
    quantity: str,
    expected: float,
    mid: Mid,
    pue: float,
    grids: tuple[float, float],
) -> Mismatch | None:
    if _apart(expected, mid.mid) <= math.log1p(TOLERANCE):
        return None
    fits = [(_apart(expected, slip.figure) + slip.doubt, slip) for slip in _slips(run, ours, quantity, mid.mid, pue)]
    fits = [(apart, slip) for apart, slip in fits if apart <= math.log1p(NEAR) + slip.doubt]
    ratio = _ratio(expected, mid.mid)
    if fits:
        slip = min(fits, key=lambda fit: fit[0])[1]
        return Mismatch(quantity, expected, mid.mid, ratio, slip.cause, slip.words)
    if mid.low * (1 - TOLERANCE) <= expected <= mid.high * (1 + TOLERANCE):
        return None  # our own range does not rule it out, and no slip explains it
    return Mismatch(quantity, expected, mid.mid, ratio, *_implied(run, ours, quantity, expected, grids))


def _ratio(expected: float, got: float) -> float | None:
    """None where it is no number: by nought, or beyond the largest."""
    ratio = expected / got if got > 0 else math.inf
    return ratio if math.isfinite(ratio) else None


def _slips(run: Run, ours: Mapping[str, Mid | None], quantity: str, mid: float, pue: float) -> Iterator[_Slip]:
    usual = [*_pue_slips(ours, quantity, mid, pue), *_other_quantity(ours, quantity)]
    yield from usual
    if run.devices and run.devices > 1:
        n = run.devices
        yield _Slip(
            "per_device", mid / n, f"it is of one of the {n:g} devices, or the hours were taken for device hours", 0.001
        )
        yield _Slip(
            "count_twice",
            mid * n,
            f"the {n:g} devices are counted twice, as where gpu_hours are multiplied by count",
            0.001,
        )
    if run.utilization and 0 < run.utilization < 1:
        yield _Slip("utilization", mid / run.utilization, "it leaves the utilization out", 0.002)
    for by, words in UNITS[_unit(quantity)]:
        yield _Slip("wrong_unit", mid * by, f"the unit is likely wrong: {words}", 0.001)
        for slip in usual:
            yield _Slip(slip.cause, slip.figure * by, f"{slip.words}; and the unit is likely wrong: {words}", 0.004)


def _pue_slips(ours: Mapping[str, Mid | None], quantity: str, mid: float, pue: float) -> Iterator[_Slip]:
    if pue < 1.0 + TOLERANCE:  # too near to 1 to tell
        return
    if quantity == "it_energy_kwh":
        yield _Slip("pue_in_it_energy", mid * pue, f"it contains the pue of {pue:g}: it is facility energy")
        return
    if quantity == "water_onsite_l":
        yield _Slip(
            "pue_in_onsite_water",
            mid * pue,
            f"wue is multiplied by facility energy, with the pue of {pue:g}: it is per kWh of IT energy",
        )
        return
    if quantity == "water_l":
        onsite, offsite = _of(ours, "water_onsite_l"), _of(ours, "water_offsite_l")
        yield _Slip(
            "pue_twice",
            onsite * pue + offsite * pue,
            f"the pue of {pue:g} is applied twice: to the energy, and again in the water",
        )
        yield _Slip(
            "pue_in_onsite_water",
            onsite * pue + offsite,
            f"wue is multiplied by facility energy, with the pue of {pue:g}",
        )
        yield _Slip(
            "pue_not_applied", onsite + offsite / pue, f"the pue of {pue:g} is not applied to the off-site water"
        )
        return
    embodied = {
        "embodied_kg": mid,
        "co2e_total_kg": _of(ours, "embodied_kg"),
        "sci_g_per_unit": _share_of_sci(ours, mid),
    }
    fixed = embodied.get(quantity, 0.0)
    if fixed < mid:
        yield _Slip(
            "pue_twice",
            (mid - fixed) * pue + fixed,
            f"the pue of {pue:g} is applied twice: the energy already contained it",
        )
        yield _Slip(
            "pue_not_applied", (mid - fixed) / pue + fixed, f"the pue of {pue:g} is not applied: it is of the IT energy"
        )


def _other_quantity(ours: Mapping[str, Mid | None], quantity: str) -> Iterator[_Slip]:
    """The figure of a neighbouring quantity under this one's name."""
    neighbours = {
        "co2e_location_kg": (("co2e_total_kg", "embodied_included"), ("co2e_market_kg", "market_for_location")),
        "co2e_market_kg": (("co2e_location_kg", "location_for_market"),),
        "co2e_total_kg": (("co2e_location_kg", "embodied_excluded"), ("co2e_market_kg", "market_for_location")),
        "water_l": (("water_onsite_l", "offsite_excluded"), ("water_offsite_l", "onsite_excluded")),
        "water_onsite_l": (("water_l", "offsite_included"),),
        "water_offsite_l": (("water_l", "onsite_included"),),
    }
    for name, cause in neighbours.get(quantity, ()):
        if (other := ours[name]) is not None and other.mid > 0:
            yield _Slip(cause, other.mid, f"it equals our {name}: {cause.replace('_', ' ')}", 0.0005)
    if quantity == "sci_g_per_unit" and (score := ours[quantity]) is not None:
        yield _Slip(
            "embodied_excluded", score.mid - _share_of_sci(ours, score.mid), "it leaves the embodied carbon out"
        )


def _implied(
    run: Run, ours: Mapping[str, Mid | None], quantity: str, expected: float, grids: tuple[float, float]
) -> tuple[str, str]:
    """What the figure says of the grid, by the published energy where there is one, else by ours."""
    if not quantity.startswith("co2e_"):
        return "unknown", "no usual slip explains it: compare the inputs one by one"
    published = dict(run.expected)
    of, energy_kwh = next(
        (
            (f"the published {name}", published[name])
            for name in ("facility_energy_kwh", "it_energy_kwh")
            if published.get(name)
        ),
        ("our facility_energy_kwh", _of(ours, "facility_energy_kwh")),
    )
    if energy_kwh <= 0:
        return "unknown", "there is no energy to judge it by"
    implied = expected * G_PER_KG / energy_kwh
    words = f"over {of} it implies {implied:.4g} g/kWh"
    least, most = grids
    if not least <= implied <= most:
        span = f"{least:.3g} to {most:.4g}"
        return "implausible_intensity", f"{words}: no known grid lies outside {span} g/kWh; check unit and energy"
    if quantity == "co2e_market_kg":
        return "other_intensity", f"{words}: another contract or residual mix"
    return (
        "other_intensity",
        f"{words}: another place or year, or a marginal or market-based intensity for the average one",
    )


def _share_of_sci(ours: Mapping[str, Mid | None], score: float) -> float:
    total = _of(ours, "co2e_total_kg")
    return score * _of(ours, "embodied_kg") / total if total > 0 else 0.0


def _of(ours: Mapping[str, Mid | None], quantity: str) -> float:
    found = ours[quantity]
    return found.mid if found else 0.0


def _unit(quantity: str) -> str:
    if quantity.startswith("sci"):
        return "g"
    return quantity if quantity == "cost" else quantity.rpartition("_")[2]


def _apart(one: float, other: float) -> float:
    """How many times apart, as a logarithm; infinite where just one of them is nought."""
    if one <= 0 or other <= 0:
        return 0.0 if one == other else math.inf
    return abs(math.log(one) - math.log(other))
