"""The queue on disk between measuring and posting. Bounded, crash safe, and never in the way of what it measures.

A sample, its sequence number and the counters' marks are committed together (SQLite, WAL, synchronous=FULL), and only
what is committed is ever posted. So a kill loses at most the tick being written, and a sequence number never stands for
two different samples. Whatever cannot be kept is counted in `dropped`.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from accounting.agent.continuity import CounterMark
from accounting.agent.spoolfile import SpoolFile, is_damage
from accounting.agent.wire import DeviceSample, DeviceUse

MAX_BYTES = 256 << 20
MAX_AGE_S = 7 * 86_400.0
MAX_PARKED = 100_000
DROP_STEP = 500
KEPT = tuple(name for name in DeviceSample.__slots__ if name != "seq")  # the number has a column of its own
COLUMNS = "id, stream_id, seq, spooled_at, body"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Samples of one stream that wait to be posted, and the rows to acknowledge afterwards."""

    stream: str
    ids: tuple[int, ...]
    samples: tuple[DeviceSample, ...]
    uses: tuple[DeviceUse, ...] = ()  # what jobs used of the same devices at the same moments


class Spool:
    """Safe to share between the thread that measures and the one that posts."""

    def __init__(
        self,
        folder: Path | None,
        *,
        machine_boot: str | None,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        """Args:
        folder: None, or one that cannot be written, keeps the queue in memory.
        machine_boot: the kernel's name for this boot; None goes on with the boot the spool knows.
        """
        self._machine_boot = machine_boot
        self._max_bytes, self._max_age_s = max_bytes, max_age_s
        self._uncounted = 0  # dropped while the disk could not even take the count
        self._failure = ""
        self._folder = folder
        self._file = self._open()

    @property
    def stream(self) -> str:
        """The boot_id of what this machine measures now: this boot, this spool, and how often counters broke."""
        facts = self.facts()
        return "-".join(facts[name] for name in ("machine_boot", "tag", "generation"))

    @property
    def trouble(self) -> str:
        """What is wrong with the disk, for a person; empty while all is well."""
        return self._failure or self._file.trouble

    @property
    def dropped(self) -> int:
        return int(self._fact("dropped")) + self._uncounted

    def facts(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self._file.rows("SELECT name, value FROM fact")}

    def marks(self) -> dict[str, CounterMark]:
        rows = self._file.rows("SELECT device, energy_j, uptime_s FROM counter")
        return {device: CounterMark(float(energy_j), float(uptime_s)) for device, energy_j, uptime_s in rows}

    def counts(self) -> dict[str, int]:
        """Samples waiting, parked because the server will never take them, and dropped since the spool began."""
        waiting, parked = (self._file.number(f"SELECT COUNT(*) FROM {table}") for table in ("sample", "parked"))
        return {"waiting": waiting, "parked": parked, "dropped": self.dropped}

    def holds(self, number: int) -> bool:
        """Whether at least `number` samples wait; cheaper than counting them all."""
        return self._file.number("SELECT COUNT(*) FROM (SELECT 1 FROM sample LIMIT ?)", number) >= number

    def oldest(self, limit: int) -> Waiting | None:
        return self._waiting("ORDER BY sample.id", limit)

    def newest(self, limit: int) -> Waiting | None:
        return self._waiting("ORDER BY sample.id DESC", limit)

    def append(
        self,
        samples: Sequence[DeviceSample],
        *,
        now_s: float,
        marks: Mapping[str, CounterMark],
        new_stream: bool = False,
        uses: Sequence[DeviceUse] = (),
    ) -> bool:
        """Number and keep one tick's samples. False: the disk would not take them, and they count as dropped.

        Args:
            new_stream: counters may have started again, so these are not to be compared with what was before.
            uses: they wait and go with the sample of their device.
        """

        def write() -> None:
            if new_stream:
                self._note(generation=str(int(self._fact("generation")) + 1), next_seq="1")
                self._file.db.execute("DELETE FROM counter")
            seq = int(self._fact("next_seq"))
            self._insert(self.stream, [replace(s, seq=seq + n) for n, s in enumerate(samples)], now_s, uses)
            self._note(next_seq=str(seq + len(samples)))
            rows = [(device, mark.energy_j, mark.uptime_s) for device, mark in marks.items()]
            self._file.db.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?, ?)", rows)
            self._make_room(now_s)

        return self._keep(write, len(samples))

    def append_replayed(self, stream: str, samples: Sequence[DeviceSample], *, now_s: float) -> bool:
        """Keep samples that bring their own numbers. One that waits already is the same one, and stays as it is."""

        def write() -> None:
            self._insert(stream, samples, now_s)
            self._make_room(now_s)

        return self._keep(write, len(samples))

    def acknowledge(self, waiting: Waiting, **facts: str) -> None:
        """The server has these samples; forget them, and remember `facts` for `status` to show."""
        with self._file.transaction() as db:
            db.executemany("DELETE FROM sample WHERE id = ?", [(row,) for row in waiting.ids])
            self._note(**facts)

    def note(self, **facts: str) -> None:
        with self._file.transaction():
            self._note(**facts)

    def park(self, waiting: Waiting, reason: str) -> None:
        """Put aside what the server will never take as it is, so that it does not hold up the rest."""
        with self._file.transaction() as db:
            for row in waiting.ids:
                db.execute(f"INSERT INTO parked SELECT {COLUMNS}, ? FROM sample WHERE id = ?", (reason, row))
            db.executemany("DELETE FROM sample WHERE id = ?", [(row,) for row in waiting.ids])
            surplus = "SELECT id FROM parked ORDER BY id DESC LIMIT -1 OFFSET ?"
            self._count_dropped(db.execute(f"DELETE FROM parked WHERE id IN ({surplus})", (MAX_PARKED,)).rowcount)

    def unpark(self) -> int:
        """Put everything parked back into the queue. Returns how many samples."""
        with self._file.transaction() as db:
            moved = db.execute(f"INSERT OR IGNORE INTO sample ({COLUMNS}) SELECT {COLUMNS} FROM parked").rowcount
            db.execute("DELETE FROM parked")
        return moved

    def close(self) -> None:
        self._file.close()

    def _open(self) -> SpoolFile:
        file = SpoolFile(self._folder)
        try:
            self._begin(file)
        except sqlite3.Error as error:
            file.close()
            file = SpoolFile(None)
            file.trouble = f"{self._folder} takes nothing ({error}): samples wait in memory, lost with the agent"
            self._begin(file)
        return file

    def _begin(self, file: SpoolFile) -> None:
        """A new spool gets a random tag, so that its numbers never meet those of a spool that was lost."""
        first = {"tag": secrets.token_hex(4), "generation": "0", "next_seq": "1", "dropped": "0", "machine_boot": ""}
        with file.transaction() as db:
            db.executemany("INSERT OR IGNORE INTO fact VALUES (?, ?)", list(first.items()))
            known = file.rows("SELECT value FROM fact WHERE name = 'machine_boot'")[0][0]
            if self._machine_boot and known != self._machine_boot:
                new = {"machine_boot": self._machine_boot, "generation": "0", "next_seq": "1"}
                db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", list(new.items()))
                db.execute("DELETE FROM counter")

    def _keep(self, write: Callable[[], None], samples: int) -> bool:
        """Run `write` in a transaction; where the disk is full, once more after dropping what is oldest."""
        for attempt in ("as it is", "with room made"):
            try:
                with self._file.transaction():
                    if attempt == "with room made":
                        self._drop_oldest()
                    write()
                    self._count_dropped(self._uncounted)
                self._uncounted, self._failure = 0, ""
                return True
            except sqlite3.Error as error:
                self._failure = f"the spool takes nothing ({error}): samples are being dropped"
                if is_damage(error):
                    self._file.close()
                    self._file = self._open()
                elif getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                    break
        self._uncounted += samples
        return False

    def _insert(
        self, stream: str, samples: Sequence[DeviceSample], now_s: float, uses: Sequence[DeviceUse] = ()
    ) -> None:
        self._file.db.execute("INSERT OR IGNORE INTO stream (name) VALUES (?)", (stream,))
        stream_id = self._file.number("SELECT id FROM stream WHERE name = ?", stream)
        told = [[use for use in uses if use.device == sample.device] if uses else [] for sample in samples]
        rows = [(stream_id, s.seq, now_s, _body(s, used)) for s, used in zip(samples, told, strict=True)]
        insert = "INSERT OR IGNORE INTO sample (stream_id, seq, spooled_at, body) VALUES (?, ?, ?, ?)"
        self._file.db.executemany(insert, rows)

    def _make_room(self, now_s: float) -> None:
        while (oldest := self._file.rows("SELECT spooled_at FROM sample ORDER BY id LIMIT 1")) and (
            float(oldest[0][0]) < now_s - self._max_age_s or self._file.used_bytes() > self._max_bytes
        ):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        ids = f"SELECT id FROM sample ORDER BY id LIMIT {DROP_STEP}"
        self._count_dropped(self._file.db.execute(f"DELETE FROM sample WHERE id IN ({ids})").rowcount)

    def _waiting(self, order: str, limit: int) -> Waiting | None:
        query = f"SELECT name, sample.id, seq, body FROM sample JOIN stream ON stream.id = stream_id {order} LIMIT ?"
        rows = self._file.rows(query, limit)
        if not rows:
            return None
        rows = list(takewhile(lambda row: row[0] == rows[0][0], rows))
        samples = tuple(replace(_sample(body), seq=int(seq)) for _, _, seq, body in rows)
        uses = tuple(use for *_, body in rows if '"uses"' in body for use in _uses(body))
        return Waiting(rows[0][0], tuple(int(row[1]) for row in rows), samples, uses)

    def _fact(self, name: str) -> str:
        return self._file.rows("SELECT value FROM fact WHERE name = ?", name)[0][0]

    def _note(self, **facts: str) -> None:
        self._file.db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", list(facts.items()))

    def _count_dropped(self, number: int) -> None:
        if number:
            self._note(dropped=str(int(self._fact("dropped")) + number))


def _body(sample: DeviceSample, uses: Sequence[DeviceUse] = ()) -> str:
    fields = {name: value for name in KEPT if (value := getattr(sample, name)) is not None}
    if uses:
        told: dict[str, Any] = {"uses": [asdict(use) for use in uses]}
        fields |= told
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def _sample(body: str) -> DeviceSample:
    """A spool written by a newer agent may know fields that this one does not."""
    return DeviceSample(**{name: value for name, value in json.loads(body).items() if name in DeviceSample.__slots__})


def _uses(body: str) -> list[DeviceUse]:
    told = json.loads(body).get("uses", ())
    return [DeviceUse(**{name: value for name, value in use.items() if name in DeviceUse.__slots__}) for use in told]
