"""Files of past runs that were imported, as a page lists them."""

from collections.abc import Iterable
from dataclasses import dataclass

from accounting.models import FileImport
from accounting.reports.tables import Column, Table


@dataclass(frozen=True, slots=True)
class ImportLine:
    of: FileImport

    @property
    def pk(self) -> int:
        return self.of.pk

    @property
    def state(self) -> str:
        return "withdrawn" if self.of.withdrawn_at else str(self.of.brought.get("state", "waiting"))

    @property
    def is_running(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def words(self) -> str:
        done, of = self.of.brought.get("done", 0), self.of.brought.get("of", 0)
        return {
            "waiting": "Waiting",
            "running": f"{round(100 * done / of) if of else 0} % in",
            "failed": "Broke off",
            "done": "In",
            "withdrawn": "Withdrawn",
        }.get(self.state, self.state)

    @property
    def whose(self) -> str:
        return f"Team {self.of.team}" if self.of.team else f"Site {self.of.site}"

    @property
    def tone(self) -> str:
        return {"done": "good", "failed": "bad"}.get(self.state, "")


def import_lines(rows: Iterable[FileImport]) -> list[ImportLine]:
    return [ImportLine(row) for row in rows]


def imports_table(lines: Iterable[ImportLine]) -> Table:
    columns = [
        Column("file", "File", numeric=False),
        Column("kind", "Kind", numeric=False),
        Column("whose", "Whose machines", numeric=False),
        Column("state", "State", numeric=False),
        Column("runs", "Runs"),
        Column("energy_kwh", "Energy told, kWh"),
        Column("without_energy", "Runs without energy"),
        Column("accepted", "Spans taken"),
        Column("duplicates", "Spans here already"),
        Column("conflicts", "Spans that contradict"),
        Column("imported_at", "Imported", numeric=False),
        Column("imported_by", "By", numeric=False),
    ]
    names = ("runs", "energy_kwh", "without_energy", "accepted", "duplicates", "conflicts")
    rows = [
        [
            line.of.file_name,
            line.of.get_kind_display(),
            line.whose,
            line.words,
            *(line.of.brought.get(name) for name in names),
            line.of.imported_at,
            str(line.of.imported_by or "import_runs"),
        ]
        for line in lines
    ]
    return Table("imports", "Files of past runs", columns, rows)
