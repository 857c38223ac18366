"""What is not understood, added up in this process and written now and then.

A Prometheus that sends everything names hundreds of metrics in every request; a statement for each would cost more than
the samples. A process that is killed forgets what it counted since it last wrote: at most `EVERY` of it.
"""

from collections import Counter
from datetime import datetime, timedelta
from threading import Lock

from accounting.ingest.unread import Unread, note_unread
from accounting.models import ApiToken

EVERY = timedelta(seconds=10)
MOST_SEEN = 5_000  # names of a token; then they are new again


class UnreadTally:
    """Counts of one protocol by token. Names never seen here are written at once, so that they show without delay."""

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._lock = Lock()
        self._waiting: dict[str, Counter[tuple[str, str]]] = {}
        self._written_at: dict[str, datetime] = {}
        self._seen: dict[str, set[tuple[str, str]]] = {}

    def add(self, counts: Unread, *, token: ApiToken, now: datetime) -> None:
        """Count, and write what has waited long enough. A statement a name, when it writes."""
        due = self._due(counts, token.public_id, now)
        if not due:
            return
        try:
            note_unread(due, token=token, protocol=self._protocol, now=now)
        except BaseException:
            with self._lock:
                self._waiting.setdefault(token.public_id, Counter()).update(due)
            raise

    def _due(self, counts: Unread, token_id: str, now: datetime) -> Counter[tuple[str, str]] | None:
        with self._lock:
            waiting = self._waiting.setdefault(token_id, Counter())
            waiting.update(counts)
            seen = self._seen.setdefault(token_id, set())
            last = self._written_at.get(token_id)
            new = not waiting.keys() <= seen
            if not waiting or (last is not None and not new and last <= now < last + EVERY):
                return None
            if len(seen) > MOST_SEEN:
                seen.clear()
            seen.update(waiting)
            self._written_at[token_id] = now
            self._waiting[token_id] = Counter()
            return waiting
