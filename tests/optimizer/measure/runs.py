"""Runs that never happened: windows and meter readings with known truth and known noise."""

from collections.abc import Mapping

import numpy as np

from optimizer.measure.energy import MeterLog
from optimizer.measure.protocol import Built, Plan, PlannedVariant, Quality, Transcript, Window

IDLE_W = 2.0
UNITS = 10.0
WORK_S, SLEEP_S = 0.4, 1.5


def a_plan(variants: int = 2, **fields: object) -> Plan:
    """Position 0 is the baseline."""
    others = tuple(PlannedVariant(i, "quantize") for i in range(1, variants))
    return Plan("digits-classifier", "/kept", "/run", (PlannedVariant(0, "none"), *others), **fields)


class Run:
    """Builds a transcript and its meter log side by side, window after window."""

    def __init__(self, plan: Plan) -> None:
        self.transcript, self.log = Transcript(plan), MeterLog("MEASURED", "a made-up meter")
        self._now_ns, self._total_j = 1_000_000_000, 50.0
        self.log.add(self._now_ns, self._total_j)

    def spend(self, kind: str, seconds: float, power_w: float, **fields: float | int | None) -> None:
        start = self._now_ns
        self._now_ns += round(seconds * 1e9)
        self._total_j += power_w * seconds
        self.log.add(self._now_ns, self._total_j)
        given = {"position": None, "round": None, "units": 0.0, "cpu_s": 0.0, **fields}
        self.transcript.windows.append(Window(kind=kind, start_ns=start, end_ns=self._now_ns, **given))  # type: ignore[arg-type]

    def idle(self, power_w: float = IDLE_W) -> None:
        self.spend("idle", SLEEP_S, power_w)

    def work(self, position: int, round: int, energy_per_unit_j: float) -> None:
        """A window whose energy above idle is exactly this much a unit."""
        power_w = IDLE_W + energy_per_unit_j * UNITS / WORK_S
        fields = {"position": position, "round": round, "units": UNITS, "cpu_s": energy_per_unit_j * UNITS / 5}
        self.spend("work", WORK_S, power_w, **fields)


def a_run(readings: Mapping[int, list[float]], *, plan: Plan | None = None) -> Run:
    """`readings`: position -> energy per unit (J) in each round."""
    run = Run(plan or a_plan(len(readings)))
    run.idle()
    for number, values in enumerate(zip(*readings.values(), strict=True)):
        for position, value in zip(readings, values, strict=True):
            run.work(position, number, value)
    run.idle()
    return run


def noisy(truth: Mapping[int, float], rounds: int, rng: np.random.Generator) -> dict[int, list[float]]:
    """A drifting machine (common to a round) with heavy-tailed noise of its own in every window."""
    drift = np.exp(np.cumsum(rng.normal(0, 0.05, rounds)))
    tails = {p: np.exp(0.04 * rng.standard_t(3, rounds)) for p in truth}
    return {p: (value * drift * tails[p]).tolist() for p, value in truth.items()}


def built(size_bytes: int, **facts: float) -> Built:
    return Built("a.safetensors", size_bytes, 1.0, facts)


def scored(*scores: float) -> Quality:
    return Quality(sum(scores) / len(scores), scores)
