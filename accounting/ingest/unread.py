"""Metrics that nobody here understands: counted and named, so that what is not kept is no secret."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import F

from accounting.models import ApiToken, UnreadMetric

OTHERS = "(others)"  # beyond the most names of a token
Unread = Mapping[tuple[str, str], int]  # (name, reason) -> how many values


def note_unread(counts: Unread, *, token: ApiToken, protocol: str, now: datetime) -> None:
    """Add to what stands. In a transaction of its own: after the batch, so that what is kept waits for no counter."""
    if not counts:
        return
    known = set(UnreadMetric.objects.filter(token=token, protocol=protocol).values_list("name", "reason"))
    room = UnreadMetric.MOST_NAMES - len(known)
    added: dict[tuple[str, str], int] = {}
    for (name, reason), count in sorted(counts.items()):
        key = (name[:200], reason[:200])
        if key not in known and key not in added:
            key, room = (key, room - 1) if room > 0 else ((OTHERS, ""), room)
        added[key] = added.get(key, 0) + count
    with transaction.atomic():
        new = [
            UnreadMetric(token=token, protocol=protocol, name=n, reason=r, first_seen_at=now, last_seen_at=now)
            for n, r in added.keys() - known
        ]
        UnreadMetric.objects.bulk_create(sorted(new, key=lambda u: (u.name, u.reason)), ignore_conflicts=True)
        for (name, reason), count in sorted(added.items()):
            one = UnreadMetric.objects.filter(token=token, protocol=protocol, name=name, reason=reason)
            one.update(count=F("count") + count, last_seen_at=now)
