"""The fastest ways into the same keyed table, with rows prepared beforehand and nothing checked.

Each baseline, called once a round, prepares that round's rows and answers the call that is timed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import numpy as np
from django.db import connection, transaction

from accounting.access import issue_token
from accounting.ingest.partitions import US_PER_DAY, ensure
from accounting.models import Device, DeviceSample, Host, Job, Site

Baseline = Callable[[], Callable[[], float]]

TABLE = DeviceSample._meta.db_table
KINDS = {
    "device_id": ">i8", "measured_at_us": ">i8", "source": ">i2", "power_w": ">f8", "energy_j": ">f8",
    "utilization": ">f8", "memory_used_bytes": ">i8", "job_id": ">i8", "measured": ">i1", "epoch": ">i8",
    "revision": ">i4", "received_at_us": ">i8",
}  # fmt: skip
HEAD, TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
INSERT = f"INSERT INTO {TABLE} ({', '.join(KINDS)}) VALUES ({', '.join(['%s'] * len(KINDS))})"


@dataclass(frozen=True, slots=True)
class Place:
    """What rows belong to, and from when they are."""

    database: str
    start: datetime
    secret: str
    device_ids: list[int]
    job_id: int

    def check(self, taken: int) -> None:
        assert DeviceSample.objects.count() == taken, "rows were lost or counted twice"


def prepare(*, days: int) -> Place:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days - 1)
    first = int(start.timestamp()) * 1_000_000 // US_PER_DAY
    ensure(set(range(first, first + days + 1)))
    site = Site.objects.create(name="Bench", slug="bench")
    _, secret = issue_token(name="bench", scopes=["ingest"], site=site)
    host = Host.objects.create(name="beside", site=site)
    device_ids = [Device.objects.create(host=host, key=f"gpu-{k}", acquired_at=start).pk for k in range(8)]
    return Place(connection.vendor, start, secret, device_ids, Job.objects.create(key="beside").pk)


def baselines(place: Place, *, rows: int, batch: int) -> dict[str, Baseline]:
    """By name, in the order in which they run. No two ever write the same key."""
    turns = count()

    def fields(pieces: int) -> list[dict[str, np.ndarray]]:
        first = next(turns) * rows
        return [_fields(place, first + k * rows // pieces, rows // pieces) for k in range(pieces)]

    def of(prepare_piece: Callable, write: Callable, pieces: int) -> Baseline:
        return lambda: partial(_timed, write, [prepare_piece(piece) for piece in fields(pieces)])

    many = rows // batch
    if connection.vendor == "postgresql":
        return {
            "binary COPY, one": of(_packed, _copy, 1),
            "binary COPY, 500 a commit": of(_packed, _copy, many),
            "bulk_create, 500 a commit": of(_objects, _bulk_create, many),
        }
    return {
        "executemany, one commit": of(_tuples, _executemany, 1),
        "executemany, 500 a commit": of(_tuples, _executemany, many),
    }


def _fields(place: Place, first: int, size: int) -> dict[str, np.ndarray]:
    n = np.arange(first, first + size)
    at = int(place.start.timestamp()) * 1_000_000 + n // len(place.device_ids) * 1_000_000
    told = (
        np.array(place.device_ids)[n % len(place.device_ids)], at, 2, 300.0 + n % 97, 300.0 * n, n % 101 / 100,
        1 << 33, place.job_id, True, 1, 0, 1,
    )  # fmt: skip
    return {name: np.broadcast_to(values, size) for name, values in zip(KINDS, told, strict=True)}


def _timed(write: Callable, pieces: list) -> float:
    """Seconds to write the pieces, a transaction each."""
    connection.ensure_connection()
    started = time.perf_counter()
    for piece in pieces:
        with transaction.atomic():
            write(piece)
    return time.perf_counter() - started


def _packed(piece: dict[str, np.ndarray]) -> bytes:
    """Rows as COPY's binary format has them: how many fields, then each after its own length."""
    shape = [("fields", ">i2")]
    for name, kind in KINDS.items():
        shape += [(f"{name} length", ">i4"), (name, kind)]
    rows = np.zeros(len(piece["device_id"]), dtype=shape)
    rows["fields"] = len(KINDS)
    for name, kind in KINDS.items():
        rows[f"{name} length"], rows[name] = np.dtype(kind).itemsize, piece[name]
    return HEAD + rows.tobytes() + TAIL


def _copy(packed: bytes) -> None:
    with (
        connection.connection.cursor() as cursor,
        cursor.copy(f"COPY {TABLE} ({', '.join(KINDS)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.write(packed)


def _tuples(piece: dict[str, np.ndarray]) -> list[tuple]:
    return list(zip(*(values.tolist() for values in piece.values()), strict=True))


def _executemany(rows: list[tuple]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, rows)


def _objects(piece: dict[str, np.ndarray]) -> list[DeviceSample]:
    return [DeviceSample(**dict(zip(KINDS, row, strict=True))) for row in _tuples(piece)]


def _bulk_create(rows: list[DeviceSample]) -> None:
    DeviceSample.objects.bulk_create(rows, ignore_conflicts=True)
