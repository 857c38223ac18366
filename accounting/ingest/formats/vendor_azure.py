"""Azure: answers of the Carbon Service (`carbonEmissionReports`) by location, as JSON or as a CSV of its fields, in kg.

learn.microsoft.com/en-us/rest/api/carbon/carbon-service/query-carbon-emission-reports. An answer holds one figure a
location; which scopes are in it was said in the question, and on which basis its scope 2 stands is said nowhere in it.
So whoever imports states both, or the figure stands as not stated.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from accounting.ingest.formats.vendor_records import (
    CellRefused,
    Cells,
    ReportRefused,
    VendorRecord,
    kg_of,
    month_of,
)

NAME = "azure"
KNOWN_BY = frozenset({"itemname", "latestmonthemissions"})
NEEDED = KNOWN_BY
_KINDS = ("itemdetailsdata", "topitemsmonthlysummarydata", "topitemssummarydata")
STATEMENTS = {  # what an importer may state of the figure, and the column it then belongs in
    "": "unstated_kg",
    "1": "scope1_kg",
    "2-location": "scope2_location_kg",
    "2-market": "scope2_market_kg",
    "3": "scope3_kg",
    "1,2-location,3": "total_location_kg",
    "1,2-market,3": "total_market_kg",
}

RegionKey = Callable[[str, str], str | None]  # (provider, a region as people write it) -> its code, where it is known


def statement_of(stated: str) -> str:
    """The key of STATEMENTS that people mean by `Scope1`, `2-market` and so on. Raises ReportRefused."""
    plain = stated.casefold().replace("scope", "").replace(" ", "")
    if plain not in STATEMENTS:
        known = ", ".join(key for key in STATEMENTS if key)
        raise ReportRefused(
            f"scopes are stated as {stated!r}: state one of {known}; Azure's answer does not say whether its scope 2 is"
            " location- or market-based: state nothing where you do not know"
        )
    return plain


def record(cells: Cells, *, month: date | None, scopes: str, region_key: RegionKey) -> VendorRecord:
    """One item. `scopes` is a key of STATEMENTS. Raises CellRefused."""
    kind, category = cells.get("datatype", ""), cells.get("categorytype", "")
    if kind and kind.casefold() not in _KINDS:
        raise CellRefused("dataType", kind, "ask for ItemDetailsReport or TopItemsMonthlySummaryReport by Location")
    if category.casefold() not in ("", "location"):
        raise CellRefused("categoryType", category, "it tells no region: ask for the report by Location")
    if not cells["itemname"]:
        raise CellRefused("itemName", "", "it must name the location, for example East US")
    kg = kg_of(cells, "latestmonthemissions")
    if kg is None:
        raise CellRefused("latestMonthEmissions", "", "write the figure in kg")
    where = cells["itemname"]
    region = region_key(NAME, where) or where.casefold().replace(" ", "")
    return VendorRecord(NAME, _month(cells, month), "", region, "", "", scopes, **{STATEMENTS[scopes]: kg})


def same_line(cells: Cells) -> tuple[str, ...]:
    return cells["itemname"].casefold().replace(" ", ""), cells.get("date", "")


def notes(records: Iterable[VendorRecord]) -> list[str]:
    unstated = any(record.unstated_kg is not None for record in records)
    return ["Nobody stated which scopes the figures hold: they cannot be compared."] if unstated else []


def around_notes(around: Mapping[str, Any]) -> list[str]:
    """What stands beside the list of an answer.

    Raises:
        ReportRefused: it is a page of several.
    """
    if around.get("skipToken"):
        raise ReportRefused("the answer has a skipToken, so more pages follow: ask again with a pageSize of 5000")
    decisions = around.get("subscriptionAccessDecisionList") or []
    denied = [one for one in decisions if isinstance(one, dict) and str(one.get("decision", "")) == "Denied"]
    return (
        [f"Azure denied access to {len(denied)} of the subscriptions: they are not in the figures."] if denied else []
    )


def _month(cells: Cells, stated: date | None) -> date:
    if not cells.get("date"):
        if stated is None:
            raise CellRefused("date", "", "the answer tells no month: state it at import, for example 2026-01")
        return stated
    month = month_of(cells, "date")
    if stated is not None and month != stated:
        raise CellRefused("date", cells["date"], f"{stated:%Y-%m} was stated: state the file's own month, or none")
    return month
