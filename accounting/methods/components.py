"""Carbon of making the parts of a machine, from what they are made of. Kilograms of CO2e, before any use.

Each formula multiplies sizes that are known by catalogue rows (`embodied_component`); the rows carry the ranges. Each
row errs on its own, so the ranges of different rows combine in quadrature (accounting.methods.records).
"""

from collections.abc import Sequence

from accounting.methods.records import Figure

KG = "kg"


def cpu_kg(die_mm2: float, *, base: Figure, per_mm2: Figure) -> Figure:
    """One CPU = base + die area x kg per mm2 (Boavizta's bottom-up method)."""
    return base.plus(per_mm2.scaled(_size(die_mm2, "mm2 of die"), KG))


def gpu_kg(
    *,
    die_mm2: Figure,
    memory_gb: Figure,
    tdp_w: Figure,
    per_mm2: Figure,
    per_gb: Figure,
    board: Figure,
    cooling_per_w: Figure,
    assembly: Figure,
) -> Figure:
    """One accelerator = silicon + memory + board + what cools it + assembly and transport."""
    silicon, memory = die_mm2.times(per_mm2, KG), memory_gb.times(per_gb, KG)
    return silicon.plus(memory, board, tdp_w.times(cooling_per_w, KG), assembly)


def memory_kg(capacity_gb: float, modules: int, *, base: Figure, per_gb: Figure) -> Figure:
    """All memory modules = modules x base + capacity x kg per GB."""
    return base.scaled(_size(modules, "modules"), KG).plus(per_gb.scaled(_size(capacity_gb, "GB of memory"), KG))


def ssd_kg(capacity_gb: float, drives: int, *, base: Figure, per_gb: Figure) -> Figure:
    """All solid-state drives = drives x base + capacity x kg per GB."""
    return base.scaled(_size(drives, "drives"), KG).plus(per_gb.scaled(_size(capacity_gb, "GB of flash"), KG))


def psu_kg(weight_kg: float, *, per_kg: Figure) -> Figure:
    """All power supplies = their weight x kg of CO2e per kg."""
    return per_kg.scaled(_size(weight_kg, "kg of power supplies"), KG)


def pieces_kg(count: int, *, each: Figure) -> Figure:
    """Parts whose size does not matter: disks, mainboards, cases, assemblies."""
    return each.scaled(_size(count, "pieces"), KG)


def server_kg(parts: Sequence[Figure]) -> Figure:
    """A whole server, or what stands of it beside its devices: the sum of its parts.

    Raises:
        ValueError: no parts.
    """
    if not parts:
        raise ValueError("a server without parts: give at least one, for example its mainboard")
    first, *rest = parts
    return first.plus(*rest) if rest else first


def _size(value: float, what: str) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{value} {what}: give the amount, from nought up")
    return float(value)
