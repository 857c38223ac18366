"""How far back a question may reach that reads hours and not roll-ups: a page answers in time, and says so."""

from datetime import UTC, datetime, time, timedelta

from django.db.models import Count

from accounting.models import DeviceDay
from accounting.reports.queries import seen
from accounting.reports.records import Sees

DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)
_HOURS = 24  # in a day, with a row each


def reach(visibility: Sees, start: datetime, end: datetime, *, most: int, **filters: int | None) -> datetime:
    """The start, or the later day from which to the end there are at most about `most` ledger rows.

    The last day with anything is always within reach. One query, of days by device; none for a single day.

    Args:
        filters: any of team_id, device_id.
    """
    if end - start <= DAY:
        return start
    wanted = {name: value for name, value in filters.items() if value is not None}
    days = DeviceDay.objects.filter(seen(visibility), day__gte=start.date(), day__lte=(end - _INSTANT).date(), **wanted)
    rows, latest = 0, None
    for day, devices in days.order_by("-day").values_list("day").annotate(devices=Count("pk")):
        rows += devices * _HOURS
        if rows > most and latest is not None:
            return max(start, datetime.combine(latest, time(), tzinfo=UTC))
        latest = day
    return start
