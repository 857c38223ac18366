"""Sensors of the whole node that tell of it twice: ranks of one job that each post the node under a name of their own.

Judged hour by hour, from that hour's readings alone, so that an hour comes out the same however it is built. Only
posters that differ can repeat each other: one agent's two power supplies are two.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.ledger.energy_hours import node_runs
from accounting.ledger.load import Reading, Window, load_marks, load_readings
from accounting.methods.attribution import NO_JOB, Hold
from accounting.methods.energy import NO_RUNS, Ints, integrate_by_precedence, judge
from accounting.methods.ranks import Report, repeated_reports
from accounting.methods.units import US_PER_HOUR
from accounting.models import Device


def repeated_runs(
    windows: Sequence[Window], devices: Mapping[int, Device], book: Catalog, *, max_gap_us: int, reach_us: int
) -> dict[Window, Ints]:
    """For each window of a node's sensor, when another one counts the node. One query where no host has two of them."""
    of_nodes = [window for window in windows if devices[window.device_id].kind == Device.Kind.NODE]
    mates = _mates({devices[window.device_id].host_id for window in of_nodes})
    wanted = {w: [Window(pk, w.first, w.last) for pk in mates[devices[w.device_id].host_id]] for w in of_nodes}
    wanted = {w: asked for w, asked in wanted.items() if len(asked) > 1}
    asked = list(dict.fromkeys(one for several in wanted.values() for one in several))
    if not asked:
        return {}
    readings = dict(zip(asked, load_readings(asked), strict=True))
    marks = load_marks(asked)
    tolerance = lookup.tolerance(book, "same_reading").value
    alike = _Alike(tolerance.high - tolerance.mid, max_gap_us, reach_us)
    return {w: alike.runs(w, {one.device_id: readings[one] for one in several}, marks) for w, several in wanted.items()}


def _mates(host_ids: Iterable[int]) -> dict[int, list[int]]:
    """The node sensors of each host."""
    found: dict[int, list[int]] = defaultdict(list)
    ids = set(host_ids)
    if ids:
        rows = Device.objects.filter(host__in=ids, kind=Device.Kind.NODE).order_by("pk")
        for pk, host_id in rows.values_list("pk", "host_id"):
            found[host_id].append(pk)
    return found


class _Alike:
    def __init__(self, tolerance: float, max_gap_us: int, reach_us: int) -> None:
        self._tolerance, self._max_gap_us, self._reach_us = tolerance, max_gap_us, reach_us

    def runs(self, window: Window, readings: Mapping[int, list[Reading]], marks: Mapping[int, list[Hold]]) -> Ints:
        """The stretches of the window that count under another sensor."""
        runs = [NO_RUNS]
        for start_us in range(window.start_us, window.end_us, US_PER_HOUR):
            reports = [r for pk, told in readings.items() if (r := self._report(pk, told, marks[pk], start_us))]
            for found in repeated_reports(reports, tolerance=self._tolerance):
                if str(window.device_id) in {one.id for one in found.left_out}:
                    counted = readings[int(found.counted.id)]
                    if _posters(counted).isdisjoint(_posters(readings[window.device_id])):
                        covered = node_runs([counted], max_gap_us=self._max_gap_us)
                        runs.append(_within(covered, start_us, start_us + US_PER_HOUR))
        return np.concatenate(runs)

    def _report(self, pk: int, told: Sequence[Reading], marks: Sequence[Hold], start_us: int) -> Report | None:
        """What one sensor says of an hour; None where no job, or more than one, held the node, or it says nothing."""
        end_us = start_us + US_PER_HOUR
        series = [one.series for one in told]
        judged = judge(series, max_gap_us=self._max_gap_us, reach_us=self._reach_us)
        edges_us = np.array([start_us, end_us], dtype=np.int64)
        parts = integrate_by_precedence(series, judged, edges_us).by_source
        within = _within(node_runs([told], max_gap_us=self._max_gap_us), start_us, end_us)
        jobs = {mark.job for mark in marks if mark.start_us < end_us and mark.end_us > start_us}
        for one in told if not jobs else ():
            inside = (one.series.at_us > start_us) & (one.series.at_us <= end_us)
            jobs |= set(one.job[inside].tolist()) - {NO_JOB}
        if not within.size or len(jobs) != 1:
            return None
        energy_j = sum(float(part.energy_j[0]) for part in parts)
        return Report(str(pk), str(jobs.pop()), "node", int(within[0]), int(within[-1]), energy_j, of_whole_node=True)


def _posters(told: Sequence[Reading]) -> set[int]:
    return {int(epoch) for one in told for epoch in np.unique(one.series.epoch)}


def _within(runs: Ints, start_us: int, end_us: int) -> Ints:
    clipped = np.clip(runs, start_us, end_us).reshape(-1, 2)
    kept: Ints = clipped[clipped[:, 0] < clipped[:, 1]].ravel()
    return kept
