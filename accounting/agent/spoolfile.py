"""The SQLite file under the spool: opened, checked, set aside when damaged, written in whole transactions."""

import fcntl
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BUSY_MS = 2_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS sample (
  id INTEGER PRIMARY KEY AUTOINCREMENT, stream_id INTEGER NOT NULL, seq INTEGER NOT NULL,
  spooled_at REAL NOT NULL, body TEXT NOT NULL, UNIQUE (stream_id, seq));
CREATE TABLE IF NOT EXISTS parked (
  id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, seq INTEGER NOT NULL,
  spooled_at REAL NOT NULL, body TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counter (device TEXT PRIMARY KEY, energy_j REAL NOT NULL, uptime_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class SpoolBusy(RuntimeError):
    """Another agent already measures into this spool."""


@contextmanager
def only_agent(folder: Path) -> Iterator[None]:
    """Hold the spool's lock. Two agents on one host would count its devices twice.

    Raises:
        SpoolBusy: another agent holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / "agent.lock").open("a")
    except OSError:
        yield  # a folder that cannot be written holds no spool either
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpoolBusy(f"an agent already runs on {folder}: stop it, or give another --spool") from None
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a child that was forked meanwhile holds the same lock


def agent_runs(folder: Path) -> bool:
    """Whether an agent holds the spool's lock."""
    with suppress(FileNotFoundError), (folder / "agent.lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class SpoolFile:
    """One connection, shared by threads under `lock`. Without a usable folder, in memory; `trouble` says why."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.lock = threading.RLock()
        self.trouble = ""
        self.db = self._open()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and on disk when it returns.

        Raises:
            sqlite3.Error: nothing was written.
        """
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # SQLite itself rolls back when the disk is full
                    self.db.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[tuple[str, ...]]:
        with self.lock:
            return self.db.execute(query, values).fetchall()

    def number(self, query: str, *values: object) -> int:
        return int(self.rows(query, *values)[0][0])

    def used_bytes(self) -> int:
        """What is in use; the file itself does not shrink."""
        pages, free, size = (self.number(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * size

    def close(self) -> None:
        with self.lock:
            self.db.close()

    def _open(self) -> sqlite3.Connection:
        if self._folder is None:
            return _connect(":memory:")
        path = self._folder / "spool.sqlite3"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                return _connect(str(path))
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                aside = _set_aside(path)
                self.trouble = f"{path} was damaged ({error}); it is kept as {aside.name} and a new spool begun"
                return _connect(str(path))
        except (OSError, sqlite3.Error) as error:
            self.trouble = f"{self._folder} cannot hold a spool ({error}): samples wait in memory, lost with the agent"
            return _connect(":memory:")


class DamagedSpool(sqlite3.DatabaseError):
    """SQLite's own check found the file inconsistent."""


def is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, DamagedSpool) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_autocheckpoint = 256")  # 1 MiB: a small disk has room for the log as well
        if (answer := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise DamagedSpool(answer)
        db.executescript(SCHEMA)
    except BaseException:
        db.close()
        raise
    return db


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{uuid.uuid4().hex[:8]}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        log = path.with_name(path.name + suffix)
        if log.exists():
            log.rename(aside.with_name(aside.name + suffix))
    return aside
