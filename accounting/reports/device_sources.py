"""Which source's readings a device's energy was counted by, and since when. Read from ledger rows alone."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, Min, Sum

from accounting.methods.units import J_PER_KWH
from accounting.models import Device, DeviceSample, EnergyHour, IntakeDevice


@dataclass(frozen=True, slots=True)
class CountedSource:
    """`it_energy_kwh` and `covered_s` of the hours in which it counted for most of the time."""

    title: str
    first: datetime
    last: datetime  # the newest hour's start
    it_energy_kwh: float
    covered_s: float
    counts_now: bool  # it made the newest hour of the period


def counted_sources(device: Device, start: datetime, end: datetime) -> list[CountedSource]:
    """The newest first. One query, by the device's hours."""
    rows = EnergyHour.objects.filter(device=device, hour__gte=start, hour__lt=end, source__isnull=False).order_by()
    sums = rows.values("source").annotate(
        first=Min("hour"), last=Max("hour"), joules=Sum("device_energy_j"), covered_s=Sum("covered_s")
    )
    found = sorted(sums, key=lambda row: (row["last"], -row["source"]), reverse=True)
    return [
        CountedSource(
            title=str(DeviceSample.Source(row["source"]).label),
            first=row["first"],
            last=row["last"],
            it_energy_kwh=row["joules"] / J_PER_KWH,
            covered_s=row["covered_s"],
            counts_now=place == 0,
        )
        for place, row in enumerate(found)
    ]


def told_by(device: Device) -> list[IntakeDevice]:
    """The tokens and protocols that told of it, the newest first. One query."""
    return list(IntakeDevice.objects.filter(device=device).select_related("token").order_by("-last_seen_at", "pk")[:10])
