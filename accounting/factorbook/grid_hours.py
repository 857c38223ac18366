"""Stored hourly intensities as factors of the ledger: average only, one basis, the best provider of each hour."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from accounting.factors import lookup
from accounting.factors.catalog import Catalog
from accounting.factors.providers.registry import rank
from accounting.methods.records import Factor, Range, Status
from accounting.models import GridHour

Place = tuple[str, str, datetime]  # zone, emission basis, hour start


@dataclass(frozen=True, slots=True)
class HourlyFactor:
    """The factor, and the id of the tolerance that made its range."""

    factor: Factor
    tolerance_id: str


def hourly_factors(
    book: Catalog, places: Collection[Place], *, stale_for: timedelta | None = None
) -> dict[Place, HourlyFactor]:
    """The factor of each place and hour that a provider told of. One query; one more where `stale_for` is given.

    A marginal value is never among them, whatever is asked.
    """
    asked = {place for place in places if place[0]}
    if not asked:
        return {}
    zones, hours = {zone for zone, _, _ in asked}, {hour for _, _, hour in asked}
    rows = best(GridHour.objects.filter(signal=GridHour.Signal.AVERAGE, zone__in=zones, hour__in=hours))
    known = {place: factor_of(book, rows[place]) for place in asked if place in rows}
    if stale_for is None or len(known) == len(asked):
        return known
    return _newest_before(book, asked - set(known), stale_for) | known


def best(rows: Iterable[GridHour]) -> dict[Place, GridHour]:
    """For each place the row of the provider that goes first; of one provider consumption before production."""
    found: dict[Place, GridHour] = {}
    for row in sorted(rows, key=lambda row: (rank(row.provider), row.flow != GridHour.Flow.CONSUMPTION)):
        found.setdefault((row.zone, row.emission_basis, row.hour), row)
    return found


def factor_of(book: Catalog, row: GridHour) -> HourlyFactor:
    """MODELLED, estimated or not: it is a model of this zone and hour. An estimated hour's range is the wider one."""
    if row.is_estimated:
        kind = "hourly-estimated"
    else:
        kind = "hourly-mix" if row.flow == GridHour.Flow.PRODUCTION else "hourly"
    tolerance = lookup.tolerance(book, f"grid_intensity/{kind}")
    value = Range.exact(row.value_g_per_kwh).times(tolerance.value)
    source = f"{row.provider}, hourly, {row.emission_basis}, {row.flow}"
    factor = Factor(factor_id(row), value, "g/kWh", Status.MODELLED, source, year=row.hour.year)
    return HourlyFactor(factor, tolerance.id)


def factor_id(row: GridHour) -> str:
    """`grid:electricity-maps:FR:2026-01-01T00Z`; what is not life-cycle, consumption or actual stands behind an @."""
    marks = [
        *(["direct"] if row.emission_basis == GridHour.EmissionBasis.DIRECT else []),
        *(["production"] if row.flow == GridHour.Flow.PRODUCTION else []),
        *(["estimated"] if row.is_estimated else []),
    ]
    return "@".join([f"grid:{row.provider}:{row.zone}:{row.hour.astimezone(UTC):%Y-%m-%dT%HZ}", *marks])


def _newest_before(book: Catalog, places: Collection[Place], stale_for: timedelta) -> dict[Place, HourlyFactor]:
    zones, hours = {zone for zone, _, _ in places}, [hour for _, _, hour in places]
    rows = GridHour.objects.filter(
        signal=GridHour.Signal.AVERAGE, zone__in=zones, hour__gte=min(hours) - stale_for, hour__lt=max(hours)
    )
    known = sorted(best(rows).items(), key=lambda item: item[0][2])
    found: dict[Place, HourlyFactor] = {}
    for zone, basis, hour in places:
        earlier = [row for (z, b, at), row in known if (z, b) == (zone, basis) and hour - stale_for <= at < hour]
        if earlier:
            found[zone, basis, hour] = _stale(book, earlier[-1])
    return found


def _stale(book: Catalog, row: GridHour) -> HourlyFactor:
    tolerance = lookup.tolerance(book, "grid_intensity/stale")
    value = Range.exact(row.value_g_per_kwh).times(tolerance.value)
    factor = replace(factor_of(book, row).factor, id=f"{factor_id(row)}@stale", value=value, status=Status.DEFAULT)
    return HourlyFactor(factor, tolerance.id)
