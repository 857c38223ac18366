"""What a person's file changes of hours that the ledger had made: kept as it was reported, and restated."""

from datetime import UTC, datetime, time, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounting.ledger.restate import Cause, begin, hold_book, mark_more
from accounting.models import Device, DirtyHour, LedgerHour, Restatement

DeviceHour = tuple[int, datetime]
_MARKING = Restatement.State.MARKING


class ImportKeeper:
    """Keeps what was reported for an import or its withdrawal. Each change is a transaction; the restatement is one.

    What broke off left its restatement open under the same reason, and goes on with it.
    """

    def __init__(self, *, reason: str, actor: object, now: datetime) -> None:
        self._reason, self._actor, self._now = reason, actor, now

    def hold(self) -> None:
        hold_book()

    def keep(self, hours: set[DeviceHour]) -> None:
        """Keep the days of those hours, and of what hangs on them, that the ledger has rows of."""
        by_day: dict[datetime, set[DeviceHour]] = {}
        for device_id, hour in hours:
            by_day.setdefault(datetime.combine(hour.astimezone(UTC), time(), UTC), set()).add((device_id, hour))
        for day, of_day in sorted(by_day.items()):
            if made := _made(day, of_day):
                mark_more(self._restatement(), made)

    def close(self) -> None:
        self._open().update(state=Restatement.State.PENDING)

    def _open(self) -> QuerySet[Restatement]:
        return Restatement.objects.filter(state=_MARKING, reason=self._reason)

    def _restatement(self) -> Restatement:
        cause = Cause(Restatement.Cause.FILE_IMPORT)
        return self._open().first() or begin(
            reason=self._reason, actor=self._actor, cause=cause, now=self._now, state=_MARKING
        )


def _made(day: datetime, hours: set[DeviceHour]) -> list[DeviceHour]:
    """Those hours of one day with rows in the ledger, and what is marked of other devices of the same hosts."""
    ids = {device_id for device_id, _ in hours}
    hosts = dict(Device.objects.filter(pk__in=ids).values_list("pk", "host"))
    at_host = {(hosts[device_id], hour) for device_id, hour in hours if device_id in hosts}
    marked = DirtyHour.objects.filter(device=OuterRef("device"), hour=OuterRef("hour"))
    rows = LedgerHour.objects.filter(
        Q(Exists(marked)), device__host__in=set(hosts.values()), hour__gte=day, hour__lt=day + timedelta(days=1)
    )
    found = rows.order_by("hour", "device").values_list("device_id", "hour", "device__host").distinct()
    return [(device_id, hour) for device_id, hour, host_id in found if (host_id, hour) in at_host]
