"""Impact Framework beside accounting.methods: its own `if-run` on a manifest in the shape of its SCI example.

A server's CPU by the TEADS curve, its energy, carbon, making (sci-embodied with its own defaults) and SCI per request.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from accounting.factors import lookup, power_models
from accounting.factors.catalog import load_packaged
from accounting.methods.embodied import embodied_g, embodied_rate_g_per_h
from accounting.methods.estimate import cpu_curve_w, energy_of
from accounting.methods.facility import facility_energy
from accounting.methods.operational import Basis, Operational, co2e_location_g
from accounting.methods.records import Figure, Range
from accounting.methods.sci import FunctionalUnit, sci_g_per_unit
from accounting.methods.units import G_PER_KG, S_PER_HOUR
from benchmarks.side_by_side.pairs import Pair, known
from benchmarks.side_by_side.peer_packages import NotRun, impact_framework, output_of

VERSION = "1.1.0"
TDP_W, INTENSITY, SHARE = 200.0, 379.0, 0.25
STEPS = ((900.0, 20.0, 100.0), (2700.0, 80.0, 5000.0))  # seconds, load in per cent, requests
LIFESPAN_S = 126_144_000.0  # its default: 35040 h
# Its defaults for 8 vCPU, 64 GB and one GPU: 1e6 + 7 x 1e5 + 48 x 533 / 384 x 1000 + 150000 g
SERVER_KG = (1e6 + 7e5 + 48 * 533 / 384 * 1000 + 150_000) / G_PER_KG
STATED_KG = 1533.12  # as device/emissions-embodied, which its examples hand in

SAME = (  # ours, theirs
    ("energy", "energy", "kWh"),
    ("operational", "carbon-operational", "g"),
    ("embodied", "embodied-carbon", "g"),
    ("carbon", "carbon", "g"),
    ("sci", "sci", "g/request"),
)


def pairs() -> list[Pair]:
    """Raises NotRun."""
    server = run(manifest())["tree"]["children"]["server"]
    rows, whole = server["outputs"], server["aggregated"]
    mine = [ours(*step) for step in STEPS]
    gpu = lookup.embodied(load_packaged(), kind="gpu", model="NVIDIA H100", memory_bytes=None)
    gpu_kg = rows[0]["gpu-carbon"] / SHARE * LIFESPAN_S / STEPS[0][0] / G_PER_KG
    grams, requests = sum(m["carbon"] for m in mine), sum(step[2] for step in STEPS)
    agree = [
        pair(f"{key}, step {k + 1}", row[theirs], m[key], unit, "the same formula, to 1e-9")
        for k, (row, m) in enumerate(zip(rows, mine, strict=True))
        for key, theirs, unit in SAME
    ]
    check(agree)
    return [
        *agree,
        pair(
            "SCI of both steps together",
            whole["sci"],
            grams / requests,
            "g/request",
            "theirs is the plain mean of the steps' scores; ours all grams over all requests",
        ),
        pair(
            "making, where the manifest states 1533.12 kg",
            rows[0]["embodied-carbon"],
            stated_g(),
            "g",
            "the plugin does not read device/emissions-embodied, though its examples give it; ours uses it",
        ),
        pair("making one GPU", gpu_kg, gpu.value, "kg", f"its default, after Cloud Carbon Footprint; ours `{gpu.id}`"),
    ]


def pair(what: str, theirs: float, ours: float | Range, unit: str, why: str) -> Pair:
    peer = f"Impact Framework {VERSION}"
    return Pair(peer, what, theirs, Range.exact(ours) if isinstance(ours, float) else ours, unit, why)


def check(agree: list[Pair]) -> None:
    """Where the formula is the same, so must be the answer."""
    if apart := [p for p in agree if abs(p.ratio - 1.0) > 1e-9]:
        raise SystemExit(f"they disagree where the formula is the same: {[p.line for p in apart]}")


def teads_curve() -> list[tuple[float, Figure]]:
    """The points alone, since theirs have no range."""
    return [(at, known(share.range.mid, "1")) for at, share in power_models.teads_curve(load_packaged())]


def ours(seconds: float, load_percent: float, requests: float) -> dict[str, float]:
    """The same step by our methods."""
    watts = cpu_curve_w(known(TDP_W, "W"), load_percent / 100.0, curve=teads_curve())
    it = energy_of(watts, known(seconds / S_PER_HOUR, "h"))
    running = co2e_location_g(facility_energy(it, known(1.0, "1")), known(INTENSITY, "g/kWh"))
    making = made_g(SERVER_KG, seconds)
    score = sci_g_per_unit(Operational(running, Basis.LOCATION), making, FunctionalUnit("request", requests))
    return {
        "energy": it.kwh.range.mid,
        "operational": running.range.mid,
        "embodied": making.range.mid,
        "carbon": running.range.mid + making.range.mid,
        "sci": score.range.mid,
    }


def made_g(kg: float, seconds: float) -> Figure:
    """This share of the server's making."""
    rate = embodied_rate_g_per_h(known(kg * SHARE, "kg"), known(LIFESPAN_S / S_PER_HOUR, "h"))
    return embodied_g(rate, held_s=seconds)


def stated_g() -> float:
    return made_g(STATED_KG, STEPS[0][0]).range.mid


def run(manifest: dict[str, Any]) -> dict[str, Any]:
    """What its `if-run` makes of a manifest. JSON is YAML; the answer is read by its own library. Raises NotRun."""
    folder = impact_framework(VERSION)
    read = "console.log(JSON.stringify(require('js-yaml').load(require('fs').readFileSync(process.argv[1], 'utf8'))))"
    with tempfile.TemporaryDirectory(prefix="greenai-if-") as name:
        asked, told = Path(name) / "asked.yml", Path(name) / "told"
        asked.write_text(json.dumps(manifest))
        output_of([str(folder / "node_modules" / ".bin" / "if-run"), "-m", str(asked), "-o", str(told)], cwd=folder)
        if not told.with_suffix(".yaml").exists():
            raise NotRun("if-run wrote no output")
        answer: dict[str, Any] = json.loads(output_of(["node", "-e", read, str(told.with_suffix(".yaml"))], cwd=folder))
    return answer


def manifest() -> dict[str, Any]:
    def step(method: str, /, **config: Any) -> dict[str, Any]:
        return {"path": "builtin", "method": method, **({"config": config} if config else {})}

    def product(out: str, *of: str) -> dict[str, Any]:
        return step("Multiply", **{"input-parameters": list(of), "output-parameter": out})

    curve = {
        "x": [100 * at for at, _ in teads_curve()],
        "y": [share.range.mid for _, share in teads_curve()],
    }
    names = {"input-parameter": "cpu/utilization", "output-parameter": "cpu/share-of-tdp"}
    summed = {"input-parameters": ["carbon-operational", "embodied-carbon"], "output-parameter": "carbon"}
    alone = {"baseline-emissions": 0, "baseline-vcpus": 8, "baseline-memory": 64, "output-parameter": "gpu-carbon"}
    plugins = {
        "share": step("Interpolation", method="linear", **curve, **names),
        "watts": product("cpu/watts", "cpu/share-of-tdp", "cpu/tdp"),
        "joules": product("cpu/joules", "cpu/watts", "duration"),
        "energy": step("Divide", numerator="cpu/joules", denominator=3_600_000, output="energy"),
        "making": step("SciEmbodied"),
        "running": product("carbon-operational", "energy", "grid/carbon-intensity"),
        "both": step("Sum", **summed),
        "score": step("Sci", **{"functional-unit": "requests"}),
        "gpu": step("SciEmbodied", **alone),
    }
    server = {
        "cpu/tdp": TDP_W,
        "vCPUs": 8,
        "memory": 64,
        "gpu": 1,
        "usage-ratio": SHARE,
        "grid/carbon-intensity": INTENSITY,
        "device/emissions-embodied": STATED_KG * G_PER_KG,
    }
    starts = ("2026-03-02T00:00:00.000Z", "2026-03-02T00:15:00.000Z")
    inputs = [
        {"timestamp": at, "duration": s, "cpu/utilization": load, "requests": r}
        for at, (s, load, r) in zip(starts, STEPS, strict=True)
    ]
    return {
        "name": "greenai-side-by-side",
        "initialize": {"plugins": plugins},
        "aggregation": {"metrics": ["carbon", "sci"], "type": "time"},
        "tree": {
            "children": {"server": {"pipeline": {"compute": list(plugins)}, "defaults": server, "inputs": inputs}}
        },
    }
