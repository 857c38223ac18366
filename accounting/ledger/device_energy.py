"""The energy of many devices over many hours: loads what decides beside a device's own readings, then integrates."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings

from accounting.factorbook.books import Books, books
from accounting.factors.catalog import Catalog
from accounting.ledger.energy_hours import EnergyRow, energy_rows, node_runs
from accounting.ledger.instants import HOUR, to_us
from accounting.ledger.load import Reading, Window, load_marks, load_nodes, load_readings
from accounting.methods.energy import NO_RUNS, Ints
from accounting.methods.units import US_PER_S
from accounting.models import Device


def energy_of(
    windows: list[Window],
    readings: list[list[Reading]],
    devices: dict[int, Device],
    *,
    now: datetime,
    of: Books | None = None,
) -> list[EnergyRow]:
    """Energy rows of every window, from its readings, the marks on its device, and its host's whole-node sensors."""
    marks, own = load_marks(windows), of or books()
    max_gap_us = int(settings.GREENAI["max_gap_s"] * US_PER_S)
    under_node_us = _under_nodes(windows, devices, max_gap_us=max_gap_us)
    rows = [
        row
        for window, of_window in zip(windows, readings, strict=True)
        for part, book in _by_book(window, devices[window.device_id], own)
        for row in energy_rows(
            part,
            devices[window.device_id],
            of_window,
            marks[window.device_id],
            book=book,
            max_gap_us=max_gap_us,
            now_us=to_us(now),
            under_node_us=under_node_us.get(window, NO_RUNS),
        )
    ]
    return [row for row in rows if row.covered_s or row.missing_s or row.held_s]


def _by_book(window: Window, device: Device, own: Books) -> list[tuple[Window, Catalog]]:
    """The window in as few parts as there are catalogues that hold in it: of the device's site, and of no team."""
    parts: list[tuple[Window, Catalog]] = []
    hour = window.first
    while hour <= window.last:
        book = own.at(hour, site_id=device.host.site_id)
        if parts and parts[-1][1] is book:
            parts[-1] = (Window(window.device_id, parts[-1][0].first, hour), book)
        else:
            parts.append((Window(window.device_id, hour, hour), book))
        hour += HOUR
    return parts


def _under_nodes(windows: Iterable[Window], devices: dict[int, Device], *, max_gap_us: int) -> dict[Window, Ints]:
    """For each window of a part, when a sensor of the whole node counts it. One query where no host has one."""
    nodes = load_nodes(devices.values())
    wanted = [(window, node_id) for window in windows for node_id in nodes.get(window.device_id, ())]
    readings = load_readings([Window(node_id, window.first, window.last) for window, node_id in wanted])
    of_window: dict[Window, list[list[Reading]]] = defaultdict(list)
    for (window, _), of_node in zip(wanted, readings, strict=True):
        of_window[window].append(of_node)
    return {window: node_runs(of_nodes, max_gap_us=max_gap_us) for window, of_nodes in of_window.items()}
