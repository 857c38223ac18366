"""The energy of many devices over many hours: loads what decides beside a device's own readings, then integrates."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from functools import partial

from django.conf import settings

from accounting.factorbook.books import Books, books
from accounting.factorbook.terms import terms_at, terms_of
from accounting.factors.catalog import Catalog
from accounting.factors.idle import idle_draw_w
from accounting.ledger.energy_hours import EnergyRow, Rules, energy_rows, node_runs
from accounting.ledger.instants import HOUR, to_us
from accounting.ledger.load import REACH_US, Reading, Window, load_before, load_marks, load_readings, load_uses
from accounting.ledger.repeats import repeated_runs
from accounting.methods.energy import NO_RUNS, Ints
from accounting.methods.sharing import IdlePolicy
from accounting.methods.units import US_PER_S
from accounting.models import Device, SiteTerms


def energy_of(
    windows: list[Window],
    readings: list[list[Reading]],
    devices: dict[int, Device],
    *,
    now: datetime,
    of: Books | None = None,
) -> list[EnergyRow]:
    """Energy rows of every window: its readings, the marks on its device, who used it, its host's node sensors."""
    marks, own = load_marks(windows), of or books()
    max_gap_us = int(settings.GREENAI["max_gap_s"] * US_PER_S)
    uses = load_uses(windows, reach_us=max_gap_us)
    under_node_us = _under_nodes(windows, devices, max_gap_us=max_gap_us)
    under_node_us |= repeated_runs(windows, devices, own.packaged, max_gap_us=max_gap_us, reach_us=REACH_US)
    policies, now_us = _Policies(), to_us(now)
    rows = []
    for window, of_window, used in zip(windows, readings, uses, strict=True):
        device = devices[window.device_id]
        for part, book in _by_book(window, device, own):
            rules = _rules(device, book, policies, max_gap_us, now_us)
            under = under_node_us.get(window, NO_RUNS)
            rows += energy_rows(part, device, of_window, marks[device.pk], used, rules=rules, under_node_us=under)
    return [row for row in rows if row.covered_s or row.missing_s or row.held_s or row.device_energy_j.high]


def _rules(device: Device, book: Catalog, policies: "_Policies", max_gap_us: int, now_us: int) -> Rules:
    idle = idle_draw_w(book, kind=device.kind, model=device.model, tdp_w=device.tdp_w)
    policy_at = partial(policies.at, device.host.site_id)
    return Rules(book, max_gap_us, now_us, idle.range.mid * device.units if idle else None, policy_at)


class _Policies:
    """Who answers for shared idle draw, by site and hour. A query a site, and only where devices are shared."""

    def __init__(self) -> None:
        self._terms: dict[int, list[SiteTerms]] = {}

    def at(self, site_id: int | None, hour: datetime) -> IdlePolicy:
        if site_id is None:
            return IdlePolicy.KEPT
        if site_id not in self._terms:
            self._terms |= terms_of([site_id])
        terms = terms_at(self._terms[site_id], hour)
        return IdlePolicy(terms.idle_policy) if terms else IdlePolicy.KEPT


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
    """For each window, when others count in its device's stead (`load_before`). One query where there are none."""
    nodes = load_before(devices.values())
    wanted = [(window, node_id) for window in windows for node_id in nodes.get(window.device_id, ())]
    readings = load_readings([Window(node_id, window.first, window.last) for window, node_id in wanted])
    of_window: dict[Window, list[list[Reading]]] = defaultdict(list)
    for (window, _), of_node in zip(wanted, readings, strict=True):
        of_window[window].append(of_node)
    return {window: node_runs(of_nodes, max_gap_us=max_gap_us) for window, of_nodes in of_window.items()}
