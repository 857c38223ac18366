"""Google Cloud: the table of a Carbon Footprint export in BigQuery, saved as CSV or as JSON lines, in kg.

Columns: docs.cloud.google.com/carbon-footprint/docs/data-schema. Levels are parted by dots or underscores, or nested.
"""

from collections.abc import Iterable

from accounting.ingest.formats.vendor_records import CellRefused, Cells, VendorRecord, kg_of, month_of, version_key

NAME = "gcp"
KNOWN_BY = frozenset({"usage_month", "carbon_model_version"})
NEEDED = frozenset({"usage_month", "carbon_model_version", "location_region"})
_TOTALS = {
    "total_location_kg": "carbon_footprint_total_kgco2e_location_based",
    "total_market_kg": "carbon_footprint_total_kgco2e_market_based",
}
_SCOPES = {
    "scope1_kg": "carbon_footprint_kgco2e_scope1",
    "scope2_location_kg": "carbon_footprint_kgco2e_scope2_location_based",
    "scope2_market_kg": "carbon_footprint_kgco2e_scope2_market_based",
    "scope3_kg": "carbon_footprint_kgco2e_scope3",
}


def record(cells: Cells) -> VendorRecord:
    """One line. Raises CellRefused."""
    version = cells["carbon_model_version"]
    if not version_key(version):
        raise CellRefused("carbon_model_version", version, "it must tell a version such as 11")
    kg = {name: kg_of(cells, column) for name, column in (_TOTALS | _SCOPES).items()}
    if all(value is None for value in kg.values()):
        raise CellRefused(_TOTALS["total_location_kg"], "", "the line tells no figure: export both structures")
    return VendorRecord(
        provider=NAME,
        month=month_of(cells, "usage_month"),
        account=cells.get("project_id") or cells.get("project_number") or cells.get("billing_account_id", ""),
        region=(cells["location_region"] or cells.get("location_location", "") or "global").casefold(),
        service=cells.get("service_description") or cells.get("service_id", ""),
        model_version=version,
        scopes="1,2,3",
        **kg,
    )


def same_line(cells: Cells) -> tuple[str, ...]:
    """Zones of a region may tell the same of everything but their figures, so only whole lines are compared."""
    return tuple(f"{name}={cells[name]}" for name in sorted(cells))


def notes(records: Iterable[VendorRecord]) -> list[str]:
    return []
