"""Who posts, and which of its sequence numbers it has used."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Greatest
from numpy.typing import NDArray

from accounting.ingest.streams import with_taken
from accounting.models import Agent, AgentStream

_AGENT, _STREAM = Agent._meta.db_table, AgentStream._meta.db_table
SEEN_EVERY = timedelta(seconds=5)  # finer than anyone looks; saves a write for every batch of a busy agent


@dataclass(frozen=True, slots=True)
class Stream:
    """One boot of an agent: the numbers it has used, and what is known of the agent."""

    pk: int
    taken: list[list[int]]
    agent_id: int
    known: dict[str, Any]
    unheard: bool  # for SEEN_EVERY


def hear(said: Any, *, host_id: int, now: datetime) -> Stream:
    """Note what an agent says of itself, and give the numbers it has used since its boot.

    They stay locked until commit: two copies of a batch take turns, and the second sees what the first took.
    """
    stream = _stream(said, host_id, now)
    if stream is None:
        stream = _begin(said, host_id, now)
    news: dict[str, Any] = {"version": said.version, "boot_id": said.boot_id, "sensors": said.sensors}
    news["dropped_total"] = max(stream.known["dropped_total"], said.dropped)
    changed = {name: value for name, value in news.items() if stream.known[name] != value}
    if changed or stream.unheard:
        if said.sent_at is not None:
            changed["clock_offset_s"] = (said.sent_at - now) / timedelta(seconds=1)
        Agent.objects.filter(pk=stream.agent_id).update(last_seen_at=Greatest("last_seen_at", Value(now)), **changed)
    return stream


def take(stream: Stream, numbers: NDArray[np.int64]) -> None:
    """Add to the numbers used."""
    taken = with_taken(stream.taken, numbers)
    if taken != stream.taken:
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {_STREAM} SET taken = %s WHERE id = %s", [json.dumps(taken), stream.pk])


def _stream(said: Any, host_id: int, now: datetime) -> Stream | None:
    """One query, written out: every batch asks it."""
    held = "FOR UPDATE OF s" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT s.id, s.taken, a.id, a.version, a.boot_id, a.dropped_total, a.sensors, a.last_seen_at <= %s "
            f"FROM {_STREAM} s JOIN {_AGENT} a ON a.id = s.agent_id "
            f"WHERE a.host_id = %s AND a.key = %s AND s.boot_id = %s {held}",
            [connection.ops.adapt_datetimefield_value(now - SEEN_EVERY), host_id, said.id, said.boot_id],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    pk, taken, agent_id, version, boot_id, dropped, sensors, unheard = row
    known = {"version": version, "boot_id": boot_id, "dropped_total": dropped, "sensors": json.loads(sensors)}
    return Stream(pk, json.loads(taken), agent_id, known, bool(unheard))


def _begin(said: Any, host_id: int, now: datetime) -> Stream:
    """The first batch since a boot. Another one may have been first; then this waits for it."""
    long_ago = now - SEEN_EVERY
    new = Agent(host_id=host_id, key=said.id, first_seen_at=now, last_seen_at=long_ago)
    Agent.objects.bulk_create([new], ignore_conflicts=True)
    agent = Agent.objects.get(host=host_id, key=said.id)
    AgentStream.objects.bulk_create([AgentStream(agent=agent, boot_id=said.boot_id)], ignore_conflicts=True)
    stream = _stream(said, host_id, now)
    assert stream is not None  # made just now, or by the batch that this one waited for
    return stream
