"""The text of `sacct --parsable2` as jobs with their steps: any columns, any order, any delimiter. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from accounting.ingest.formats.imported import ImportRefused

DELIMITERS = "|\t;^,"
ASK = (
    "sacct -P --format=JobID,JobIDRaw,JobName,User,Account,Start,End,ElapsedRaw,State,NodeList,AllocTRES,"
    "ConsumedEnergyRaw"
)
_FREE_TEXT = ("jobname", "comment", "admincomment", "systemcomment", "submitline", "workdir", "constraints", "reason")
Cells = dict[str, str]  # column in small letters -> text


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    cells: Cells

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass(slots=True)
class JobRows:
    """A job's own row, and those of its steps."""

    row: Row
    steps: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class Sacct:
    """The jobs of a text, in its order."""

    columns: tuple[str, ...]
    jobs: list[JobRows] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)  # line, why
    orphans: int = 0  # steps whose job's row is not there
    repeated: int = 0  # rows that stand twice


def read(body: bytes) -> Sacct:
    """Raises ImportRefused: no text, no header, or columns that are needed are missing."""
    lines = [(number, line) for number, line in enumerate(_text(body).splitlines(), 1) if line.strip()]
    if not lines:
        raise ImportRefused(f"the file is empty: make it with {ASK}")
    delimiter, columns = _header(lines[0][1])
    found = Sacct(columns)
    latest: dict[str, JobRows] = {}
    seen: set[str] = set()
    for number, line in lines[1:]:
        if line in seen or set(line) <= {"-", delimiter, " "}:  # the second: a rule under the header
            found.repeated += line in seen
            continue
        seen.add(line)
        cells = _cells(line, delimiter, columns)
        if cells is None:
            parts = len(line.split(delimiter))
            found.wrong.append((number, f"{parts} fields where the header has {len(columns)}: use another --delimiter"))
            continue
        _place(Row(number, cells), found, latest)
    return found


def is_sacct(first_line: str) -> bool:
    """Whether a header is one of sacct's."""
    return any("jobid" in _names(first_line, delimiter) for delimiter in DELIMITERS)


def _place(row: Row, found: Sacct, latest: dict[str, JobRows]) -> None:
    job_id = row["jobid"] or row["jobidraw"]
    if not job_id:
        found.wrong.append((row.line, "there is no JobID"))
        return
    of, dot, _ = job_id.partition(".")
    if not dot:
        latest[of] = JobRows(row)
        found.jobs.append(latest[of])
    elif of in latest:
        latest[of].steps.append(row)
    else:
        found.orphans += 1


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportRefused(
            f"the file is no text (byte {error.start} is not UTF-8): choose what {ASK} wrote"
        ) from error
    if "\0" in text:
        raise ImportRefused(f"the file is no text: choose what {ASK} wrote")
    if text.lstrip()[:1] in ("{", "["):
        raise ImportRefused(f"this is JSON, which is not read: make the text with {ASK}")
    return text


def _header(line: str) -> tuple[str, tuple[str, ...]]:
    for delimiter in DELIMITERS:
        columns = _names(line, delimiter)
        if "jobid" in columns or "jobidraw" in columns:
            missing = list(_missing(set(columns)))
            if missing:
                raise ImportRefused(f"the file has no column {'; no '.join(missing)}. Make it with {ASK}")
            return delimiter, columns
    raise ImportRefused(
        f"the first line {line[:60]!r} names no column JobID: make the file with {ASK}, with its header"
    )


def _missing(columns: set[str]) -> Iterator[str]:
    timed = [bool(columns & some) for some in ({"start"}, {"end"}, {"elapsed", "elapsedraw"})]
    if sum(timed) < 2:
        yield "for when a job ran (two of Start, End and Elapsed)"
    if "nodelist" not in columns:
        yield "NodeList, which says where it ran"


def _names(line: str, delimiter: str) -> tuple[str, ...]:
    line = line.strip()
    names = [name.strip().lower().partition("%")[0] for name in line.removesuffix(delimiter).split(delimiter)]
    return tuple(names) if len(names) > 1 else ()


def _cells(line: str, delimiter: str, columns: tuple[str, ...]) -> Cells | None:
    """None where the fields do not fit. A job's name may hold the delimiter, which sacct does not escape."""
    parts = line.rstrip("\r\n").split(delimiter)
    if len(parts) == len(columns) + 1 and not parts[-1]:
        parts.pop()  # --parsable ends each line with one
    free = [name for name in columns if name in _FREE_TEXT]
    if len(parts) > len(columns) and len(free) == 1 and delimiter != ",":
        at, more = columns.index(free[0]), len(parts) - len(columns)
        parts[at : at + more + 1] = [delimiter.join(parts[at : at + more + 1])]
    return dict(zip(columns, parts, strict=True)) if len(parts) == len(columns) else None
