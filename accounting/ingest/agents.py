"""Who posts, and which of its sequence numbers it has used."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accounting.ingest.streams import with_taken
from accounting.models import Agent, AgentStream

SEEN_EVERY = timedelta(seconds=5)  # finer than anyone looks; saves a write for every batch of a busy agent


def hear(said: Any, *, host_id: int, now: datetime) -> AgentStream:
    """Note what an agent says of itself, and give the numbers it has used since its boot.

    They stay locked until commit: two copies of a batch take turns, and the second sees what the first took.
    """
    stream = _stream(said, host_id)
    if stream is None:
        stream = _begin(said, host_id, now)
    agent = stream.agent
    news: dict[str, Any] = {"version": said.version, "boot_id": said.boot_id, "sensors": said.sensors}
    news["dropped_total"] = max(agent.dropped_total, said.dropped)
    changed = {name: value for name, value in news.items() if getattr(agent, name) != value}
    if changed or now - agent.last_seen_at >= SEEN_EVERY:
        if said.sent_at is not None:
            changed["clock_offset_s"] = (said.sent_at - now) / timedelta(seconds=1)
        Agent.objects.filter(pk=agent.pk).update(last_seen_at=max(agent.last_seen_at, now), **changed)
    return stream


def take(stream: AgentStream, numbers: NDArray[np.int64]) -> None:
    """Add to the numbers used."""
    taken = with_taken(stream.taken, numbers)
    if taken != stream.taken:
        AgentStream.objects.filter(pk=stream.pk).update(taken=taken)


def _stream(said: Any, host_id: int) -> AgentStream | None:
    of_agent = AgentStream.objects.select_related("agent").select_for_update(of=("self",)).order_by()
    return of_agent.filter(agent__host=host_id, agent__key=said.id, boot_id=said.boot_id).first()


def _begin(said: Any, host_id: int, now: datetime) -> AgentStream:
    """The first batch since a boot. Another one may have been first; then this waits for it."""
    long_ago = now - SEEN_EVERY
    new = Agent(host_id=host_id, key=said.id, first_seen_at=now, last_seen_at=long_ago)
    Agent.objects.bulk_create([new], ignore_conflicts=True)
    agent = Agent.objects.get(host=host_id, key=said.id)
    AgentStream.objects.bulk_create([AgentStream(agent=agent, boot_id=said.boot_id)], ignore_conflicts=True)
    stream = _stream(said, host_id)
    assert stream is not None  # made just now, or by the batch that this one waited for
    return stream
