"""Own factors as a table; its CSV is what the import reads."""

from collections.abc import Iterable

from accounting.models import OwnFactor
from accounting.reports.tables import Column, Table

_TEXT = False
COLUMNS = (
    Column("id", "Id", _TEXT), Column("quantity", "Quantity", _TEXT), Column("key", "Of", _TEXT),
    Column("value", "Value"), Column("low", "Low"), Column("high", "High"), Column("unit", "Unit", _TEXT),
    Column("status", "Status", _TEXT), Column("source", "Source", _TEXT), Column("url", "Address", _TEXT),
    Column("page", "Page", _TEXT), Column("year", "Year"), Column("licence", "Licence", _TEXT),
    Column("note", "Note", _TEXT), Column("reason", "Reason", _TEXT), Column("site", "Site", _TEXT),
    Column("team", "Team", _TEXT), Column("valid_from", "From", _TEXT), Column("valid_to", "To", _TEXT),
    Column("version", "Version"), Column("state", "State", _TEXT), Column("created_at", "Stated", _TEXT),
    Column("created_by", "By", _TEXT),
)  # fmt: skip


def state_of(factor: OwnFactor) -> str:
    """ "in force", "superseded" or "withdrawn"."""
    if factor.withdrawn_at is not None:
        return "withdrawn"
    return "in force" if factor.is_in_force else "superseded"


def own_factors_table(factors: Iterable[OwnFactor]) -> Table:
    rows = [
        [
            one.factor_id, one.quantity, one.key, one.value, one.low, one.high, one.unit, one.status, one.source,
            one.url, one.page, one.year, one.licence, one.note, one.reason, one.site.slug if one.site else "",
            one.team.slug if one.team else "", one.valid_from, one.valid_to, one.version, state_of(one),
            one.created_at, one.created_by,
        ]
        for one in factors
    ]  # fmt: skip
    return Table("own-factors", "Own factors with their reasons", COLUMNS, rows)
