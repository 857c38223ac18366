"""Which input makes a CO2e figure's range as wide as it is: from what the ledger's rows keep, group by group.

Rows that carry the same factors are added up by the database. The ranges of IT energy, of energy at the wall and of
operational CO2e follow from one another, so what each adds to the width is what its own input does.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import QuerySet, Sum

from accounting.factorbook.resolve import Resolved, resolve
from accounting.methods.records import Range, Status
from accounting.methods.uncertainty import Stages, what_drives
from accounting.models import LedgerHour
from accounting.reports.provenance import QUANTITY_WORDS
from accounting.reports.quantities import topic_of

SHOWN = 6
_COLUMNS = ("it_energy_kwh", "facility_energy_kwh", "co2e_location_g", "embodied_g")
_ENDS = ("_low", "", "_high")
_GRID = ("grid_intensity", "continent_grid_intensity", "cloud_grid_intensity")


@dataclass(frozen=True, slots=True)
class Driver:
    """One input and its share of the range, 0..1. No words for what is below a percent."""

    words: str
    share: float
    status: Status | None
    factor_ids: tuple[str, ...]

    @property
    def percent(self) -> float:
        return self.share * 100


def drivers(rows: QuerySet[LedgerHour]) -> list[Driver]:
    """What drives the range of the CO2e (operational, location-based, and embodied) of these rows, most first.

    One query that reads all of the rows, and one for each kind of own factor behind them.
    """
    sums = {f"sum_{name}{end}": Sum(f"{name}{end}") for name in _COLUMNS for end in _ENDS}
    groups = list(rows.order_by().values("factor_ids").annotate(**sums))
    known = resolve(factor_id for group in groups for factor_id in group["factor_ids"])
    sources: dict[str, Driver] = {}
    shares = what_drives(stages for group in groups for stages in _stages(group, known, sources))
    found = _told_once(_with_share(sources[source], share) for source, share in shares)
    return [one for one in found if one.share >= 0.005][:SHOWN]


def _told_once(found: Iterable[Driver]) -> list[Driver]:
    """Inputs that err apart and read alike are one line: shares of a squared width add up."""
    merged: dict[tuple[str, Status | None], Driver] = {}
    for one in found:
        key = (one.words, one.status)
        if key in merged:
            before = merged[key]
            ids = tuple(dict.fromkeys((*before.factor_ids, *one.factor_ids)))
            one = Driver(one.words, before.share + one.share, one.status, ids)
        merged[key] = one
    return sorted(merged.values(), key=lambda one: -one.share)


def _stages(group: Mapping[str, object], known: Mapping[str, Resolved], sources: dict[str, Driver]) -> Iterable[Stages]:
    ids: list[str] = group["factor_ids"]  # type: ignore[assignment]
    it, facility, operational, embodied = (_range(group, name) for name in _COLUMNS)
    of = {topic: [one for one in ids if topic_of(one) == topic] for topic in ("energy", "pue", "intensity", "embodied")}
    readings = _named(_readings_words(of["energy"]), of["energy"], known, sources)
    pue, grid, making = (_named("", of[topic], known, sources) for topic in ("pue", "intensity", "embodied"))
    return ([(readings, it), (pue, facility), (grid, operational)], [(making, embodied)])


def _range(group: Mapping[str, object], name: str) -> Range:
    low, mid, high = (float(group[f"sum_{name}{end}"] or 0.0) for end in _ENDS)  # type: ignore[arg-type]
    return Range(min(low, mid), mid, max(mid, high))


def _readings_words(ids: Collection[str]) -> str:
    if any(one.endswith("/modelled") for one in ids):
        return "The model of the machine’s power"
    return "The power meter" if "tolerance:meter" in ids else "The machine’s own power sensor"


def _named(words: str, ids: list[str], known: Mapping[str, Resolved], sources: dict[str, Driver]) -> str:
    """The name under which an input errs together, with its words kept for later."""
    source = "+".join(dict.fromkeys(_series(one) for one in ids)) or words
    if source not in sources:
        named = [known[one] for one in ids if not one.startswith("tolerance:")] or [known[one] for one in ids]
        status = Status.worst(one.status for one in named if one.status) if named else None
        sources[source] = Driver(words or _words(named), 0.0, status, tuple(ids))
    return source


def _series(factor_id: str) -> str:
    """Hours of one series err together: `grid:<provider>:<zone>:<hour>` without its hour."""
    return factor_id.rpartition(":")[0] if factor_id.startswith("grid:") else factor_id


def _words(named: Collection[Resolved]) -> str:
    words = list(dict.fromkeys(_one(one) for one in named))
    if not words:
        return "Something that is not in the catalogue any more"
    return " and ".join([words[0], *(one[:1].lower() + one[1:] for one in words[1:])])


def _one(one: Resolved) -> str:
    if one.kind == "grid":
        _, provider, zone, _ = one.id.split(":", 3)
        return f"Grid intensity of {zone}, hour by hour ({provider})"
    if one.row is None:
        _, place, *rest = [*one.id.split(":"), "", ""]
        quantity = (rest[0] if rest else "").partition("@")[0]
        words = QUANTITY_WORDS.get(quantity, quantity.replace("_", " ").capitalize())
        return f"{words} as {one.kind} of {place} says"
    row = one.row
    words = QUANTITY_WORDS.get(row.quantity, row.quantity)
    stands_for = "".join(f" for {what}" for _, what in one.steps)
    if row.quantity in _GRID:  # the page of the source names the place
        year = f" {row.factor.year}" if row.factor.year else ""
        return f"{words} of {row.page if one.own is None and row.page else row.key}{year}{stands_for}"
    return f"{words}{'' if row.key == 'default' else f' ({row.key})'}{stands_for}"


def _with_share(one: Driver, share: float) -> Driver:
    return Driver(one.words, share, one.status, one.factor_ids)
