"""A job's figures as the ledger has them, read back from the server; how long to wait for it is the caller's choice."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from accounting.agent.tracking.asking import Asker, Refused, Unanswered

QUANTITIES = (
    "it_energy_kwh", "facility_energy_kwh", "co2e_location_kg", "co2e_market_kg", "embodied_kg", "co2e_total_kg",
    "water_l", "cost",
)  # fmt: skip
POLL_S = 1.0
TIMEOUT_S = 10.0


class FootprintRefused(Exception):
    """The figures cannot be had, and waiting does not help: says why and what to do."""


class FootprintNotReady(Exception):
    """The figures cannot be had yet."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity. `status`: MEASURED, MODELLED or DEFAULT, as the worst of what it comes from."""

    low: float
    mid: float
    high: float
    unit: str
    status: str


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a job has come to. None: not known, which is not nought. Energy in kWh, CO2e in kg, water in litres."""

    job: str
    complete: bool  # ended, every reading arrived, all of it counted
    pending: tuple[str, ...] = ()  # what is missing where it is not
    start: str | None = None
    end: str | None = None
    it_energy_kwh: Figure | None = None  # the devices' own draw
    facility_energy_kwh: Figure | None = None  # with cooling and losses
    co2e_location_kg: Figure | None = None  # operational, by the grid's mix
    co2e_market_kg: Figure | None = None  # operational, by contracts
    embodied_kg: Figure | None = None  # share of making the hardware
    co2e_total_kg: Figure | None = None  # location-based and embodied
    water_l: Figure | None = None
    cost: Figure | None = None
    currency: str = ""
    coverage: float | None = None  # share of its time that readings back
    measured_share: float | None = None  # share of its IT energy that a meter saw
    status: str | None = None

    def metrics(self, prefix: str = "greenai/") -> dict[str, float]:
        """Flat numbers for an experiment tracker: each known quantity, its low and its high."""
        told: dict[str, float] = {f"{prefix}complete": float(self.complete)}
        for name in QUANTITIES:
            figure: Figure | None = getattr(self, name)
            if figure is not None:
                column = f"{name}_{self.currency.lower()}" if name == "cost" else name
                told |= {f"{prefix}{column}": figure.mid}
                told |= {f"{prefix}{column}_low": figure.low, f"{prefix}{column}_high": figure.high}
        for name in ("coverage", "measured_share"):
            if (share := getattr(self, name)) is not None:
                told[f"{prefix}{name}"] = share
        return told


@dataclass(slots=True)
class Reader:
    """Reads one job. `ended`: whether to wait for completeness; a job that still runs is read as it stands."""

    asker: Asker
    job: str
    team: str | None
    sleep: Callable[[float], None] = field(default=time.sleep)

    def read(self, *, wait_s: float, ended: bool, besides: tuple[str, ...] = ()) -> Footprint:
        """Wait at most `wait_s` until the ledger has caught up; then whatever it has, and what is missing.

        Raises:
            FootprintRefused: the token may not read, or the name does not tell the job.
        """
        state, pending = self._state(wait_s, ended)
        pending = (*pending, *besides)
        if state is None or state["start"] is None:
            return Footprint(self.job, complete=False, pending=pending)
        try:
            told = self._get("/api/v1/footprint", **{"from": state["start"], "to": state["end"]})
        except Unanswered as error:
            return Footprint(self.job, complete=False, pending=(*pending, str(error)))
        totals = told["totals"]
        return Footprint(
            self.job, complete=not pending, pending=pending, start=state["start"], end=state["end"],
            currency=told["currency"], coverage=totals["coverage"], measured_share=totals["measured_share"],
            status=totals["status"], **{name: _figure(totals[name]) for name in QUANTITIES},
        )  # fmt: skip

    def model_card(self, *, training_type: str | None, geographical_location: str | None) -> str:
        """The block of YAML.

        Raises:
            FootprintRefused: as above.
            FootprintNotReady: the ledger has nothing of the job, or the server does not answer.
        """
        asked = {"training_type": training_type, "geographical_location": geographical_location}
        try:
            query = {**asked, "job": self.job, "team": self.team}
            return self.asker.text("/api/v1/model-card", timeout_s=TIMEOUT_S, **query)
        except Unanswered as error:
            raise FootprintNotReady(str(error)) from error
        except Refused as refused:
            if refused.code == "unknown_job":
                raise FootprintNotReady(str(refused)) from refused
            raise self._explain(refused) from refused

    def _state(self, wait_s: float, ended: bool) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
        end_s = time.monotonic() + wait_s
        while True:
            state: dict[str, Any] | None = None
            try:
                state = self._get("/api/v1/job")
                pending = tuple(state["pending"])
            except Unanswered as error:
                pending = (str(error),)
            except _Unknown as unknown:
                pending = (str(unknown),)
            left_s = end_s - time.monotonic()
            if (state is not None and (not pending or not ended)) or left_s <= 0:
                return state, pending
            self.sleep(min(POLL_S, left_s))

    def _get(self, path: str, **query: str | None) -> dict[str, Any]:
        try:
            return self.asker.json(path, timeout_s=TIMEOUT_S, job=self.job, team=self.team, **query)
        except Refused as refused:
            if refused.code == "unknown_job":
                raise _Unknown(str(refused)) from refused
            raise self._explain(refused) from refused

    def _explain(self, refused: Refused) -> FootprintRefused:
        if refused.status in (401, 403):
            return FootprintRefused(
                f"{self.asker.server} does not let this token read: {refused}. Reading takes a team's token of "
                "the scope read: give read_token=, or set GREENAI_READ_TOKEN"
            )
        return FootprintRefused(str(refused))


class _Unknown(Exception):
    """The server has not heard of the job, yet."""


def _figure(told: dict[str, Any] | None) -> Figure | None:
    if told is None:
        return None
    return Figure(told["low"], told["mid"], told["high"], told["unit"], told["status"])
