"""EcoLogits beside accounting.methods.water: one request through its own chain, its water held against ours.

From 0.9.0 to 0.10.1 its `request_usage_wcf` (impacts/llm.py, line 260 of 0.10.1) takes `request_energy`, which line 185
has already multiplied by the PUE, and multiplies by the PUE again. Its issue 230 found that; 0.10.2 mended it. Both
kinds are run here.
"""

import json
from typing import Any

from accounting.factors import lookup
from accounting.factors.catalog import load_packaged
from accounting.methods.facility import KWH, ItEnergy, facility_energy
from accounting.methods.records import Figure, Range
from accounting.methods.water import offsite_l, onsite_l
from benchmarks.side_by_side.pairs import Pair, known
from benchmarks.side_by_side.peer_packages import output_of, python_with

DOUBLE, MENDED = "0.10.1", "0.11.3"
# 70 billion parameters write a million tokens in a building of PUE 1.5 and WUE 0.5 L/kWh, on a grid of 3 L/kWh.
ASKED = {
    "model_active_parameter_count": 70.0,
    "model_total_parameter_count": 70.0,
    "output_token_count": 1_000_000.0,
    "request_latency": 1e12,
    "if_electricity_mix_adpe": 0.0,
    "if_electricity_mix_pe": 0.0,
    "if_electricity_mix_gwp": 0.4,
    "if_electricity_mix_wue": 3.0,
    "datacenter_pue": 1.5,
    "datacenter_wue": 0.5,
}
ASK = """
import json, sys
from ecologits.electricity_mix_repository import electricity_mixes
from ecologits.impacts import llm
told = llm.compute_llm_impacts_dag(**json.load(sys.stdin))
mixes = {zone: electricity_mixes.find_electricity_mix(zone).wue for zone in ("FRA", "USA", "WOR")}
print(json.dumps({"kwh": told["request_energy"], "wcf_l": told["request_usage_wcf"], "ewif": mixes,
                  "gpu_kg": llm.GPU_EMBODIED_IMPACT_GWP}))
"""


def pairs() -> list[Pair]:
    """Raises NotRun."""
    double, mended = asked(DOUBLE), asked(MENDED)
    it_kwh = mended["kwh"] / ASKED["datacenter_pue"]
    litres = ours_l(it_kwh)
    return [
        _pair(
            DOUBLE,
            f"water of {it_kwh:.4g} kWh of IT energy",
            double["wcf_l"],
            litres,
            "L",
            "the PUE twice: request energy, which has it inside, x (WUE + PUE x EWIF)",
        ),
        _pair(MENDED, "the same", mended["wcf_l"], litres, "L", "IT energy x (WUE + PUE x EWIF), as ours"),
        *factors(mended),
    ]


def asked(version: str) -> dict[str, Any]:
    """Raises NotRun."""
    answer = output_of([str(python_with("ecologits", version)), "-c", ASK], given=json.dumps(ASKED))
    found: dict[str, Any] = json.loads(answer)
    return found


def ours_l(it_kwh: float) -> float:
    """On-site litres of IT energy and off-site litres of facility energy, summed."""
    it = ItEnergy(known(it_kwh, KWH))
    facility = facility_energy(it, known(ASKED["datacenter_pue"], "1"))
    onsite: Figure = onsite_l(it, known(ASKED["datacenter_wue"], "L/kWh"))
    offsite = offsite_l(facility, known(ASKED["if_electricity_mix_wue"], "L/kWh"))
    return onsite.range.mid + offsite.range.mid


def factors(told: dict[str, Any]) -> list[Pair]:
    catalog = load_packaged()
    mixes = told["ewif"]
    gpu = lookup.embodied(catalog, kind="gpu", model="NVIDIA H100", memory_bytes=None)
    zones = (("France", "FRA", "FR"), ("the US", "USA", "US"), ("the world", "WOR", "world"))
    found = [(name, mixes[theirs], lookup.ewif(catalog, ours)) for name, theirs, ours in zones]
    return [
        *(_pair(MENDED, f"EWIF of {name}", theirs, f.value, "L/kWh", f"ours `{f.id}`") for name, theirs, f in found),
        _pair(MENDED, "making one H100", told["gpu_kg"], gpu.value, "kg", f"one figure for every GPU; ours `{gpu.id}`"),
    ]


def _pair(version: str, what: str, theirs: float, ours: float | Range, unit: str, why: str) -> Pair:
    return Pair(f"EcoLogits {version}", what, theirs, Range.exact(ours) if isinstance(ours, float) else ours, unit, why)
