"""Which ledger rows a factor moved, or would have moved: by the ids that every row carries.

An id may name the step that led to it behind an @: `intensity:FR:2023@unknown-part:FR-IDF`.
"""

from collections.abc import Collection, Iterable
from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from accounting.factors.catalog import Row
from accounting.factors.places import continent_of
from accounting.models import LedgerHour

WIDENED = "@unknown-part:"
_FAMILY = {"price_zone": ("price_zone", "price")}  # quantities of which one stands in for the other
_ADDED_UP = {("embodied", "gpu"): ('"die:', ":die_mm2:")}  # a GPU by its parts, where nothing is known of any GPU
_WIDENS = ("tolerance", "zone_in_country")  # moves ranges without being cited


def citing(parts: Collection[str]) -> QuerySet[LedgerHour]:
    """Rows whose ids, as JSON text, hold any of these parts. Reads every row that the caller's filters leave."""
    if not parts:
        return LedgerHour.objects.none()
    rows = LedgerHour.objects.annotate(cited=Cast("factor_ids", TextField()))
    return rows.filter(reduce(or_, (Q(cited__contains=part) for part in sorted(parts))))


def of_id(factor_id: str) -> tuple[str, str]:
    """The parts by which a row that cites a factor is known, as it is and with the steps that led to it."""
    return f'"{factor_id}"', f'"{factor_id}@'


def of_own(pk: int, quantity: str, key: str) -> str:
    """The part by which a row that an own factor moved is known."""
    return WIDENED if (quantity, key) == _WIDENS else f'"own:{pk}:'


def answering(packaged: Iterable[Row], quantity: str, key: str) -> set[str]:
    """Parts of the packaged ids that answer for a quantity and key, or stand in where there is no such row.

    `packaged` is gone through twice: a catalogue or a list.
    """
    if (quantity, key) == _WIDENS:
        return {WIDENED}
    known = [row for row in packaged if (row.quantity, row.key) == (quantity, key)]
    if known:
        return {part for row in known for part in of_id(row.factor.id)} | set(_ADDED_UP.get((quantity, key), ()))
    return standing_in(packaged, quantity, key)


def cites(factor_ids: Iterable[str], *, base_ids: Collection[str], parts: Collection[str]) -> bool:
    """The same question of one row already read: `base_ids` as they are or with steps, or any of `parts`."""
    ids = list(factor_ids)
    if any(one.partition("@")[0] in base_ids for one in ids):
        return True
    return any(part in f'"{one}"' for part in parts for one in ids)


def standing_in(known: Iterable[Row], quantity: str, key: str) -> set[str]:
    """Parts of the ids of places around the key, or of what answers anything, that stood in for it."""
    parts = {f'"price:unknown:{key}"'} if quantity == "price" else set()
    family = (*_FAMILY.get(quantity, (quantity,)), f"continent_{quantity}")
    rows = [row for row in known if row.quantity in family]
    for row in rows:
        if (row.quantity == quantity and key.startswith(f"{row.key}-")) or row.key == continent_of(key):
            parts |= {f'"{row.factor.id}{WIDENED}{key}"', f'"{row.factor.id}{WIDENED}{key}-'}
            parts.add(f'"{row.factor.id}{WIDENED}{key}@')
    return parts | {part for row in rows if _answers_anything(row, quantity) for part in of_id(row.factor.id)}


def _answers_anything(row: Row, quantity: str) -> bool:
    """Stands in without saying for what: the world, or a currency's typical price."""
    return row.key == "world" or (row.quantity == "price" and quantity == "price_zone")
