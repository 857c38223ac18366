"""What making a device came to, what of it has accrued here, what is left, and what no job answered for."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Sum

from accounting.factorbook import catalog
from accounting.factorbook.making import makings
from accounting.methods.embodied import accrued_share, remaining_share
from accounting.methods.records import Range, Status
from accounting.methods.units import G_PER_KG
from accounting.models import Device, DeviceDay


@dataclass(frozen=True, slots=True)
class MakingView:
    """Grams. `accrued_g`, `remaining_g` and what an earlier owner bore add up to the footprint."""

    footprint_g: Range
    status: Status
    factor_ids: tuple[str, ...]
    lifetime_h: float
    accrued_g: float
    remaining_g: float
    written_off: bool  # what was left when it was scrapped is in the ledger already
    ends_at: datetime | None  # when its footprint is used up; None: it retired before
    idle_share: float | None  # of what the ledger has; None: nothing yet


def making_view(device: Device, *, now: datetime) -> MakingView:
    """Two queries: the others of its host, and its days in the ledger."""
    making = makings([device], catalog())[device.pk]
    life, footprint_g = making.life, making.embodied_kg.range.scaled(G_PER_KG)
    at_s = now.timestamp()
    sums = DeviceDay.objects.filter(device=device).aggregate(all=Sum("embodied_g"), idle=Sum("idle_embodied_g"))
    retired = device.retired_at is not None and device.retired_at <= now
    remaining = remaining_share(life, at_s=at_s)
    ended = life.retired_s is not None and life.retired_s < life.ends_s
    return MakingView(
        footprint_g=footprint_g,
        status=making.embodied_kg.status,
        factor_ids=making.embodied_kg.factor_ids,
        lifetime_h=making.lifetime_h.range.mid,
        accrued_g=footprint_g.mid * accrued_share(life, at_s=at_s),
        remaining_g=footprint_g.mid * remaining,
        written_off=retired and device.is_written_off and remaining > 0,
        ends_at=None if ended else datetime.fromtimestamp(life.ends_s, tz=UTC),
        idle_share=min(sums["idle"] / sums["all"], 1.0) if sums["all"] else None,
    )
