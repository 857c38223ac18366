"""The files of past runs that can be imported: a line each. Another format is another line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from accounting.agent.wire import TelemetryBatch
from accounting.ingest.codecarbon_file import beside_live
from accounting.ingest.formats import codecarbon_csv, slurm
from accounting.ingest.formats.imported import ImportedFile, ImportRefused
from accounting.ingest.formats.slurm_table import is_sacct
from accounting.models import ApiToken, FileImport

Parse = Callable[..., ImportedFile]  # (body, *, stated) -> ImportedFile
Before = Callable[..., TelemetryBatch]  # (batch, *, token: ApiToken, now: datetime) -> TelemetryBatch


@dataclass(frozen=True, slots=True)
class ImportKind:
    """How a tool's files are known, read and stored."""

    parse: Parse
    is_one: Callable[[str], bool]  # by its first line
    stated: frozenset[str]  # what may be said beside the file
    before: Before | None = None  # what is known already may change what a part of it means


KINDS: Mapping[str, ImportKind] = {
    FileImport.Kind.CODECARBON: ImportKind(
        codecarbon_csv.parse,
        lambda first_line: "timestamp" in first_line and "energy_consumed" in first_line,
        frozenset({"time_zone", "team", "pue", "host", "project"}),
        beside_live,
    ),
    FileImport.Kind.SLURM: ImportKind(
        slurm.parse,
        is_sacct,
        frozenset({"time_zone", "team", "gather", "accounts", "nodes", "gpus_per_node", "cpus_per_node"}),
    ),
}


def kind_of(body: bytes) -> str:
    """The kind of a file, by its first line.

    Raises:
        ImportRefused: it is none that is known.
    """
    if not body.strip():
        raise ImportRefused("the file is empty")
    first = body.lstrip().partition(b"\n")[0][:10_000]
    try:
        line = first.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportRefused("the file is no text: choose what the tool itself wrote") from error
    for kind, of_kind in KINDS.items():
        if of_kind.is_one(line):
            return kind
    known = ", ".join(label for key, label in FileImport.Kind.choices if key in KINDS)
    raise ImportRefused(f"the first line {line[:60]!r} is of no file that is known here: {known}")


def prepared(kind: str, batch: TelemetryBatch, *, token: ApiToken, now: datetime) -> TelemetryBatch:
    before = KINDS[kind].before
    return before(batch, token=token, now=now) if before is not None else batch
