"""What a kilowatt-hour at a site means now: carbon, facility overhead, water and price, with range and status."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from accounting.factorbook.sites import site_factors
from accounting.methods.records import Figure, Status
from accounting.models import Site


@dataclass(frozen=True, slots=True)
class Rate:
    low: float
    mid: float
    high: float
    status: Status
    unit: str
    factor_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CarbonRate:
    """Per kWh of facility energy: intensity (location-based), off-site water, price. Per kWh of IT energy: on-site
    water. `pue` is facility / IT energy."""

    intensity_g_per_kwh: Rate
    pue: Rate
    ewif_l_per_kwh: Rate
    wue_l_per_kwh: Rate
    price_per_kwh: Rate

    def as_json(self) -> dict[str, object]:
        """For a JSON column: every rate as a mapping."""
        return asdict(self)


def carbon_rate(site: Site | None, *, now: datetime) -> CarbonRate:
    """The rate of the running hour at a site; with no site the catalogue's defaults. At most three queries."""
    site_id = site.pk if site else None
    return carbon_rates([site_id], now=now)[site_id]


def carbon_rates(site_ids: Iterable[int | None], *, now: datetime) -> dict[int | None, CarbonRate]:
    """The same for several sites: two queries and one more a site."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    found = site_factors((site_id, hour) for site_id in site_ids)
    return {
        site_id: CarbonRate(
            intensity_g_per_kwh=_rate(factors.intensity_g_per_kwh),
            pue=_rate(factors.pue),
            ewif_l_per_kwh=_rate(factors.ewif_l_per_kwh),
            wue_l_per_kwh=_rate(factors.wue_l_per_kwh),
            price_per_kwh=_rate(factors.price_per_kwh),
        )
        for (site_id, _), factors in found.items()
    }


def _rate(figure: Figure) -> Rate:
    r = figure.range
    return Rate(r.low, r.mid, r.high, figure.status, figure.unit, tuple(figure.factor_ids))
