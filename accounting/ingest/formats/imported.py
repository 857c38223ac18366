"""What a file of past runs says, whoever wrote it: a telemetry message and what could not be read. Pure.

Every format of such files gives `parse(body, *, stated) -> ImportedFile`; `stated` is what the importer said beside the
file. Age limits do not apply: a file may tell of years ago.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from accounting.agent.wire import TelemetryBatch

MOST_BYTES = 64_000_000
MOST_ERRORS = 20  # told at once
Stated = Mapping[str, str]


class ImportRefused(ValueError):
    """The file as a whole cannot be read; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class LineError:
    line: int  # from 1, as editors count
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a preview shows before anything is stored, and a test compares with the tool's own totals."""

    runs: int  # runs or jobs
    energy_kwh: float  # that the file tells, as it will be counted (IT energy)
    without_energy: int  # runs of which no energy is told
    first: str  # RFC 3339; empty: no run
    last: str


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """What a file says. Where there are errors nothing of it is to be stored."""

    batch: TelemetryBatch  # may hold more items than one message over HTTP
    facts: Facts
    errors: tuple[LineError, ...]  # the first MOST_ERRORS
    wrong: int  # how many lines are wrong, told or not
    notes: tuple[str, ...]  # what a reader must know beside the figures
