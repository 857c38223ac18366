"""A document of runs -> the document that answers it, run by run and in the same order. The API's and the command's."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from accounting.estimates.compare import Mid, mismatches
from accounting.estimates.place import Sourced
from accounting.estimates.reckon import reckon
from accounting.estimates.run import QUANTITIES, Refusal, Repeated, id_of, near, read_run, shown
from accounting.factors.catalog import Catalog

MOST_RUNS = 1000
MOST_BYTES = 1 << 20
MAX_DEPTH = 32
_LONGEST_WHOLE = 30  # digits; a longer number is beyond every limit, so it is read as a float


class Unreadable(ValueError):
    """The document itself cannot be read: nothing of it was answered."""


class TooMany(Unreadable):
    """More runs than one call answers."""


def read_document(body: bytes) -> list[object]:
    """The runs as stated. NaN and Infinity are read, so that they refuse their own run only.

    Raises:
        Unreadable: not UTF-8 JSON, too deep, not `{"runs": [...]}`, or too many runs.
    """
    try:
        document = json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_object, parse_int=_whole, parse_constant=float
        )
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise Unreadable(f"nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        raise Unreadable(f"not JSON: {error}") from error
    _check_depth(document)
    return _runs(document)


def answer(catalog: Catalog, runs: Iterable[object], *, currency: str) -> dict[str, Any]:
    """`{"runs": [...]}`: for each run its quantities, or `error` with all of them null."""
    grids = [catalog.get("grid_intensity", zone).value for zone in catalog.keys("grid_intensity")]
    span = min(g.low for g in grids if g.low > 0), max(g.high for g in grids)  # nought is a gap in a table
    return {"runs": [_answer_one(catalog, stated, currency, span) for stated in runs]}


def refused_count(answered: dict[str, Any]) -> int:
    return sum("error" in run for run in answered["runs"])


def _answer_one(catalog: Catalog, stated: object, currency: str, grids: tuple[float, float]) -> dict[str, Any]:
    try:
        run = read_run(stated)
        reckoned = reckon(catalog, run, currency=currency)
    except Refusal as refused:
        error = {"code": refused.code, "field": refused.field, "detail": refused.detail}
        nothing = dict.fromkeys(QUANTITIES)
        return {"id": id_of(stated), "error": error, **nothing, "drivers": [], "mismatches": [], "warnings": []}
    ours = {name: _mid(sourced) for name, sourced in reckoned.quantities.items()}
    found, notes = mismatches(run, ours, pue=reckoned.pue, grids=grids)
    flagged = [
        f"expected.{m.quantity}: {m.expected:g} is not {m.got:g}: likeliest {m.likely_cause}: {m.explanation}"
        for m in found
    ]
    total = reckoned.quantities["co2e_total_kg"]
    drivers = total.figure.drivers if total else ()
    return {
        "id": run.id,
        **{name: _quantity(reckoned.quantities[name]) for name in QUANTITIES},
        "drivers": [{"source": source, "share": share} for source, share in drivers],
        "mismatches": [asdict(m) for m in found],
        "warnings": [*dict.fromkeys([*reckoned.warnings, *flagged, *notes])],
    }


def _quantity(sourced: Sourced | None) -> dict[str, Any] | None:
    if sourced is None:
        return None
    figure, r = sourced.figure, sourced.figure.range
    return {
        "low": r.low, "mid": r.mid, "high": r.high, "unit": figure.unit, "status": figure.status.value,
        "method": sourced.method, "factors": list(figure.factor_ids),
    }  # fmt: skip


def _mid(sourced: Sourced | None) -> Mid | None:
    if sourced is None:
        return None
    r = sourced.figure.range
    return Mid(r.low, r.mid, r.high)


def _runs(document: object) -> list[object]:
    if not isinstance(document, dict):
        raise Unreadable(f'{shown(document)} is no object: write {{"runs": [...]}}')
    if isinstance(document, Repeated):
        raise Unreadable(f"{shown(document.key)} stands twice")
    if other := next((key for key in document if key != "runs"), None):
        raise Unreadable(f'{shown(other)} is not known{near(other, ("runs",))} Write {{"runs": [...]}}')
    runs = document.get("runs")
    if not isinstance(runs, list):
        raise Unreadable(f'runs is {"missing" if runs is None else shown(runs)}: write {{"runs": [...]}}')
    if len(runs) > MOST_RUNS:
        raise TooMany(f"{len(runs)} runs: at most {MOST_RUNS} a call")
    return runs


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) == len(pairs):
        return read
    repeated = Repeated(read)
    keys = [key for key, _ in pairs]
    repeated.key = next(key for key in keys if keys.count(key) > 1)
    return repeated


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_WHOLE else float(digits)


def _check_depth(document: object) -> None:
    level: list[object] = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return
    raise Unreadable(f"nested deeper than {MAX_DEPTH}")


def _parts(one: object) -> Iterable[object]:
    if isinstance(one, dict):
        return one.values()
    return one if isinstance(one, list) else ()
