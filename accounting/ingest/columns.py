"""Device samples as numpy columns: what the database is written from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accounting.methods.units import US_PER_S
from accounting.models import DeviceSample

NO_JOB = 0
NO_BYTES = NO_SEQ = -1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SOURCES = {source.name.lower(): int(source) for source in DeviceSample.Source}


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """One array a field, row for row. Not set: nan, NO_BYTES, NO_JOB, NO_SEQ."""

    device_id: NDArray[np.int64]
    measured_at_us: NDArray[np.int64]
    source: NDArray[np.int16]
    power_w: NDArray[np.float64]
    energy_j: NDArray[np.float64]
    utilization: NDArray[np.float64]
    memory_used_bytes: NDArray[np.int64]
    job_id: NDArray[np.int64]
    measured: NDArray[np.bool_]
    revision: NDArray[np.int32]
    seq: NDArray[np.int64]

    def __len__(self) -> int:
        return self.device_id.size

    def take(self, rows: NDArray[Any]) -> "SampleColumns":
        return SampleColumns(*(getattr(self, field.name)[rows] for field in fields(self)))

    def by_key(self) -> "SampleColumns":
        """By device, time and source, a key's highest revision first: the order in which everyone locks rows."""
        return self.take(np.lexsort((-self.revision, self.source, self.measured_at_us, self.device_id)))

    def key_tuples(self) -> list[tuple[int, int, int]]:
        return list(zip(self.device_id.tolist(), self.measured_at_us.tolist(), self.source.tolist(), strict=True))


def columns(samples: Sequence[Any], device_ids: Sequence[int], job_ids: Sequence[int]) -> SampleColumns:
    """Checked device samples, with the rows their names stand for, as columns."""
    return SampleColumns(
        device_id=np.array(device_ids, dtype=np.int64),
        measured_at_us=microseconds(s.measured_at for s in samples),
        source=np.array([SOURCES[s.source] for s in samples], dtype=np.int16),
        power_w=np.array([s.power_w for s in samples], dtype=np.float64),  # None becomes nan
        energy_j=np.array([s.energy_j for s in samples], dtype=np.float64),
        utilization=np.array([s.utilization for s in samples], dtype=np.float64),
        memory_used_bytes=_or(NO_BYTES, [s.memory_used_bytes for s in samples]),
        job_id=np.array(job_ids, dtype=np.int64),
        measured=np.array([s.status == "measured" for s in samples], dtype=bool),
        revision=np.array([s.revision for s in samples], dtype=np.int32),
        seq=_or(NO_SEQ, [s.seq for s in samples]),
    )


def _or(unset: int, values: list[int | None]) -> NDArray[np.int64]:
    return np.array([unset if value is None else value for value in values], dtype=np.int64)


def microseconds(instants: Iterable[datetime]) -> NDArray[np.int64]:
    """Exact between 1970 and 2106, where seconds as a float are good to an eighth of a microsecond."""
    return np.rint(np.array([at.timestamp() for at in instants]) * US_PER_S).astype(np.int64)


def microsecond(instant: datetime) -> int:
    return round(instant.timestamp() * US_PER_S)
