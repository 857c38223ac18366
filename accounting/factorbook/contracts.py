"""Contracts as supplies: which of them count, what they have to give in a stretch, and which sites they may cover.

A UTC day keeps the grid zone and the rule of matching with which it began.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings

from accounting.factorbook.terms import terms_at, zone_of
from accounting.methods.market import Supply
from accounting.models import ContractHour, EnergyContract, SiteTerms

KWH_PER_MWH = 1000.0
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a site stands on a day, and how its consumption is matched."""

    zone: str
    mode: str

    @property
    def country(self) -> str:
        """The market of annual matching: certificates trade within it."""
        return self.zone.partition("-")[0]


def stands_on(terms: Mapping[int, Sequence[SiteTerms]], day: date) -> dict[int, Stand]:
    """Every site's place and rule on a UTC day. `terms` as by `terms_of`."""
    start = datetime.combine(day, time(), tzinfo=UTC)
    return {site_id: _stand(terms_at(of_site, start)) for site_id, of_site in terms.items()}


def counting(vintages: Collection[int]) -> list[EnergyContract]:
    """The contracts of these years that may be claimed, in the order in which they are: those of one site first."""
    found = EnergyContract.objects.filter(vintage__in=vintages)
    return sorted(
        (contract for contract in found if contract.counts),
        key=lambda one: (one.site_id is None, one.start, one.pk),
    )


def profiles(contracts: Iterable[EnergyContract]) -> dict[int, dict[datetime, float]]:
    """Generation by hour of those that have a profile. One query."""
    series: dict[int, dict[datetime, float]] = {}
    rows = ContractHour.objects.filter(contract__in=[one.pk for one in contracts])
    for contract_id, hour, kwh in rows.values_list("contract_id", "hour", "kwh"):
        series.setdefault(contract_id, {})[hour] = kwh
    return series


def annual_supplies(
    contracts: Iterable[EnergyContract], stands: Mapping[int, Stand], claimed_kwh: Mapping[int, float]
) -> list[Supply]:
    """What is left of each contract's volume, for the sites in its country or the one that it names.

    Args:
        claimed_kwh: by contract, what is claimed elsewhere already.
    """
    return [
        Supply(
            one.pk,
            max(0.0, one.mwh * KWH_PER_MWH - claimed_kwh.get(one.pk, 0.0)),
            frozenset(
                site_id
                for site_id, stand in stands.items()
                if one.site_id == site_id or (one.site_id is None and _same_market(one.zone, stand))
            ),
        )
        for one in contracts
    ]


def hourly_supplies(
    contracts: Iterable[EnergyContract],
    generated: Mapping[int, Mapping[datetime, float]],
    hour: datetime,
    stands: Mapping[int, Stand],
) -> list[Supply]:
    """What each contract generates in an hour, for the sites in its own grid zone."""
    supplies = []
    for one in contracts:
        if not one.start <= hour < one.end:
            continue
        profile = generated.get(one.pk)
        kwh = one.mwh * KWH_PER_MWH / one.hours if profile is None else profile.get(hour, 0.0)
        within = frozenset(
            site_id
            for site_id, stand in stands.items()
            if one.zone == stand.zone and (one.site_id is None or one.site_id == site_id)
        )
        supplies.append(Supply(one.pk, kwh, within))
    return supplies


def _stand(terms: SiteTerms | None) -> Stand:
    mode = (terms.market_matching if terms else "") or settings.GREENAI["market_matching"]
    return Stand(zone_of(terms).strip().upper(), mode)


def _same_market(zone: str, stand: Stand) -> bool:
    return bool(stand.country) and zone.partition("-")[0] == stand.country
