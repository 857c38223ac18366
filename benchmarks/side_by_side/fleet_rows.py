"""A fleet whose roll-ups are known from its readings: the powers decide both, so that sums over either must agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Fleet:
    """Teams and where devices belong; every site has the same factors, per kWh of IT or facility energy."""

    start: datetime
    team_ids: tuple[int, ...]
    site_id: int

    PUE, G_PER_KWH, WUE, EWIF, PRICE = 1.25, 320.0, 1.5, 2.5, 0.2

    def team_of(self, device: int) -> int:
        return self.team_ids[device % len(self.team_ids)]


@dataclass(frozen=True, slots=True)
class Readings:
    """Evenly spaced, the first of each hour on its edge, so that no step reaches over one; and one at the very end."""

    devices: int
    hours: int
    per_hour: int

    @property
    def count(self) -> int:
        return self.devices * (self.hours * self.per_hour + 1)

    def at_us(self) -> NDArray[np.int64]:
        """Since the start."""
        step = np.arange(self.hours * self.per_hour + 1, dtype=np.int64)
        return step // self.per_hour * HOUR_US + step % self.per_hour * HOUR_US // self.per_hour

    def watts(self, device: int) -> NDArray[np.float64]:
        return np.random.default_rng(device).uniform(60.0, 700.0, self.hours * self.per_hour + 1)

    def kwh(self) -> NDArray[np.float64]:
        """By device and hour, by the trapezoid rule."""
        step_s = np.diff(self.at_us()) / 1e6
        found = np.empty((self.devices, self.hours))
        for device in range(self.devices):
            watts = self.watts(device)
            joules = (watts[1:] + watts[:-1]) / 2 * step_s
            found[device] = joules.reshape(self.hours, self.per_hour).sum(axis=1) / 3.6e6
        return found

    def chunks(self, fleet: Fleet, *, at_once: int = 100) -> Iterator[dict[str, NDArray]]:
        """Columns of some devices at a time."""
        at_us = self.at_us() + round(fleet.start.timestamp() * 1e6)
        for first in range(0, self.devices, at_once):
            some = range(first, min(first + at_once, self.devices))
            yield {
                "device": np.repeat(np.array(some, dtype=np.int64), at_us.size),
                "team": np.repeat(np.array([fleet.team_of(k) for k in some], dtype=np.int64), at_us.size),
                "at_us": np.tile(at_us, len(some)),
                "watts": np.concatenate([self.watts(k) for k in some]),
            }


def make_fleet(*, teams: int, start: datetime) -> Fleet:
    from accounting.models import Site, Team

    site = Site.objects.create(name="Bench", slug="bench")
    made = Team.objects.bulk_create(Team(name=f"Team {k}", slug=f"team-{k}") for k in range(teams))
    return Fleet(start, tuple(team.pk for team in made), site.pk)


def write_roll_ups(fleet: Fleet, kwh: NDArray[np.float64]) -> None:
    """Team hours from the devices' energy, and the team days that the ledger's own roll-up makes of them."""
    from django.db import transaction

    from accounting.ledger.insert import insert
    from accounting.ledger.rollups import _team_days
    from accounting.models import TeamHour

    rows = []
    for index, team_id in enumerate(fleet.team_ids):
        of_team = kwh[index :: len(fleet.team_ids)].sum(axis=0)
        for hour, it_kwh in enumerate(of_team.tolist()):
            at = fleet.start + timedelta(hours=hour)
            rows.append(_team_hour(fleet, it_kwh) | {"hour": at, "team_id": team_id, "site_id": fleet.site_id})
    hours = kwh.shape[1]
    with transaction.atomic():
        insert(TeamHour, rows)
        _team_days({(fleet.start + timedelta(hours=hour)).date() for hour in range(hours)})


def _team_hour(fleet: Fleet, it_kwh: float) -> dict[str, object]:
    facility_kwh = it_kwh * fleet.PUE
    mids = {
        "it_energy_kwh": it_kwh,
        "facility_energy_kwh": facility_kwh,
        "co2e_location_g": facility_kwh * fleet.G_PER_KWH,
        "water_onsite_l": it_kwh * fleet.WUE,
        "water_offsite_l": facility_kwh * fleet.EWIF,
        "cost": facility_kwh * fleet.PRICE,
    }
    ends = {f"{name}{end}": mid * by for name, mid in mids.items() for end, by in (("_low", 0.9), ("_high", 1.1))}
    factor_ids = ["intensity:FR:2023", "pue:bench", "wue:bench", "ewif:FR", "price:bench"]
    return {**mids, **ends, "covered_s": 3600.0, "status": "MODELLED", "factor_ids": factor_ids}
