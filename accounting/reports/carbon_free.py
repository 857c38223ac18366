"""The 24/7 score: how carbon-free the hours of a site or a team were, whatever rule its contracts are claimed by.

Always by the hour and within the grid zone. A contract is carbon-free where it states 0 g/kWh. The grid's share is the
one in a site's terms; where nobody states it, only what contracts cover counts, and `grid_known` says so.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from django.db.models import QuerySet, Sum

from accounting.factorbook.contracts import counting, hourly_supplies, profiles, stands_on
from accounting.factorbook.terms import terms_at, terms_of
from accounting.methods.market import CarbonFree, CleanHour, allocate, carbon_free
from accounting.models import Site, TeamHour
from accounting.reports.periods import Period

Place = tuple[int, datetime]  # site id, hour


def site_carbon_free(site_id: int, period: Period) -> CarbonFree | None:
    """The score of all that a site consumed; None where it consumed nothing. About six queries."""
    clean = _clean_hours(period)
    return carbon_free(hour for (place, _), hour in clean.items() if place == site_id)


def team_carbon_free(team_id: int, period: Period) -> CarbonFree | None:
    """The score of a team's part of the consumption: in each hour it shares what covers its site. Seven queries."""
    clean = _clean_hours(period)
    rows = _energy(period).filter(team_id=team_id)
    return carbon_free(
        _part_of(clean[site_id, hour], kwh)
        for site_id, hour, kwh in rows.values_list("site_id", "hour").annotate(Sum("facility_energy_kwh"))
        if (site_id, hour) in clean
    )


def _part_of(whole: CleanHour, kwh: float) -> CleanHour:
    contracted = min(whole.contracted_kwh / whole.consumed_kwh, 1.0) if whole.consumed_kwh > 0 else 0.0
    return CleanHour(kwh, kwh * contracted, whole.grid_share)


def _clean_hours(period: Period) -> dict[Place, CleanHour]:
    """Every site's hours of the period: contracts are shared among all sites of their zone."""
    rows = _energy(period).values_list("site_id", "hour").annotate(Sum("facility_energy_kwh"))
    by_hour: dict[datetime, dict[int, float]] = defaultdict(dict)
    for site_id, hour, kwh in rows:
        by_hour[hour][site_id] = kwh
    covered = _covered(by_hour)
    shares = _grid_shares((site_id, hour) for hour, sites in by_hour.items() for site_id in sites)
    return {
        (site_id, hour): CleanHour(kwh, covered.get((site_id, hour), 0.0), shares[site_id, hour])
        for hour, sites in by_hour.items()
        for site_id, kwh in sites.items()
    }


def _covered(by_hour: Mapping[datetime, Mapping[int, float]]) -> dict[Place, float]:
    contracts = [one for one in counting({hour.year for hour in by_hour}) if one.g_per_kwh == 0]
    covered: dict[Place, float] = defaultdict(float)
    if not contracts:
        return covered
    generated = profiles(contracts)
    terms = terms_of(Site.objects.values_list("pk", flat=True))
    stands = {day: stands_on(terms, day) for day in {hour.astimezone(UTC).date() for hour in by_hour}}
    for hour, consumed_kwh in by_hour.items():
        supplies = hourly_supplies(contracts, generated, hour, stands[hour.astimezone(UTC).date()])
        for claim in allocate(consumed_kwh, supplies):
            covered[claim.consumer, hour] += claim.kwh
    return covered


def _grid_shares(places: Iterable[Place]) -> dict[Place, float | None]:
    wanted = list(places)
    terms = terms_of({site_id for site_id, _ in wanted})
    found = {}
    for site_id, hour in wanted:
        holding = terms_at(terms[site_id], hour)
        found[site_id, hour] = holding.grid_cfe_share if holding else None
    return found


def _energy(period: Period) -> QuerySet[TeamHour]:
    return TeamHour.objects.filter(site__isnull=False, hour__gte=period.start, hour__lt=period.end).order_by()
