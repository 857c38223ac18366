"""The load models of accounting.methods.estimate with their numbers: rows `power_model` and `idle_share`.

Node draw is calibrated on the AC meters of 153 MLPerf Training v4.0 runs of Supermicro nodes with 8 H100 SXM (700 W
each), switches and cooling left out: mean node power over 8 x 700 W, the geometric mean over the (system, benchmark)
cells so that no benchmark counts more for having been repeated.
"""

import math
import re

from accounting.factors.catalog import Catalog
from accounting.methods import estimate
from accounting.methods.records import Factor, Figure, Range, Status

TEADS_LOADS = (0, 10, 50, 100)  # per cent
_XEON_PLATINUM = re.compile(r"xeon.*platinum", re.IGNORECASE)


def number(catalog: Catalog, key: str) -> Factor:
    """One number of the models, for example `devices_per_node`. Raises FactorDataError."""
    return catalog.get("power_model", key)


def teads_curve(catalog: Catalog) -> estimate.Curve:
    return [(load / 100.0, number(catalog, f"teads_curve/{load}").figure) for load in TEADS_LOADS]


def boavizta_xeon_platinum(catalog: Catalog) -> dict[str, float]:
    """The coefficients of `estimate.cpu_log_w`."""
    a, b, c, minus_d = (
        number(catalog, f"boavizta_xeon_platinum/{name}").value.mid for name in ("a", "b", "c", "minus_d")
    )
    return {"a": a, "b": b, "c": c, "d": -minus_d}


def node_draw(catalog: Catalog, accelerator: str, devices: float | None) -> Figure:
    """Wall power of busy nodes over the TDP of their devices, by how many devices work together (None: not known).

    One node up to `devices_per_node`; from `many_nodes_from` nodes on, the ratio of many; between them straight in the
    logarithms of ratio and node count, so that one device more never draws less. An accelerator whose nodes were not
    metered has the same ratio with a wider range.
    """
    if devices is None:
        return _of_model(catalog, "node_draw_unknown_count", accelerator).figure
    nodes = devices / number(catalog, "devices_per_node").value.mid
    share = math.log(max(nodes, 1.0)) / math.log(number(catalog, "many_nodes_from").value.mid)
    one = _of_model(catalog, "node_draw_one_node", accelerator)
    many = _of_model(catalog, "node_draw_many_nodes", accelerator)
    if share <= 0 or share >= 1:
        return (one if share <= 0 else many).figure
    low, mid, high = (
        math.exp(math.log(a) * (1 - share) + math.log(b) * share)
        for a, b in zip(_ends(one.value), _ends(many.value), strict=True)
    )
    return Figure(Range(low, mid, high), "1", Status.MODELLED, (many.id, one.id))


def node_w(catalog: Catalog, accelerator: str, tdp_w: Figure, *, devices: float | None, load: float | None) -> Figure:
    """Watts of one accelerator's share of its node at the wall; `load` None: as busy as the metered nodes were."""
    draw, idle = node_draw(catalog, accelerator, devices), catalog.get("idle_share", "node").figure
    if load is None:
        return estimate.node_busy_w(tdp_w, draw)
    return estimate.node_from_tdp_w(tdp_w, draw, utilization=load, idle_share=idle)


def cpu_server_w(catalog: Catalog, model: str, tdp_w: Figure, *, load: float | None) -> Figure:
    """Watts of one CPU's share of its server at the wall; `load` None: half of its full load, from nearly idle to full.

    The TEADS curve, with a range that reaches to what the linear model says, and for a Xeon Platinum Boavizta's curve.
    """
    unknown = number(catalog, "cpu_utilization")
    at = unknown.value if load is None else Range.exact(load)
    low, mid, high = (_cpu_share(catalog, model, tdp_w, x) for x in _ends(at))
    ends = Range(low.range.low, mid.range.mid, high.range.high)
    ids = (unknown.id, *mid.factor_ids) if load is None else mid.factor_ids
    status = Status.worst((mid.status, unknown.status if load is None else mid.status))
    share = Figure(ends, "1", status, ids)
    return tdp_w.times(share, "W").times(number(catalog, "server_over_cpu").figure, "W")


def _cpu_share(catalog: Catalog, model: str, tdp_w: Figure, load: float) -> Figure:
    """Share of TDP at a load; of a Xeon Platinum Boavizta's curve is one of the models."""
    others: tuple[float, ...] = ()
    if _XEON_PLATINUM.search(model):
        others = (estimate.cpu_log_w(load, **boavizta_xeon_platinum(catalog)) / tdp_w.range.mid,)
    idle = catalog.get("idle_share", "cpu").figure
    return estimate.cpu_share_by_all_models(load, curve=teads_curve(catalog), idle_share=idle, others=others)


def _of_model(catalog: Catalog, key: str, accelerator: str) -> Factor:
    return catalog.find("power_model", f"{key}/{accelerator}") or number(catalog, key)


def _ends(r: Range) -> tuple[float, float, float]:
    return r.low, r.mid, r.high
