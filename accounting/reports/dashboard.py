"""The landing page's figures, composed once as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounting.reports import live as live_now
from accounting.reports.fleet import SiteLine, site_lines, unplaced
from accounting.reports.periods import Period
from accounting.reports.queries import change, sparks, totals
from accounting.reports.records import Change, Sees, Totals


@dataclass(frozen=True, slots=True)
class Overview:
    period: Period
    totals: Totals
    change: dict[str, Change]
    sparks: dict[str, list[float]]
    live: live_now.LiveView
    sites: Sequence[SiteLine]
    unplaced_hosts: int

    @property
    def without_zone(self) -> list[SiteLine]:
        """Sites that have machines but nobody has said where they stand."""
        return [line for line in self.sites if line.hosts and not line.has_zone]

    @property
    def is_fresh(self) -> bool:
        """Nothing has ever been heard of."""
        return self.totals.status is None and not self.live.in_service


def overview(visibility: Sees, *, period: Period, now: datetime, silent_after_s: float) -> Overview:
    """About eleven queries, none of which reads raw samples beyond the last two minutes."""
    return Overview(
        period=period,
        totals=totals(visibility, period.start, period.end),
        change=change(visibility, period, now=now),
        sparks=sparks(visibility, period, now=now),
        live=live_now.live(visibility, now=now, silent_after_s=silent_after_s),
        sites=site_lines(visibility, now=now),
        unplaced_hosts=len(unplaced(visibility)),
    )
