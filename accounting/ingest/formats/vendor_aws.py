"""AWS: the CSV of a Data Export of the table CARBON_EMISSIONS, in tonnes (MTCO2e).

Columns: docs.aws.amazon.com/cur/latest/userguide/carbon-emissions-columns.html. Files before version 3 of the method
have the two totals only, of scopes 1 and 2; from version 3 on scope 3 is in them and scopes have columns of their own.
"""

from collections.abc import Iterable
from datetime import date

from accounting.ingest.formats.vendor_records import CellRefused, Cells, VendorRecord, kg_of, month_of, version_key

NAME = "aws"
KNOWN_BY = frozenset({"usage_period_start", "total_mbm_emissions_value"})
NEEDED = frozenset(
    {"model_version", "region_code", "usage_account_id", "usage_period_start", "usage_period_end"}
    | {f"total_{basis}_emissions_{part}" for basis in ("lbm", "mbm") for part in ("value", "unit")}
)
_KG_PER_UNIT = {"mtco2e": 1000}
_SCOPE_3_SINCE = (3,)  # version of the method
_SAME = (
    "usage_period_start",
    "payer_account_id",
    "usage_account_id",
    "product_code",
    "region_code",
    "location",
    "model_version",
)


def record(cells: Cells) -> VendorRecord:
    """One line. Raises CellRefused."""
    version = cells["model_version"]
    if not version_key(version):
        raise CellRefused("model_version", version, "it must tell a version such as v3.0.0")
    kg = {name: _kg(cells, f"total_{name}_emissions") for name in _figures(cells)}
    total_has_scope_3 = version_key(version) >= _SCOPE_3_SINCE
    return VendorRecord(
        provider=NAME,
        month=_month(cells),
        account=cells["usage_account_id"] or cells.get("payer_account_id", ""),
        region=(cells["region_code"] or cells.get("location", "") or "global").casefold(),
        service=cells.get("product_code", ""),
        model_version=version,
        scopes="1,2,3" if total_has_scope_3 else "1,2",
        scope1_kg=kg.get("scope_1"),
        scope2_location_kg=kg.get("scope_2_lbm"),
        scope2_market_kg=kg.get("scope_2_mbm"),
        scope3_kg=kg.get("scope_3_lbm"),
        scope3_market_kg=kg.get("scope_3_mbm"),
        total_location_kg=kg["lbm"],
        total_market_kg=kg["mbm"],
    )


def same_line(cells: Cells) -> tuple[str, ...]:
    """Equal for two lines that tell of the same thing, refreshed at different times perhaps."""
    return tuple(cells.get(name, "") for name in _SAME)


def notes(records: Iterable[VendorRecord]) -> list[str]:
    split = any(record.scope2_location_kg is not None for record in records)
    return [] if split else ["The file tells totals only: no split by scope."]


def _figures(cells: Cells) -> list[str]:
    names = ("lbm", "mbm", "scope_1", "scope_2_lbm", "scope_2_mbm", "scope_3_lbm", "scope_3_mbm")
    return [name for name in names if f"total_{name}_emissions_value" in cells]


def _kg(cells: Cells, name: str) -> float | None:
    if not cells[f"{name}_value"]:
        return None
    unit = cells.get(f"{name}_unit", "")
    per_unit = _KG_PER_UNIT.get(unit.casefold())
    if per_unit is None:
        raise CellRefused(f"{name}_unit", unit, "only MTCO2e (tonnes) is known; do not import a unit by guessing")
    return kg_of(cells, f"{name}_value", kg_per_unit=per_unit)


def _month(cells: Cells) -> date:
    """A line tells of one calendar month, ended on its last day or at the first moment of the next month."""
    month = month_of(cells, "usage_period_start")
    written = cells["usage_period_end"]
    year, after = (month.year + 1, 1) if month.month == 12 else (month.year, month.month + 1)
    if not written.startswith((f"{month:%Y-%m}-", f"{year}-{after:02d}-01")):
        raise CellRefused("usage_period_end", written, f"it must end the month that begins {month}")
    return month
