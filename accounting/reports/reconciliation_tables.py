"""The reconciliation as tables: the page's files."""

from collections.abc import Sequence

from accounting.reports.reconcile import Comparison, Key
from accounting.reports.reconciliation import Line, ReportLine
from accounting.reports.tables import Column, Table, Value


def comparisons_table(found: Sequence[Line]) -> Table:
    """Two rows a line: location-based and market-based, with every cause in kg."""
    causes = [Column(f"{key.value}_kg", f"{key.value}, kg") for key in Key]
    columns = [
        Column("month", "Month", numeric=False),
        Column("provider", "Provider", numeric=False),
        Column("region", "Region", numeric=False),
        Column("basis", "Basis", numeric=False),
        Column("theirs_kg", "Theirs, kg"),
        Column("ours_low_kg", "Ours low, kg"),
        Column("ours_kg", "Ours, kg"),
        Column("ours_high_kg", "Ours high, kg"),
        Column("difference_kg", "Theirs less ours, kg"),
        *causes,
        Column("implied_g_per_kwh", "Their scope 2 over our energy, g/kWh"),
        Column("ours_g_per_kwh", "Our intensity, g/kWh"),
        Column("ledger_days", "Days in our ledger"),
        Column("days", "Days due"),
        Column("verdict", "Verdict", numeric=False),
        Column("why", "Why", numeric=False),
        Column("versions", "Versions of their method", numeric=False),
        Column("sites", "Sites", numeric=False),
    ]
    rows = [_row(line, one) for line in found for one in (line.location, line.market)]
    return Table("reconciliation", "Cloud providers’ reports against the ledger", columns, rows)


def _row(line: Line, one: Comparison) -> list[Value]:
    kg = {cause.key: float(cause.kg) for cause in one.causes}
    ours, rate = one.ours_kg, one.ours_g_per_kwh
    return [
        f"{line.month:%Y-%m}", line.provider, line.region, one.basis.value,
        None if one.theirs_kg is None else float(one.theirs_kg),
        ours and ours.low, ours and ours.mid, ours and ours.high,
        None if one.difference_kg is None else float(one.difference_kg),
        *(kg.get(key) for key in Key),
        one.implied_g_per_kwh, rate and rate.mid, line.days, line.of_days,
        one.verdict.outcome.value, one.verdict.words, " ".join(line.versions), "; ".join(line.sites),
    ]  # fmt: skip


def reports_table(found: Sequence[ReportLine]) -> Table:
    columns = [
        Column("file", "File", numeric=False),
        Column("provider", "Provider", numeric=False),
        Column("first_month", "From", numeric=False),
        Column("last_month", "To", numeric=False),
        Column("rows", "Rows"),
        Column("rows_that_count", "That count"),
        Column("versions", "Versions of the method", numeric=False),
        Column("state", "State", numeric=False),
        Column("imported_by", "Imported by", numeric=False),
        Column("imported_at", "Imported at", numeric=False),
        Column("sha256", "SHA-256", numeric=False),
        Column("notes", "Notes", numeric=False),
    ]
    rows: list[list[Value]] = [
        [
            one.report.file_name, one.report.provider, f"{one.first:%Y-%m}", f"{one.last:%Y-%m}", one.rows,
            one.counting, " ".join(one.versions), one.report.state, one.report.imported_by, one.report.imported_at,
            one.report.sha256, " ".join(one.report.notes),
        ]
        for one in found
    ]  # fmt: skip
    return Table("provider-reports", "Reports that were imported", columns, rows)
