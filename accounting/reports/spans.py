"""Energy that tools told for stretches of time, as a person reads it: mean power."""

from collections.abc import Collection
from datetime import UTC, datetime

from accounting.methods.units import US_PER_S
from accounting.models import EnergySpan

FOREVER_US = 1 << 62
MOST_SPANS = 500  # of one chart; the newest


def mean_power_w(span: EnergySpan) -> float:
    """Over the whole span; its energy must be known."""
    assert span.energy_j is not None
    return span.energy_j * US_PER_S / (span.ended_at_us - span.started_at_us)


def newest_spans(device_ids: Collection[int], *, since_us: int) -> dict[int, EnergySpan]:
    """Of each device the span that ended last, by its best source; none that ended before `since_us`. One query."""
    ended = EnergySpan.objects.touching(since_us, FOREVER_US).filter(device__in=device_ids, energy_j__isnull=False)
    found: dict[int, EnergySpan] = {}
    for span in ended.select_related("job").order_by("device", "source", "-ended_at_us"):
        found.setdefault(span.device_id, span)
    return found


def span_points(device_id: int, start_us: int, end_us: int) -> list[tuple[datetime, float]]:
    """A device's power over [start, end) as steps: each span's mean at both its ends. One query."""
    told = EnergySpan.objects.touching(start_us, end_us).filter(device=device_id, energy_j__isnull=False)
    within = told.order_by("-started_at_us")
    points = []
    for span in reversed(within[:MOST_SPANS]):
        ends = max(span.started_at_us, start_us), min(span.ended_at_us, end_us)
        points += [(datetime.fromtimestamp(at / US_PER_S, tz=UTC), mean_power_w(span)) for at in ends]
    return points
