"""What a sample says, and what two of one key come to: equal, one completing the other, or a contradiction. Pure.

Two readings agree where every field that both tell is equal; whether a sensor saw the value (`measured`) both always
tell. What agrees adds up, in any order, to the same reading.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accounting.ingest.columns import NO_BYTES, NO_JOB, SampleColumns
from accounting.models import DeviceSample

TABLE = DeviceSample._meta.db_table
KEY_COLUMNS = "device_id, measured_at_us, source"
READING_COLUMNS = "power_w, energy_j, utilization, memory_used_bytes, job_id, measured"

Key = tuple[int, int, int]  # device, microseconds, source


class Reading(NamedTuple):
    """What a sample says. None: it does not tell."""

    power_w: float | None
    energy_j: float | None
    utilization: float | None
    memory_used_bytes: int | None
    job_id: int | None
    measured: bool

    def agrees(self, other: "Reading") -> bool:
        """Whether no field is told otherwise by the other."""
        return all(a == b or a is None or b is None for a, b in zip(self, other, strict=True))

    def with_more(self, other: "Reading") -> "Reading":
        """This one, and from the other what this one leaves out."""
        return Reading(*(b if a is None else a for a, b in zip(self, other, strict=True)))


class Row(NamedTuple):
    """A reading with its revision, and the boot of who told its counter (of who came first, where it has none)."""

    reading: Reading
    revision: int
    epoch: int

    def completed(self, other: "Row") -> "Row":
        """With what the other adds; counters are compared within one boot, so a counter brings its own along."""
        brings_counter = self.reading.energy_j is None and other.reading.energy_j is not None
        epoch = other.epoch if brings_counter else self.epoch
        return Row(self.reading.with_more(other.reading), self.revision, epoch)


def rows(samples: SampleColumns, *, epoch: int) -> list[Row]:
    """The samples as `bulk.stored` would give them back."""
    told = zip(*values(samples), samples.revision.tolist(), strict=True)
    return [Row(Reading(*reading), revision, epoch) for *reading, revision in told]


def values(samples: SampleColumns) -> tuple[list[Any], ...]:
    """A list a column, in the order of READING_COLUMNS, None where it is not set."""
    return (
        _or_none(samples.power_w, np.isnan(samples.power_w)),
        _or_none(samples.energy_j, np.isnan(samples.energy_j)),
        _or_none(samples.utilization, np.isnan(samples.utilization)),
        _or_none(samples.memory_used_bytes, samples.memory_used_bytes == NO_BYTES),
        _or_none(samples.job_id, samples.job_id == NO_JOB),
        samples.measured.tolist(),
    )


def _or_none(values: NDArray[Any], unset: NDArray[np.bool_]) -> list[Any]:
    listed = values.tolist()
    if unset.any():
        for i in np.flatnonzero(unset):
            listed[i] = None
    return listed
