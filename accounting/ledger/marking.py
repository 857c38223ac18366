"""Which device-hours need rebuilding though no sample came: hours in service, and changes at a site."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice

from django.db.models import Q, Sum

from accounting.factorbook.price_rows import Touched
from accounting.ledger.instants import HOUR, hour_of
from accounting.ledger.load import hours_with_samples
from accounting.ledger.restate import Cause, restate_hours
from accounting.models import Device, DirtyHour, EnergyHour, LedgerHour, Restatement, Site

_SLACK_S = 1e-3
_AT_ONCE = 5_000
_HOURS_AT_ONCE = 500  # named in one query


def mark_in_service(*, now: datetime, since: datetime | None = None, limit: int = _AT_ONCE) -> int:
    """Mark hours whose time in service is not yet, or no longer, what the ledger says. Returns how many.

    That covers new hours, hours that were built before they had ended, and hours in service before anything was
    heard. The open hour of every device in service is always marked: it grows until it ends. At most `limit` of the
    others are marked, so that a long past does not hold up the present; the next call goes on. `since` spares the
    sum over older rows.
    """
    this_hour = hour_of(now)
    devices = list(Device.objects.filter(acquired_at__lte=now).order_by("pk"))
    grows = [(d.pk, this_hour) for d in devices if d.retired_at is None or d.retired_at > this_hour]
    held = EnergyHour.objects.filter(hour__lt=this_hour, **({"hour__gte": hour_of(since)} if since else {}))
    held_s = dict(held.values_list("device_id").annotate(Sum("held_s")).order_by())
    wrong = (
        (device.pk, hour)
        for device in devices
        if abs(_service_s(device, _first(device, since), this_hour) - held_s.get(device.pk, 0.0)) > _SLACK_S
        for hour in _wrong_hours(device, since, this_hour)
    )
    marks = [*grows, *islice(wrong, limit)]
    DirtyHour.objects.mark(marks, now=now)
    return len(marks)


def mark_site(site: Site, *, since: datetime, now: datetime) -> int:
    """Mark every hour from `since` that this site's devices have in the ledger. Returns how many."""
    of_site = LedgerHour.objects.filter(Q(site=site) | Q(device__host__site=site), hour__gte=hour_of(since))
    return _mark(of_site.order_by().values_list("device_id", "hour").distinct(), now=now)


def restate_priced(touched: Touched, *, reason: str, actor: object, now: datetime, site: Site | None = None) -> int:
    """Restate the hours that a change of prices moves, as far as the ledger has them. Returns how many.

    In the transaction that made the change, after `hold_book`.
    """
    pairs = sorted(_priced(touched), key=lambda one: (one[1], one[0]))
    cause = Cause(Restatement.Cause.PRICES, site=site)
    restatement = restate_hours(pairs, reason=reason, actor=actor, cause=cause, now=now)
    return restatement.hours if restatement else 0


def _priced(touched: Touched) -> set[tuple[int, datetime]]:
    found: set[tuple[int, datetime]] = set()
    for site_id, hours in sorted(touched.hours.items()):
        for some in _batches(sorted(hours)):
            found.update(_rows(_of_site(site_id) & Q(hour__in=some)))
    for site_id, start, end in touched.spans:
        found.update(_rows(_of_site(site_id) & Q(hour__gte=start, hour__lt=end)))
    for device_id, start, end in touched.device_spans:
        found.update(_rows(Q(device=device_id, hour__gte=start, hour__lt=end)))
    return found


def _batches(hours: list[datetime]) -> Iterator[list[datetime]]:
    """As many as a query takes at once."""
    return (hours[start : start + _AT_ONCE] for start in range(0, len(hours), _AT_ONCE))


def _of_site(site_id: int) -> Q:
    return Q(site=site_id) | Q(device__host__site=site_id)


def _rows(condition: Q) -> Iterable[tuple[int, datetime]]:
    return LedgerHour.objects.filter(condition).order_by().values_list("device_id", "hour").distinct()


def in_ledger(site: Site, hours: Iterable[datetime]) -> Iterator[tuple[int, datetime]]:
    """Which of exactly these hours this site's devices have in the ledger."""
    rest = iter(sorted(hours))
    while some := list(islice(rest, _HOURS_AT_ONCE)):
        yield from _rows(_of_site(site.pk) & Q(hour__in=some))


def mark_site_hours(site: Site, hours: Iterable[datetime], *, now: datetime) -> int:
    """Mark exactly these hours, as far as this site's devices have them in the ledger. Returns how many marks."""
    return _mark(in_ledger(site, hours), now=now)


def mark_everything(*, now: datetime) -> int:
    """Mark every device-hour with a ledger row, an energy row, a sample, or time in service. Returns how many marks."""
    return _mark(chain(hours_with_samples(), _hours_with_rows(), _hours_in_service(now)), now=now)


def _hours_with_rows() -> Iterator[tuple[int, datetime]]:
    for rows in (LedgerHour.objects, EnergyHour.objects):
        yield from rows.order_by().values_list("device_id", "hour").distinct()


def _hours_in_service(now: datetime) -> Iterator[tuple[int, datetime]]:
    for device in Device.objects.filter(acquired_at__lte=now):
        until = now if device.retired_at is None else min(now, device.retired_at)
        yield from ((device.pk, hour) for hour in _hours(hour_of(device.acquired_at), until))


def _mark(device_hours: Iterable[tuple[int, datetime]], *, now: datetime) -> int:
    count, rest = 0, iter(device_hours)
    while batch := list(islice(rest, _AT_ONCE)):
        DirtyHour.objects.mark(batch, now=now)
        count += len(batch)
    return count


def _wrong_hours(device: Device, since: datetime | None, this_hour: datetime) -> Iterator[datetime]:
    rows = EnergyHour.objects.filter(device=device, hour__lt=this_hour)
    if since:
        rows = rows.filter(hour__gte=hour_of(since))
    held_s = dict(rows.values_list("hour").annotate(Sum("held_s")).order_by("hour"))
    sealed = set(
        rows.filter(sealed=True).values_list("hour", flat=True)
    )  # restated from their rows, time in service too
    in_service = set(_hours(_first(device, since), this_hour))
    for hour in sorted((in_service | set(held_s)) - sealed):
        if abs(_service_s(device, hour, hour + HOUR) - held_s.get(hour, 0.0)) > _SLACK_S:
            yield hour


def _first(device: Device, since: datetime | None) -> datetime:
    acquired = hour_of(device.acquired_at)
    return max(acquired, hour_of(since)) if since else acquired


def _service_s(device: Device, start: datetime, end: datetime) -> float:
    until = end if device.retired_at is None else min(end, device.retired_at)
    return max(0.0, (until - max(start, device.acquired_at)).total_seconds())


def _hours(first: datetime, until: datetime) -> Iterator[datetime]:
    hour = first
    while hour < until:
        yield hour
        hour += HOUR
