"""From readings to hourly energy, carbon, water and cost of one source of one device, at numpy's speed.

The same integration as everywhere (`energy.integrate`) and the same products as `facility`, `operational`, `water` and
`cost`, on whole columns: a test holds them together to the last bit. Readings come in chunks, complete hours go out, so
that memory does not grow with the number of hours.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from accounting.methods.energy import Floats, Ints, PowerSeries, integrate
from accounting.methods.units import J_PER_KWH, US_PER_HOUR


@dataclass(frozen=True, slots=True)
class HourlyRates:
    """What turns IT energy into the rest, an element an hour (or one for all)."""

    pue: Floats
    intensity_g_per_kwh: Floats  # per kWh of facility energy, as are EWIF and price
    wue_l_per_kwh: Floats  # per kWh of IT energy
    ewif_l_per_kwh: Floats
    price_per_kwh: Floats


@dataclass(frozen=True, slots=True)
class HourlyFootprint:
    """Columns, an element an hour. Mids only; the ranges are the ledger's work, a row at a time."""

    hour_us: Ints  # start of the UTC hour
    it_energy_kwh: Floats
    facility_energy_kwh: Floats
    co2e_location_g: Floats
    water_onsite_l: Floats
    water_offsite_l: Floats
    cost: Floats
    covered_us: Ints
    missing_us: Ints


def hourly_footprints(
    chunks: Iterable[PowerSeries], rates_of: Callable[[Ints], HourlyRates], *, max_gap_us: int
) -> Iterator[HourlyFootprint]:
    """Hours as they are complete, and the last one at the end; each as it would come out of all readings at once.

    Args:
        chunks: consecutive readings of one source of one device, in rising time.
        rates_of: the rates of these hours.

    Raises:
        ValueError: readings out of order.
    """
    open_hour: PowerSeries | None = None
    next_us = 0  # the start of the hour that is still open
    for chunk in chunks:
        if not chunk.at_us.size:
            continue
        series = chunk if open_hour is None else _joined(open_hour, chunk)
        if open_hour is None:
            next_us = int(series.at_us[0]) // US_PER_HOUR * US_PER_HOUR
        edge_us = int(series.at_us[-1]) // US_PER_HOUR * US_PER_HOUR
        if edge_us > next_us:
            yield _footprint(series, np.arange(next_us, edge_us + 1, US_PER_HOUR), rates_of, max_gap_us)
            next_us = edge_us
        # What the next chunk needs: the hour that is still open, and the reading before it.
        open_hour = _from(series, max(int(np.searchsorted(series.at_us, edge_us)) - 1, 0))
    if open_hour is not None:
        yield _footprint(open_hour, np.array([next_us, next_us + US_PER_HOUR]), rates_of, max_gap_us)


def _footprint(
    series: PowerSeries, edges_us: Ints, rates_of: Callable[[Ints], HourlyRates], max_gap_us: int
) -> HourlyFootprint:
    binned = integrate(series, edges_us, max_gap_us=max_gap_us)
    hours_us, rates = edges_us[:-1], rates_of(edges_us[:-1])
    it_kwh = binned.energy_j / J_PER_KWH
    facility_kwh = it_kwh * rates.pue
    return HourlyFootprint(
        hours_us,
        it_kwh,
        facility_kwh,
        facility_kwh * rates.intensity_g_per_kwh,
        it_kwh * rates.wue_l_per_kwh,
        facility_kwh * rates.ewif_l_per_kwh,
        facility_kwh * rates.price_per_kwh,
        binned.covered_us,
        binned.missing_us,
    )


def _joined(one: PowerSeries, other: PowerSeries) -> PowerSeries:
    return PowerSeries(*(np.concatenate((getattr(one, f.name), getattr(other, f.name))) for f in fields(PowerSeries)))


def _from(series: PowerSeries, start: int) -> PowerSeries:
    return PowerSeries(*(getattr(series, f.name)[start:].copy() for f in fields(PowerSeries)))
