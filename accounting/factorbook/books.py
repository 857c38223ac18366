"""The catalogue of a place, a team and an hour: what the organisation states itself, over the packaged factors.

Of one quantity and key the nearest statement counts: of the site, else of the team, else of the organisation, else the
packaged one. Telemetry and a site's terms go before all of them, as they go before the packaged catalogue.
"""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime

from accounting.factorbook import catalog
from accounting.factors.catalog import Catalog, Row
from accounting.methods.records import Factor, Range, Status
from accounting.models import FactorStamp, OwnFactor

MOST_KEPT = 256  # catalogues at once: some hundred kilobytes each
_STAMP = 1
_kept: "tuple[int, Books] | None" = None  # of this process


class Books:
    """Every catalogue that holds anywhere. Building it costs no query, asking it a few dictionary look-ups."""

    def __init__(self, packaged: Catalog, factors: Iterable[OwnFactor]) -> None:
        self.packaged = packaged
        self._factors = list(factors)
        edges = {edge for one in self._factors for edge in (one.valid_from, one.valid_to) if edge is not None}
        self._edges = sorted(edges)
        self._sites = {one.site_id for one in self._factors} - {None}
        self.teams = frozenset({one.team_id for one in self._factors} - {None})
        self._catalogs: dict[tuple[int | None, int | None, int], Catalog] = {}

    def at(self, hour: datetime, *, site_id: int | None = None, team_id: int | None = None) -> Catalog:
        """What holds in the hour that starts then. The same question soon again gives the same object."""
        if not self._factors:
            return self.packaged
        site = site_id if site_id in self._sites else None
        key = (site, self.team(team_id), bisect_right(self._edges, hour))
        if key not in self._catalogs:
            if len(self._catalogs) == MOST_KEPT:
                self._catalogs.clear()
            self._catalogs[key] = self._laid_over(hour, *key[:2])
        return self._catalogs[key]

    def team(self, team_id: int | None) -> int | None:
        """The team, if it has factors of its own: rows of all others are alike."""
        return team_id if team_id in self.teams else None

    def _laid_over(self, hour: datetime, site_id: int | None, team_id: int | None) -> Catalog:
        holding = [one for one in self._factors if _reaches(one, site_id, team_id) and holds_at(one, hour)]
        own = {(one.quantity, one.key): row_of(one) for one in sorted(holding, key=nearness)}
        rest = (row for row in self.packaged if (row.quantity, row.key) not in own)
        return Catalog([*rest, *own.values()])


def books() -> Books:
    """The books as they stand in this transaction. One query; one more when somebody has changed a factor since."""
    global _kept
    stamp = FactorStamp.objects.filter(pk=_STAMP).values_list("stamp", flat=True).first() or 0
    packaged = catalog()
    if _kept is None or _kept[0] != stamp or _kept[1].packaged is not packaged:
        _kept = (stamp, Books(packaged, OwnFactor.objects.in_force() if stamp else ()))
    return _kept[1]


def catalog_for(*, at: datetime, site_id: int | None = None, team_id: int | None = None) -> Catalog:
    """The catalogue of one site, team and hour. One query."""
    return books().at(at, site_id=site_id, team_id=team_id)


def row_of(factor: OwnFactor) -> Row:
    """An own factor as the lookups know it."""
    own = Factor(
        id=factor.factor_id,
        value=Range(factor.low, factor.value, factor.high),
        unit=factor.unit,
        status=Status(factor.status),
        source=factor.source,
        url=factor.url,
        year=factor.year,
        licence=factor.licence,
    )
    since = (factor.valid_from or factor.created_at).date()
    until = factor.valid_to.date() if factor.valid_to else None
    return Row(own, factor.quantity, factor.key, factor.page, since, until, factor.note)


def nearness(factor: OwnFactor) -> int:
    """Of two factors for one thing the higher counts: organisation, team, site."""
    return 2 if factor.site_id is not None else int(factor.team_id is not None)


def holds_at(factor: OwnFactor, hour: datetime) -> bool:
    """Whether the hour begins within the factor's period."""
    begun = factor.valid_from is None or factor.valid_from <= hour
    return begun and (factor.valid_to is None or hour < factor.valid_to)


def _reaches(factor: OwnFactor, site_id: int | None, team_id: int | None) -> bool:
    return factor.site_id in (None, site_id) and factor.team_id in (None, team_id)
