"""Many raw readings into PostgreSQL: packed by numpy, taken by one binary COPY; nothing is checked."""

from collections.abc import Sequence

import numpy as np
from django.db import connection
from numpy.typing import NDArray

_COLUMNS = {  # name: type on the wire, big-endian
    "device_id": ">i8",
    "measured_at_us": ">i8",
    "source": ">i2",
    "power_w": ">f8",
    "measured": "u1",
    "epoch": ">i8",
    "revision": ">i4",
    "received_at_us": ">i8",
}
_HEADER, _END = b"PGCOPY\n\xff\r\n\x00" + bytes(8), b"\xff\xff"
_ROW = np.dtype(
    [("fields", ">i2"), *((f"{k}{name}", t) for name, of in _COLUMNS.items() for k, t in (("n", ">i4"), ("", of)))]
)


def copy_readings(device_ids: Sequence[int], at_us: NDArray[np.int64], watts: NDArray[np.float64]) -> None:
    """Readings by the agent of every device at every instant; `watts` has a row for each device."""
    from accounting.ingest.partitions import US_PER_DAY, ensure

    ensure(set(np.unique(at_us // US_PER_DAY).tolist()), most=10_000)  # the table is in days
    table, names = "accounting_devicesample", ", ".join(_COLUMNS)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_HEADER)
        for device_id, of_device in zip(device_ids, watts, strict=True):
            copy.write(_packed(device_id, at_us, of_device))
        copy.write(_END)


def _packed(device_id: int, at_us: NDArray[np.int64], watts: NDArray[np.float64]) -> bytes:
    rows = np.empty(at_us.size, dtype=_ROW)
    rows["fields"] = len(_COLUMNS)
    for name, of in _COLUMNS.items():
        rows[f"n{name}"] = np.dtype(of).itemsize
    rows["device_id"], rows["measured_at_us"], rows["power_w"] = device_id, at_us, watts
    rows["source"], rows["measured"], rows["epoch"], rows["revision"] = 2, 1, 1, 0
    rows["received_at_us"] = at_us
    return rows.tobytes()
