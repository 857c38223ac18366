"""What a kilowatt-hour at a site means now: carbon, facility overhead, water and price, with range and status."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from accounting.factorbook.prices import step_words
from accounting.factorbook.sites import site_factors
from accounting.methods.facility import ItEnergy, it_power_w
from accounting.methods.records import Figure, Range, Status
from accounting.methods.units import J_PER_KWH
from accounting.models import EnergyHour, Site


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
    water. `pue` is facility / IT energy. No price: nobody knows it, and `price_note` says why."""

    intensity_g_per_kwh: Rate
    pue: Rate
    ewif_l_per_kwh: Rate
    wue_l_per_kwh: Rate
    price_per_kwh: Rate | None
    price_note: str = ""
    intensity_step: str = ""  # where the intensity was found: telemetry, hourly zone, yearly zone, …

    @property
    def price_step(self) -> str:
        """Which step gave the price, in words; empty where none did."""
        return step_words(self.price_per_kwh.factor_ids) if self.price_per_kwh else ""

    @property
    def stale_hour(self) -> datetime | None:
        """The earlier hour whose value stands in for this one; None where none does."""
        stale = [i for i in self.intensity_g_per_kwh.factor_ids if i.startswith("grid:") and i.endswith("@stale")]
        if not stale:
            return None
        written = stale[0].split(":", 3)[3].partition("@")[0]
        return datetime.strptime(written, "%Y-%m-%dT%HZ").replace(tzinfo=UTC)

    def as_json(self) -> dict[str, object]:
        """For a JSON column: every rate as a mapping."""
        return asdict(self)


def carbon_rate(site: Site | None, *, now: datetime) -> CarbonRate:
    """The rate of the running hour at a site; with no site the catalogue's defaults. At most nine queries."""
    site_id = site.pk if site else None
    return carbon_rates([site_id], now=now)[site_id]


def carbon_rates(site_ids: Iterable[int | None], *, now: datetime, priced: bool = True) -> dict[int | None, CarbonRate]:
    """The same for several sites: six queries, two more at most for prices, and one a site; two less without prices.

    Where the running hour of a zone is not known yet, its newest value stands in for some hours, and says stale.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    places = [(site_id, hour) for site_id in site_ids]
    stale_for = timedelta(hours=settings.GREENAI["grid_stale_h"])
    found = site_factors(places, it_power_w=_it_power_w(places), stale_for=stale_for, priced=priced, market=False)
    return {
        site_id: CarbonRate(
            intensity_g_per_kwh=_rate(factors.intensity_g_per_kwh),
            pue=_rate(factors.pue),
            ewif_l_per_kwh=_rate(factors.ewif_l_per_kwh),
            wue_l_per_kwh=_rate(factors.wue_l_per_kwh),
            price_per_kwh=None if factors.price_per_kwh is None else _rate(factors.price_per_kwh),
            price_note=factors.price_note,
            intensity_step=factors.intensity_step,
        )
        for (site_id, _), factors in found.items()
    }


def _it_power_w(places: Sequence[tuple[int | None, datetime]]) -> dict[tuple[int, datetime], Figure]:
    """Mean IT power of each site and hour so far, as the ledger has it: what its cooling is set against. One query."""
    sites, hours = {site_id for site_id, _ in places} - {None}, {hour for _, hour in places}
    rows = EnergyHour.objects.filter(device__host__site__in=sites, hour__in=hours, covered_s__gt=0).values_list(
        "device__host__site", "hour", "device", "covered_s", "status",
        "device_energy_low_j", "device_energy_j", "device_energy_high_j",
    )  # fmt: skip
    energies: dict[tuple[int, datetime], list[ItEnergy]] = defaultdict(list)
    covered_s: dict[tuple[int, datetime], Counter[int]] = defaultdict(Counter)
    for site_id, hour, device_id, device_covered_s, status, *joules in rows:
        kwh = Range(*(one / J_PER_KWH for one in joules))
        energies[site_id, hour].append(ItEnergy(Figure(kwh, "kWh", Status(status))))
        covered_s[site_id, hour][device_id] += device_covered_s
    return {place: it_power_w(of, over_s=max(covered_s[place].values())) for place, of in energies.items()}


def _rate(figure: Figure) -> Rate:
    r = figure.range
    return Rate(r.low, r.mid, r.high, figure.status, figure.unit, tuple(figure.factor_ids))
