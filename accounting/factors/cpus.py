"""TDP of CPUs, out of the table that the installed CodeCarbon carries (MIT): some five thousand names."""

import csv
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from accounting.factors.catalog import Row, source
from accounting.methods.records import Factor, Range, Status

YEAR = 2025  # of the table in the release that requirements.txt names
SPREAD = (0.9, 1.15)  # makers state base and short-term limits; the table says neither which
_NOISE = re.compile(r"\((?:r|tm)\)|@.*$|\b(?:cpu|processor|\d+-core|with radeon.*)\b", re.IGNORECASE)


def find_cpu(model: str) -> Row | None:
    """The row of a CPU by the name that the system gives it, `AMD EPYC 7742 64-Core Processor`; None if unknown."""
    return cpu_rows().get(_plain(model))


@cache
def cpu_rows() -> dict[str, Row]:
    """Every CPU by its plain name, read once per process; empty where CodeCarbon is not installed."""
    table = _table()
    if table is None:
        return {}
    return {row.key: row for row in _read(table)}


def _read(table: Path) -> Iterator[Row]:
    origin = source("codecarbon-cpus")
    for cells in csv.DictReader(table.read_text("utf-8-sig").splitlines()):
        if not re.fullmatch(r"\d+(?:\.\d+)?", cells["TDP"]) or not (tdp_w := float(cells["TDP"])):
            continue  # a few cells are garbled ("27.29.5"): such a CPU is unknown
        key = _plain(cells["Name"])
        factor = Factor(
            id=f"tdp:cpu:{key.replace(' ', '_')}",
            value=Range(tdp_w * SPREAD[0], tdp_w, tdp_w * SPREAD[1]),
            unit="W",
            status=Status.MODELLED,
            source=origin["title"],
            url=origin["url"],
            year=YEAR,
            licence=origin["licence"],
        )
        note = "second-hand: collected from the makers' pages by CodeCarbon; low 0.9 and high 1.15 times, our judgement"
        yield Row(factor, "cpu_tdp", key, cells["Name"], date(YEAR, 1, 1), None, note)


def _table() -> Path | None:
    """Found without importing the package, which would load half of its dependencies."""
    spec = find_spec("codecarbon")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "data" / "hardware" / "cpu_power.csv"


@cache
def _plain(model: str) -> str:
    return " ".join(_NOISE.sub(" ", model).casefold().split())
