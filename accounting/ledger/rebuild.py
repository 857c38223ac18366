"""Dirty device-hours -> energy -> ledger -> roll-ups: a pure function of what is stored and, in an open hour, now."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from datetime import date, datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from accounting.factorbook.books import Books, books
from accounting.factorbook.making import makings
from accounting.factorbook.sites import site_factors
from accounting.factorbook.terms import SiteFactors
from accounting.factors.catalog import Catalog
from accounting.ledger import worklist
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
from accounting.ledger.rollups import roll_up, take_day
from accounting.ledger.save import Owner, replace_energy, replace_ledger, sealed_rows
from accounting.ledger.site_power import site_power_w
from accounting.methods.records import Figure
from accounting.methods.units import S_PER_HOUR
from accounting.models import Device, DirtyHour, EnergyHour

__all__ = ["mark_in_service", "mark_site", "rebuild_dirty", "rebuild_everything"]

ROUND = 4_000  # device-hours at most before their roll-ups are recomputed
# Device-hours in one transaction, which whoever changes factors waits for; in SQLite, with its one writer, posters too.
CHUNK = 100 if settings.SQLITE else 250
_WHOLE_S = S_PER_HOUR - 1e-3


def rebuild_dirty(
    *, now: datetime, limit: int = 10_000, open_hours: bool = False, marked_until: datetime | None = None
) -> int:
    """Rebuild dirty device-hours, oldest marks first, and return how many were made; 0: nothing is left to do.

    Any number of workers may run it at once on PostgreSQL: each chunk of hours is made by one of them, each day is
    rolled up by one of them, and what others have in hand is left to them. Every chunk and every roll-up of a day is a
    transaction of its own; whatever dies in between leaves its marks, so the work is done again. Once nothing is due
    the contracts are matched, and the hours that this changes are rebuilt in the same way.

    Args:
        open_hours: make running hours however young their marks are.
        marked_until: leave later marks alone. Hours into which readings keep coming are marked anew as soon as they are
            made; whoever calls this in a loop gives the time at which the loop began, and makes each of them once.
    """
    done = 0
    while done < limit:
        worklist.pulse(now=now)
        most = min(ROUND, limit - done)
        due = worklist.due(now=now, most=most, open_hours=open_hours, marked_until=marked_until)
        count = _make(due, now=now)
        done += count
        if not _roll_up_made() and not count and not settle(now=now):
            break
    return done


def rebuild_everything(*, now: datetime) -> int:
    """Mark every device-hour that there is anything of, and rebuild until nothing is dirty. Reads every sample."""
    mark_everything(now=now)
    done = 0
    while count := rebuild_dirty(now=now, open_hours=True):
        done += count
    return done


def _make(pks: Sequence[int], *, now: datetime) -> int:
    """Make the rows of these marks, chunk by chunk, but for what other workers have in hand. Returns how many."""
    done = 0
    for k in range(0, len(pks), CHUNK):
        with transaction.atomic():
            share_book()  # before any lock of an hour: whoever changes a factor waits for this chunk, or it for them
            taken = worklist.take(pks[k : k + CHUNK])
            if not taken:
                continue
            holes = _replace({one.device_hour for one in taken}, now=now)
            worklist.note_made(taken)
        if holes:  # marked in a transaction of its own, which may wait for a poster and must hold nothing meanwhile
            DirtyHour.objects.mark(holes, now=now)
        done += len(taken)
    return done


def _roll_up_made() -> int:
    """Roll up what is made, whoever made it, day by day, but for days that another worker has in hand.

    Returns how many marks that settled.
    """
    return sum(_roll_up_day(day) for day in worklist.made_days())


@transaction.atomic
def _roll_up_day(day: date) -> int:
    share_book()
    if not take_day(day):
        return 0
    made = worklist.made_on(day)
    if not made:
        return 0
    roll_up({(device_id, hour) for _, device_id, hour, _ in made})
    note_hours({hour for _, _, hour, _ in made})
    return worklist.clear(made)


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
