"""Dirty device-hours -> energy -> ledger -> roll-ups: a pure function of what is stored and, in an open hour, now."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Set
from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from accounting.factorbook.books import Books, books
from accounting.factorbook.making import makings
from accounting.factorbook.sites import site_factors
from accounting.factorbook.terms import SiteFactors
from accounting.factors.catalog import Catalog
from accounting.ledger.book_lock import share_book
from accounting.ledger.device_energy import energy_of
from accounting.ledger.energy_hours import EnergyRow
from accounting.ledger.footprint import footprint
from accounting.ledger.instants import HOUR, hour_at
from accounting.ledger.load import (
    Reading,
    Window,
    load_devices,
    load_owners,
    load_readings,
    windows_of,
)
from accounting.ledger.making_hours import Place, embodied_of, job_use_s, mean_use, with_nobodys
from accounting.ledger.marking import mark_everything, mark_in_service, mark_site
from accounting.ledger.matching import note_hours, settle
from accounting.ledger.paid import rentals
from accounting.ledger.rollups import roll_up
from accounting.ledger.save import Owner, replace_energy, replace_ledger, sealed_rows
from accounting.ledger.site_power import site_power_w
from accounting.methods.records import Figure
from accounting.methods.units import S_PER_HOUR
from accounting.models import Device, DirtyHour, EnergyHour

__all__ = ["mark_in_service", "mark_site", "rebuild_dirty", "rebuild_everything"]

ROUND = 1_000  # device-hours whose roll-ups are recomputed together
CHUNK = 100  # device-hours in one transaction: well under a second of work, so that a poster never waits long
_WHOLE_S = S_PER_HOUR - 1e-3


def rebuild_dirty(*, now: datetime, limit: int = 10_000) -> int:
    """Rebuild dirty device-hours, oldest marks first, and return how many were done; 0: nothing is left to do.

    Each chunk is a transaction of its own, and a round of chunks ends with one for the roll-ups, which clears the
    marks that have not been renewed since they were read. Whatever dies in between leaves its marks, so the work is
    done again. Hours that another worker has in hand are left to it (PostgreSQL). Once nothing is dirty the contracts
    are matched, and the hours that this changes are rebuilt in the same way.
    """
    done = 0
    while done < limit:
        count = _rebuild_round(now=now, size=min(ROUND, limit - done))
        done += count
        if not count and not settle(now=now):
            break
    return done


def rebuild_everything(*, now: datetime) -> int:
    """Mark every device-hour that there is anything of, and rebuild until nothing is dirty. Reads every sample."""
    mark_everything(now=now)
    done = 0
    while count := rebuild_dirty(now=now):
        done += count
    return done


def _rebuild_round(*, now: datetime, size: int) -> int:
    """One round: hours of many devices together, so that each roll-up is recomputed once."""
    waiting = DirtyHour.objects.order_by("marked_at", "hour", "device_id").values_list("device_id", "hour", "pk")[:size]
    ids = [pk for _, _, pk in sorted(waiting)]  # by device, so that neighbouring hours load together
    done: list[DirtyHour] = []
    holes: set[tuple[int, datetime]] = set()
    for k in range(0, len(ids), CHUNK):
        with transaction.atomic():
            share_book()  # before any row is locked: whoever changes a factor waits for this chunk, or this one for it
            dirty = list(DirtyHour.objects.select_for_update(skip_locked=True).filter(pk__in=ids[k : k + CHUNK]))
            holes |= _replace({(d.device_id, d.hour) for d in dirty}, now=now)
        done += dirty
    if holes:  # in a transaction of their own: a mark may wait for a poster, and must hold nothing while it does
        DirtyHour.objects.mark(holes, now=now)  # before the marks that led here are gone: a kill in between loses none
    if done:
        with transaction.atomic():
            share_book()
            roll_up({(d.device_id, d.hour) for d in done})
            note_hours({d.hour for d in done})
            _clear(done)
    return len(done)


def _clear(done: list[DirtyHour]) -> None:
    """Remove the marks that are still the ones that were read. Locks them in the order in which posters do."""
    read = {dirty.pk: dirty.stamp for dirty in done}
    standing = DirtyHour.objects.select_for_update().filter(pk__in=read).order_by("device_id", "hour")
    same = [pk for pk, stamp in standing.values_list("pk", "stamp") if stamp == read[pk]]
    DirtyHour.objects.filter(pk__in=same).delete()


def _replace(device_hours: Collection[tuple[int, datetime]], *, now: datetime) -> set[tuple[int, datetime]]:
    """Replace these device-hours; returns hours of holes beside them that nobody has accounted for yet."""
    devices = load_devices(device_id for device_id, _ in device_hours)
    rows = sealed_rows(device_hours)
    windows = windows_of(set(device_hours) - {(row.device_id, row.hour) for row in rows})
    readings = load_readings(windows)
    own = books()
    rows += energy_of(windows, readings, devices, now=now, of=own)
    replace_energy(device_hours, rows)
    _write_ledger(device_hours, rows, devices, now=now, own=own)
    return _holes_beside(windows, readings)


def _write_ledger(
    device_hours: Collection[tuple[int, datetime]],
    rows: Iterable[EnergyRow],
    devices: dict[int, Device],
    *,
    now: datetime,
    own: Books,
) -> None:
    known = list(rows)
    owners = load_owners(row.job_id for row in known if row.job_id is not None)
    hours_of = {(row.device_id, row.hour) for row in known} | set(device_hours)
    places = {(devices[device_id].host.site_id, hour) for device_id, hour in hours_of}
    it_power_w = site_power_w(places, now=now, of=own)
    factors = {None: site_factors(places, it_power_w=it_power_w, of=own)}
    made = _with_making(known, hours_of, set(device_hours), devices, factors[None], own=own, now=now)
    rented = rentals(hours_of, devices)
    entries = []
    for row, of_making in made:
        device = devices[row.device_id]
        team_id, project_id = owners[row.job_id] if row.job_id is not None else (None, None)
        owner = Owner(team_id or device.host.team_id, project_id, device.host.site_id)
        team = own.team(owner.team_id)  # only teams with factors of their own differ from the rest
        if team not in factors:
            factors[team] = site_factors(places, it_power_w=it_power_w, team_id=team, of=own)
        of_place = factors[team][owner.site_id, row.hour]
        book, rental = own.at(row.hour, site_id=owner.site_id, team_id=team), rented.get((device.pk, row.hour))
        entries.append((row, footprint(row, device, of_place, of_making, rental, book), owner))
    replace_ledger(device_hours, entries, now=now)


def _with_making(
    rows: list[EnergyRow],
    hours_of: Set[Place],
    device_hours: Set[Place],
    devices: dict[int, Device],
    factors: Mapping[tuple[int | None, datetime], SiteFactors],
    *,
    own: Books,
    now: datetime,
) -> list[tuple[EnergyRow, Figure]]:
    """Every row with its grams of making, and rows for what is nobody's.

    Making goes by the catalogue of the device's own place and team: what a job's team states of footprints says nothing
    of a machine that it only uses.
    """
    by_use = {(pk, hour) for pk, hour in hours_of if factors[devices[pk].host.site_id, hour].by_use}
    busy, by_jobs = mean_use(by_use), job_use_s(by_use)
    of_book: dict[Catalog, set[Place]] = defaultdict(set)
    for pk, hour in hours_of:
        host = devices[pk].host
        of_book[own.at(hour, site_id=host.site_id, team_id=own.team(host.team_id))].add((pk, hour))
    made: list[tuple[EnergyRow, Figure]] = []
    for book, places in of_book.items():
        making = makings([devices[pk] for pk in {pk for pk, _ in places}], book)
        those = [row for row in rows if (row.device_id, row.hour) in places]
        of_these = {pk: devices[pk] for pk in making}
        those = with_nobodys(those, device_hours & places, of_these, making, by_use & places, now=now)
        grams = embodied_of(those, of_these, making, factors, busy, by_jobs, now=now)
        made += zip(those, grams, strict=True)
    return made


def _holes_beside(windows: Iterable[Window], readings: Iterable[list[Reading]]) -> set[tuple[int, datetime]]:
    """Whole hours between a window and the nearest reading outside it, as far as the ledger does not have them yet.

    Only between readings: nothing is missing before the first and after the last one.
    """
    silent: dict[int, set[datetime]] = defaultdict(set)
    for window, of_window in zip(windows, readings, strict=True):
        series = [r.series.at_us for r in of_window]
        before = [hour_at(int(at[at < window.start_us][-1])) for at in series if at[0] < window.start_us]
        after = [hour_at(int(at[at >= window.end_us][0])) for at in series if at[-1] >= window.end_us]
        if before and any(at[-1] >= window.start_us for at in series):
            silent[window.device_id].update(_between(max(before), window.first))
        if after and any(at[0] < window.end_us for at in series):
            silent[window.device_id].update(_between(window.last, min(after)))
    return {(d, h) for d, hours in silent.items() if hours for h in hours - _accounted_for(d, min(hours), max(hours))}


def _between(earlier: datetime, later: datetime) -> set[datetime]:
    """The hours strictly between two hours."""
    return {earlier + HOUR * k for k in range(1, (later - earlier) // HOUR)}


def _accounted_for(device_id: int, first: datetime, last: datetime) -> set[datetime]:
    rows = EnergyHour.objects.filter(device_id=device_id, hour__gte=first, hour__lte=last)
    spoken = rows.values("hour").annotate(spoken_s=Sum("covered_s") + Sum("missing_s"))
    whole = spoken.filter(spoken_s__gte=_WHOLE_S).values_list("hour", flat=True)
    return {*whole, *rows.filter(sealed=True).values_list("hour", flat=True)}
