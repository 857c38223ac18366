"""Cloud providers' reports against the ledger, by month, provider and region: the lines of the page and its files.

Ours is what the ledger has of sites whose terms name that provider and region, in the hours in which they do.
"""

import calendar
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, Min, Q, Sum
from django.db.models.functions import TruncMonth

from accounting.factorbook.terms import region_of, terms_of
from accounting.methods.records import Range
from accounting.methods.units import G_PER_KG
from accounting.models import Site, VendorFootprint, VendorReport
from accounting.reports import provenance, queries
from accounting.reports.quantities import topic_of
from accounting.reports.reconcile import Basis, Comparison, Ours, Theirs, compare
from accounting.reports.records import Sees, Totals, plus

_HOUR = timedelta(hours=1)
_KG_COLUMNS = (
    "scope1_kg",
    "scope2_location_kg",
    "scope2_market_kg",
    "scope3_kg",
    "scope3_market_kg",
    "total_location_kg",
    "total_market_kg",
    "unstated_kg",
)
PROVIDER_WORDS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}

Place = tuple[str, str]  # provider, region
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Line:
    """One month of one region: location-based and market-based."""

    month: date
    provider: str
    region: str
    versions: tuple[str, ...]  # of the provider's method
    sites: tuple[str, ...]
    days: int  # UTC days that our ledger has rows of, of `of_days` in which a site says that it is there
    of_days: int
    location: Comparison
    market: Comparison

    @property
    def title(self) -> str:
        return PROVIDER_WORDS.get(self.provider, self.provider)


@dataclass(frozen=True, slots=True)
class ReportLine:
    """A report with the months it tells of and how many of its rows count."""

    report: VendorReport
    first: date
    last: date
    rows: int
    counting: int
    versions: tuple[str, ...]


def years() -> list[int]:
    """Years that a counting row speaks of, the latest first. One query."""
    months = VendorFootprint.objects.filter(counts=True).order_by().values_list("month", flat=True).distinct()
    return sorted({month.year for month in months}, reverse=True)


def lines(visibility: Sees, *, year: int, now: datetime) -> list[Line]:
    """Every month and region of a year that a provider tells of, the latest month first.

    Six queries, and two for each month in which a site only comes to a region or leaves it.
    """
    told = _told(year)
    spans = _spans({(provider, region) for _, provider, region in told})
    first, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    whole = _whole_months(visibility, {site.pk for placed in spans.values() for site, _ in placed}, first, end)
    found = []
    for (month, provider, region), row in told.items():
        ours = _our_month(visibility, spans[provider, region], month, whole)
        found.append(_line((month, provider, region), row, ours, now=now))
    return sorted(found, key=lambda line: (-line.month.toordinal(), line.provider, line.region))


def report_lines() -> list[ReportLine]:
    """Every report, the latest import first. Two queries."""
    reports = VendorReport.objects.annotate(
        first=Min("footprints__month"),
        last=Max("footprints__month"),
        rows=Count("footprints"),
        counting=Count("footprints", filter=Q(footprints__counts=True)),
    )
    versions: dict[int, set[str]] = defaultdict(set)
    told = VendorFootprint.objects.order_by().values_list("report_id", "model_version").distinct()
    for report_id, version in told:
        versions[report_id].add(version)
    return [
        ReportLine(report, report.first, report.last, report.rows, report.counting, _sorted(versions[report.pk]))
        for report in reports
    ]


def _told(year: int) -> dict[tuple[date, str, str], dict[str, Any]]:
    """Sums of what providers tell that counts, by month, provider and region; a sum of nothing told is None."""
    rows = VendorFootprint.objects.filter(counts=True, month__year=year).order_by()
    keys = ("month", "provider", "region")
    sums = {f"sum_{name}": Sum(name) for name in _KG_COLUMNS}
    found = {tuple(row[key] for key in keys): dict(row) for row in rows.values(*keys).annotate(**sums)}
    for row in found.values():
        row["versions"], row["scopes"] = set(), set()
    for *place, version, scopes in rows.values_list(*keys, "model_version", "scopes").distinct():
        row = found[tuple(place)]
        row["versions"].add(version)
        row["scopes"].add(scopes)
    return found


def _spans(places: Iterable[Place]) -> dict[Place, list[tuple[Site, Span]]]:
    """When which sites are these regions by their terms: whole hours, since an hour keeps the terms it began with."""
    found: dict[Place, list[tuple[Site, Span]]] = {place: [] for place in places}
    forever = datetime.max.replace(tzinfo=UTC)
    for dated in filter(None, terms_of(Site.objects.values_list("pk", flat=True)).values()):
        ends = [*(_hour_from(terms.valid_from) for terms in dated[1:]), forever]
        for terms, end in zip(dated, ends, strict=True):
            region = region_of(terms)
            if region and (region.provider, region.name) in found:
                found[region.provider, region.name].append((terms.site, (_hour_from(terms.valid_from), end)))
    return found


def _hour_from(moment: datetime) -> datetime:
    """The first hour that begins at the moment or after it."""
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if hour == moment else hour + _HOUR


@dataclass(frozen=True, slots=True)
class _Part:
    """The ledger of one site in some hours of a month."""

    totals: Totals
    days: frozenset[date]
    factor_ids: frozenset[str]


def _whole_months(
    visibility: Sees, site_ids: Iterable[int], first: datetime, end: datetime
) -> dict[tuple[int, date], _Part]:
    """Each site and month that has a row. Two queries."""
    rows = queries.rows_of(visibility, first, end, {}, by=None).filter(site__in=sorted(site_ids))
    days: dict[tuple[int, date], set[date]] = defaultdict(set)
    ids: dict[tuple[int, date], set[str]] = defaultdict(set)
    for site_id, day, factor_ids in rows.order_by().values_list("site_id", "day", "factor_ids"):
        days[site_id, day.replace(day=1)].add(day)
        ids[site_id, day.replace(day=1)].update(factor_ids)
    return {
        (key := (row["place"], row["month"])): _Part(totals, frozenset(days[key]), frozenset(ids[key]))
        for row, totals in queries.sums_of(rows, {"place": F("site_id"), "month": TruncMonth("day")})
    }


def _some_hours(visibility: Sees, site: Site, start: datetime, end: datetime) -> list[_Part]:
    """The same of hours within a month; nothing where there is no row. Two queries."""
    rows = queries.rows_of(visibility, start, end, {"site_id": site.pk}, by=None)
    at = "hour" if hasattr(rows.model, "hour") else "day"
    told = list(rows.order_by().values_list(at, "factor_ids"))
    days = frozenset(moment.date() if isinstance(moment, datetime) else moment for moment, _ in told)
    ids = frozenset(factor_id for _, some in told for factor_id in some)
    return [_Part(totals, days, ids) for _, totals in queries.sums_of(rows, {})]


@dataclass(frozen=True, slots=True)
class _OurMonth:
    sites: tuple[str, ...]
    parts: tuple[_Part, ...]
    of_days: int


def _our_month(
    visibility: Sees, sites: Iterable[tuple[Site, Span]], month: date, whole: dict[tuple[int, date], _Part]
) -> _OurMonth | None:
    """None where no site is that region in any hour of the month."""
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = first + timedelta(days=calendar.monthrange(month.year, month.month)[1])
    names: set[str] = set()
    days: set[date] = set()
    parts: list[_Part] = []
    for site, (since, until) in sites:
        start, stop = max(since, first), min(until, end)
        if start >= stop:
            continue
        names.add(site.name)
        last = (stop - _HOUR).date()
        days |= {start.date() + timedelta(days=n) for n in range((last - start.date()).days + 1)}
        if (start, stop) == (first, end):
            parts += [whole[site.pk, month]] if (site.pk, month) in whole else []
        else:
            parts += _some_hours(visibility, site, start, stop)
    return _OurMonth(tuple(sorted(names)), tuple(parts), len(days)) if names else None


def _line(place: tuple[date, str, str], row: dict[str, Any], ours: _OurMonth | None, *, now: datetime) -> Line:
    month, provider, region = place
    following = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
    asked = {"month_year": month.year, "complete": datetime(following.year, following.month, 1, tzinfo=UTC) <= now}
    found = {
        basis: compare(_theirs(row, basis), _ours(ours, basis) if ours else None, basis=basis, **asked)
        for basis in Basis
    }
    return Line(
        month=month,
        provider=provider,
        region=region,
        versions=_sorted(row["versions"]),
        sites=ours.sites if ours else (),
        days=len(frozenset[date]().union(*(part.days for part in ours.parts))) if ours else 0,
        of_days=ours.of_days if ours else 0,
        location=found[Basis.LOCATION],
        market=found[Basis.MARKET],
    )


def _theirs(row: dict[str, Any], basis: Basis) -> Theirs:
    scope3_kg = row["sum_scope3_market_kg"] if basis is Basis.MARKET else None
    holds_3 = any("3" in scopes for scopes in row["scopes"])
    return Theirs(
        scope1_kg=row["sum_scope1_kg"],
        scope2_kg=row[f"sum_scope2_{basis}_kg"],
        scope3_kg=row["sum_scope3_kg"] if scope3_kg is None else scope3_kg,
        total_kg=row[f"sum_total_{basis}_kg"],
        total_scopes="1,2,3" if holds_3 else "1,2",
        unstated_kg=row["sum_unstated_kg"],
    )


def _ours(month: _OurMonth, basis: Basis) -> Ours:
    totals = [part.totals for part in month.parts]
    due_s = math.fsum(one.covered_s + one.missing_s for one in totals)
    known = [one.market_g if basis is Basis.MARKET else one.co2e_location_g for one in totals]
    topic = "market" if basis is Basis.MARKET else "intensity"
    sources = _sources(topic, frozenset[str]().union(*(part.factor_ids for part in month.parts)))
    return Ours(
        sites=month.sites,
        operational_kg=None if None in known else _kg(one for one in known if one is not None),
        embodied_kg=_kg(one.embodied_g for one in totals),
        facility_kwh=math.fsum(one.facility_energy_kwh.mid for one in totals),
        coverage=math.fsum(one.covered_s for one in totals) / due_s if due_s else None,
        days=len(frozenset[date]().union(*(part.days for part in month.parts))),
        intensity=tuple(words for words, _ in sources),
        intensity_years=tuple(sorted({year for _, year in sources if year})),
    )


def _kg(grams: Iterable[Range]) -> Range:
    whole = Range.exact(0.0)
    for one in grams:
        whole = plus(whole, one)
    return whole.scaled(1 / G_PER_KG)


def _sources(topic: str, factor_ids: Iterable[str]) -> list[tuple[str, int | None]]:
    """(what our intensity stands on, the year of a yearly mean) of every intensity there, the packaged and our own."""
    of_intensity = (i for i in factor_ids if topic_of(i) == topic and "tolerance:" not in i and not _of_terms(i))
    return [
        (f"{line.of}, {line.source}, {line.factor.year}", line.factor.year)
        if line.factor
        else (f"{line.of}, {line.source}", None)
        for line in provenance.describe(of_intensity)
    ]


def _of_terms(factor_id: str) -> bool:
    """Stated by a site or a contract: the year in which it was stated is not that of a mean."""
    return factor_id.startswith(("site:", "contract:"))


def _sorted(versions: Iterable[str]) -> tuple[str, ...]:
    """Versions of a method in their order: 9 before 12. None where none is told."""
    return tuple(sorted(filter(None, versions), key=lambda version: [int(n) for n in re.findall(r"\d+", version)]))
