"""Watts without a meter: what a processor, a memory or a node draws, from its data sheet and its load.

The numbers of each model are arguments: they are factors, with their sources in accounting.factors.power_models.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from accounting.methods.facility import KWH, ItEnergy
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import W_PER_KW

Curve = Sequence[tuple[float, Figure]]  # (load 0..1, share of TDP), loads rising from 0 to 1


def cpu_linear_w(tdp_w: Figure, load: float, *, idle_share: Figure) -> Figure:
    """Watts = TDP x (idle + (1 - idle) x load): straight from the idle draw to TDP.

    Raises:
        ValueError: a load outside 0..1, or an idle share above 1.
    """
    return _modelled(tdp_w.times(_straight(load, idle_share), "W"))


def cpu_curve_w(tdp_w: Figure, load: float, *, curve: Curve) -> Figure:
    """Watts = TDP x the curve at this load, straight between its points (TEADS: 0.12, 0.32, 0.75, 1.02 x TDP).

    Raises:
        ValueError: a load outside 0..1, or a curve that does not rise from 0 to 1.
    """
    return _modelled(tdp_w.times(_at(load, curve), "W"))


def cpu_share_by_all_models(load: float, *, curve: Curve, idle_share: Figure, others: Sequence[float] = ()) -> Figure:
    """Share of TDP by the curve, with a range that reaches to what the linear model, and `others`, make of the load.

    Raises:
        ValueError: a load outside 0..1, or a curve or idle share that does not fit.
    """
    by_curve, straight = _at(load, curve), _straight(load, idle_share)
    low = min(by_curve.range.low, straight.range.low, *others)
    high = max(by_curve.range.high, straight.range.high, *others)
    ids = (*by_curve.factor_ids, *straight.factor_ids)
    return _modelled(Figure(Range(low, by_curve.range.mid, high), "1", by_curve.status, ids))


def cpu_log_w(load: float, *, a: float, b: float, c: float, d: float) -> float:
    """Watts = a x ln(b x (load + c)) + d with the load in per cent, as BoaviztAPI fits it per CPU family.

    Raises:
        ValueError: a load outside 0..1, or coefficients that give no draw at this load.
    """
    _check_load(load)
    inside = b * (load * 100.0 + c)
    power_w = a * math.log(inside) + d if inside > 0 else -1.0
    if power_w < 0:
        raise ValueError(f"a={a}, b={b}, c={c}, d={d} give no power at load {load}: these coefficients do not fit")
    return power_w


def gpu_w(tdp_w: Figure, utilization: float, *, idle_share: Figure) -> Figure:
    """Watts of one GPU = TDP x (idle + (1 - idle) x utilization).

    Raises:
        ValueError: a utilization outside 0..1, or an idle share above 1.
    """
    return _modelled(tdp_w.times(_straight(utilization, idle_share), "W"))


def memory_w(capacity_gb: float, w_per_gb: Figure) -> Figure:
    """Watts = GB x W/GB, whatever the load.

    Raises:
        ValueError: a capacity below zero.
    """
    if not capacity_gb >= 0:
        raise ValueError(f"{capacity_gb} GB of memory: give the installed capacity")
    return _modelled(w_per_gb.scaled(capacity_gb, "W"))


def node_busy_w(tdp_w: Figure, draw_ratio: Figure) -> Figure:
    """Watts of a GPU's share of its node = TDP x ratio, with the node as busy as where the ratio was measured."""
    return _modelled(tdp_w.times(draw_ratio, "W"))


def node_from_tdp_w(tdp_w: Figure, draw_ratio: Figure, *, utilization: float, idle_share: Figure) -> Figure:
    """Watts of a GPU's share of its node = TDP x ratio x (idle + (1 - idle) x utilization).

    `draw_ratio` is what busy nodes draw at the wall over the TDP of their GPUs; `idle_share` of that draw stays when
    nothing runs. Utilization 1 is a busy node, as the ratio was measured.

    Raises:
        ValueError: a utilization outside 0..1, or an idle share above 1.
    """
    return _modelled(tdp_w.times(draw_ratio, "W").times(_straight(utilization, idle_share), "W"))


def node_from_gpu_energy(gpu_kwh: Figure, node_ratio: Figure) -> ItEnergy:
    """IT energy of whole nodes = what their GPUs drew x node energy / GPU energy."""
    return ItEnergy(_modelled(gpu_kwh.times(node_ratio, KWH)))


def energy_of(power_w: Figure, device_hours: Figure) -> ItEnergy:
    """IT energy = mean watts of a device x hours of all devices / 1000."""
    return ItEnergy(power_w.times(device_hours, KWH).scaled(1.0 / W_PER_KW))


def _at(load: float, curve: Curve) -> Figure:
    """Share of TDP at a load, straight between the points of the curve."""
    _check_load(load)
    loads = [at for at, _ in curve]
    if len(loads) < 2 or loads[0] != 0 or loads[-1] != 1 or any(a >= b for a, b in pairwise(loads)):
        raise ValueError(f"curve at loads {loads}: give points that rise from load 0 to load 1")
    after = next(i for i, at in enumerate(loads) if i and at >= load)
    (load_a, share_a), (load_b, share_b) = curve[after - 1], curve[after]
    weight = (load - load_a) / (load_b - load_a)
    parts = [share.scaled(w) for share, w in ((share_a, 1.0 - weight), (share_b, weight)) if w > 0]
    return parts[0].plus(*parts[1:])


def _straight(load: float, idle_share: Figure) -> Figure:
    """Share of the full draw at a load; a wider idle share counts the less, the busier the device is."""
    _check_load(load)
    if not 0 <= idle_share.range.low <= idle_share.range.high <= 1:
        raise ValueError(f"idle share {idle_share.range}: from 0 to 1 of the full draw")
    low, mid, high = (x + (1.0 - x) * load for x in _ends(idle_share.range))
    return Figure(Range(low, max(low, mid), max(low, mid, high)), "1", idle_share.status, idle_share.factor_ids)


def _ends(r: Range) -> tuple[float, float, float]:
    return r.low, r.mid, r.high


def _check_load(load: float) -> None:
    if not 0 <= load <= 1:
        raise ValueError(f"load {load}: a ratio from 0 to 1")


def _modelled(figure: Figure) -> Figure:
    """A model's result is never MEASURED, whatever went in."""
    status = Status.worst((figure.status, Status.MODELLED))
    return replace(figure, status=status)
