"""What the machines of a site drew together, in the hours where cooling power or litres are to be laid on them.

Computed from readings and not from rows, so that it is the same for every device of the site, in whatever order and by
whichever worker their hours are rebuilt. It costs a load of all the site's devices for those hours.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.db.models import Q

from accounting.factorbook.books import Books, books
from accounting.ledger.device_energy import energy_of
from accounting.ledger.energy_hours import EnergyRow
from accounting.ledger.footprint import it_kwh
from accounting.ledger.instants import hour_at, to_us
from accounting.ledger.load import load_readings, windows_of
from accounting.ledger.save import sealed_rows
from accounting.methods.facility import ItEnergy, it_power_w
from accounting.methods.records import Figure
from accounting.methods.units import US_PER_HOUR, US_PER_S
from accounting.models import Device, FacilitySample


def site_power_w(
    site_hours: Collection[tuple[int | None, datetime]], *, now: datetime, of: Books | None = None
) -> dict[tuple[int, datetime], Figure]:
    """Mean IT power of each (site id, hour) that needs it: energy over the longest time that a device covers.

    One query where no site tells of cooling or water; hours without any covered time are left out.
    """
    needed = _needing(site_hours)
    if not needed:
        return {}
    of_sites = Device.objects.select_related("host").filter(host__site__in={site_id for site_id, _ in needed})
    devices = {device.pk: device for device in of_sites}
    hours = {(pk, hour) for pk, d in devices.items() for site_id, hour in needed if d.host.site_id == site_id}
    rows = sealed_rows(hours)
    windows = windows_of(hours - {(row.device_id, row.hour) for row in rows})
    own = of or books()
    rows += energy_of(windows, load_readings(windows), devices, now=now, of=own)
    of_place: dict[tuple[int, datetime], list[EnergyRow]] = defaultdict(list)
    for row in rows:
        if row.covered_s > 0:
            of_place[devices[row.device_id].host.site_id, row.hour].append(row)
    return {place: _power_w(of_site, devices, own) for place, of_site in of_place.items()}


def _power_w(rows: list[EnergyRow], devices: dict[int, Device], own: Books) -> Figure:
    covered_s: dict[int, float] = defaultdict(float)
    for row in rows:
        covered_s[row.device_id] += row.covered_s
    site_id = devices[rows[0].device_id].host.site_id
    book = own.at(rows[0].hour, site_id=site_id)
    energies = [ItEnergy(it_kwh(row, devices[row.device_id], book)) for row in rows]
    return it_power_w(energies, over_s=max(covered_s.values()))


def _needing(site_hours: Collection[tuple[int | None, datetime]]) -> set[tuple[int, datetime]]:
    """Those of the hours that a reading of cooling power or of litres reaches into."""
    places = {(site_id, hour) for site_id, hour in site_hours if site_id is not None}
    if not places:
        return set()
    holds_us, back_us = round(settings.GREENAI["facility_max_age_s"] * US_PER_S), FacilitySample.WATER_REACH_US
    first_us, last_us = (to_us(pick(hour for _, hour in places)) for pick in (min, max))
    told = FacilitySample.objects.filter(
        Q(cooling_power_w__isnull=False) | Q(water_l__isnull=False),
        site__in={site_id for site_id, _ in places},
        measured_at_us__range=(first_us - holds_us, last_us + US_PER_HOUR + back_us),
    ).values_list("site_id", "measured_at_us", "water_l")
    reached: set[tuple[int, datetime]] = set()
    for site_id, at_us, water_l in told:
        start_us = at_us if water_l is None else at_us - back_us
        touched = range(start_us // US_PER_HOUR, (at_us + holds_us) // US_PER_HOUR + 1)
        reached.update((site_id, hour_at(hour * US_PER_HOUR)) for hour in touched)
    return places & reached
