"""How far the ledger is behind what came in, and whether anything is catching up."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Min

from accounting.models import DirtyHour, LedgerPulse

USUAL_S = 60.0  # beyond the time that running hours may wait
LONG_S = 900.0
SILENT_S = 120.0  # a worker that runs looks for work every few seconds, and says so twice a minute


@dataclass(frozen=True, slots=True)
class LedgerLag:
    """`lag_s` is the age of the oldest reading or change that is not in the figures yet; None: they are up to date."""

    lag_s: float | None
    looked_at: datetime | None = None  # when a ledger worker last looked for work
    no_worker: bool = False  # something has waited for minutes, and nobody looks

    @property
    def tone(self) -> str:
        """Of a badge: empty while it is what is to be expected."""
        if self.lag_s is None:
            return ""
        if self.no_worker or self.lag_s > LONG_S:
            return "bad"
        return "warn" if self.lag_s > USUAL_S + settings.GREENAI["ledger_open_hour_s"] else ""


def ledger_lag(*, now: datetime) -> LedgerLag:
    """Two queries, each one step in an index."""
    oldest = DirtyHour.objects.aggregate(oldest=Min("marked_at"))["oldest"]
    if oldest is None:
        return LedgerLag(None)
    lag_s = max((now - oldest).total_seconds(), 0.0)
    looked_at = LedgerPulse.objects.order_by("pk").values_list("looked_at", flat=True).first()
    silent = looked_at is None or (now - looked_at).total_seconds() > SILENT_S
    return LedgerLag(lag_s, looked_at, no_worker=silent and lag_s > SILENT_S)
