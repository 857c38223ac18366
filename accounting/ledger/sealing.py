"""Hours that outlive their raw samples. Sealed, they are restated from their energy rows for ever.

Before the samples from before an instant go, every hour that was made with one of them is sealed: those before it,
those within REACH_US behind it, which take readings from before it as neighbours, and, of a device that was silent
across it, the hours of the hole up to its next reading, with those of the devices that are reckoned by it.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery

from accounting.ledger.book_lock import hold_book
from accounting.ledger.instants import hour_at, to_us
from accounting.ledger.load import REACH_US
from accounting.models import Device, DeviceSample, DirtyHour, EnergyHour

YOUNGEST = timedelta(hours=48)  # nothing younger is sealed: posters are still at it
ROWS_AT_ONCE = 5_000
_DEVICES_AT_ONCE = 500
_REACH = timedelta(microseconds=REACH_US)


def ready(since: datetime, until: datetime, *, now: datetime) -> bool:
    """Whether all that rests on samples from `since` to before `until` is built, and none of it is still growing."""
    if DirtyHour.objects.filter(hour__gte=since, hour__lt=until + _REACH).exists():
        return False
    holes = _holes(since, until)
    return all(last < now - YOUNGEST for last in holes.values()) and not _dirty(holes, until)


def seal(since: datetime, until: datetime, *, now: datetime, hold: Callable[[], object]) -> bool:
    """Seal them, a bounded number a transaction; False where something has to be built first: then call it again.

    No hour is being rebuilt meanwhile, and `hold` sees to it that no sample comes in for one.
    """
    while _seal_some(since, until, hold=hold):
        pass
    with transaction.atomic():
        hold_book()
        hold()
        if not ready(since, until, now=now) or _open(since, until).exists():
            return False
        for device_id, last in _holes(since, until).items():
            EnergyHour.objects.filter(device=device_id, hour__gte=until, hour__lte=last).update(sealed=True)
    return True


def _seal_some(since: datetime, until: datetime, *, hold: Callable[[], object]) -> int:
    with transaction.atomic():
        hold_book()
        hold()
        if DirtyHour.objects.filter(hour__gte=since, hour__lt=until + _REACH).exists():
            return 0
        ids = list(_open(since, until).order_by("hour").values_list("pk", flat=True)[:ROWS_AT_ONCE])
        return EnergyHour.objects.filter(pk__in=ids).update(sealed=True) if ids else 0


def _open(since: datetime, until: datetime) -> QuerySet[EnergyHour]:
    return EnergyHour.objects.filter(sealed=False, hour__gte=since, hour__lt=until + _REACH)


def _dirty(holes: dict[int, datetime], until: datetime) -> bool:
    return any(
        DirtyHour.objects.filter(device=device_id, hour__gte=until, hour__lte=last).exists()
        for device_id, last in holes.items()
    )


def _holes(since: datetime, until: datetime) -> dict[int, datetime]:
    """Of devices that read before `until`, and then not within reach but later: the hour of that next reading."""
    ids = list(Device.objects.order_by("pk").values_list("pk", flat=True))
    holes: dict[int, datetime] = {}
    for start in range(0, len(ids), _DEVICES_AT_ONCE):
        silent = _silent(ids[start : start + _DEVICES_AT_ONCE], to_us(since), to_us(until))
        holes |= _next_hours(silent, to_us(until))
    for pk, other in _leaning(holes):
        holes[other] = max(holes.get(other, until), holes[pk])
    return holes


def _leaning(device_ids: Collection[int]) -> list[tuple[int, int]]:
    """Devices whose hours rest on the readings of these: the rest of a node's host, the total beside a part."""
    nodes = Q(kind=Device.Kind.NODE, host__devices__isnull=False)
    totals = Q(host__devices__is_total=True, host__devices__kind=F("kind"), is_total=False)
    of_these = Device.objects.filter(nodes | totals, pk__in=device_ids).order_by("pk", "host__devices")
    return list(of_these.values_list("pk", "host__devices"))


def _silent(device_ids: list[int], since_us: int, until_us: int) -> list[int]:
    readings = DeviceSample.objects.filter(device=OuterRef("pk"))
    before = readings.filter(measured_at_us__gte=since_us, measured_at_us__lt=until_us)
    behind = readings.filter(measured_at_us__gte=until_us, measured_at_us__lt=until_us + REACH_US)
    silent = Device.objects.filter(~Exists(behind), Exists(before), pk__in=device_ids)
    return list(silent.order_by("pk").values_list("pk", flat=True))


def _next_hours(device_ids: list[int], until_us: int) -> dict[int, datetime]:
    if not device_ids:
        return {}
    later = DeviceSample.objects.filter(device=OuterRef("pk"), measured_at_us__gte=until_us).order_by("measured_at_us")
    told = Device.objects.filter(pk__in=device_ids).annotate(next_us=Subquery(later.values("measured_at_us")[:1]))
    return {pk: hour_at(at) for pk, at in told.values_list("pk", "next_us") if at is not None}
