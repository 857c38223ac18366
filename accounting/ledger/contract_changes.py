"""What a person changes of contracts restates, and says why: a restatement waits, marking, until claims are matched.

Which hours it moves is known only once the claims of its years are worked out anew. Until then its first and last hour
say which years it waits for.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

from django.db.models import Max, Min, QuerySet

from accounting.ledger.restate import Cause, DeviceHour, batches, begin, mark_more
from accounting.models import EnergyContract, Restatement

_HOUR = timedelta(hours=1)
_WAITING = Restatement.objects.filter(cause=Restatement.Cause.CONTRACT, state=Restatement.State.MARKING)


def wait_for(
    years: Collection[int], contracts: Iterable[EnergyContract], *, reason: str, actor: object, now: datetime
) -> Restatement:
    """A restatement of what matching these years again will change, in the transaction that made the change."""
    several = list(contracts)
    site = several[0].site if len(several) == 1 else None
    cause = Cause(Restatement.Cause.CONTRACT, [f"contract:{one.pk}" for one in several], site=site)
    restatement = begin(reason=reason, actor=actor, cause=cause, now=now, state=Restatement.State.MARKING)
    restatement.first_hour, restatement.last_hour = _start(min(years)), _start(max(years) + 1) - _HOUR
    restatement.save(update_fields=["first_hour", "last_hour"])
    return restatement


def keep(restatements: Iterable[Restatement], device_hours: Iterable[DeviceHour]) -> None:
    """Keep what stands of these hours, whose claims are about to change, and mark them."""
    rising = sorted(set(device_hours), key=lambda one: (one[1], one[0]))
    for restatement in restatements:
        for batch in batches(rising):
            mark_more(restatement, batch)


def waiting(year: int) -> QuerySet[Restatement]:
    """Restatements that wait for the claims of a year."""
    return _WAITING.all().filter(first_hour__lt=_start(year + 1), last_hour__gte=_start(year))


def close(restatement: Restatement) -> None:
    """Every year it waited for is matched: it goes where it moved nothing, else it is done once its hours are made."""
    if not restatement.hours:
        restatement.delete()
        return
    span = restatement.devices.aggregate(first=Min("first_hour"), last=Max("last_hour"))
    restatement.first_hour, restatement.last_hour = span["first"], span["last"]
    restatement.state = Restatement.State.PENDING
    restatement.save(update_fields=["first_hour", "last_hour", "state"])


def _start(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)
